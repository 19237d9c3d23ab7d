"""The model registry and the way around torchvision's missing binary."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from syno.evaluate import library_models, models
from syno.evaluate.small_models import BasicBlock
from syno.evaluate.torchvision_compat import import_torchvision
from syno.ir.errors import ModelError
from syno.nn.sites import find_sites, replaceable, select_sites


def on_meta(name: str) -> nn.Module:
    """Return a model without memory: shapes are all that is asked of it."""
    with torch.device("meta"):
        return models.build(name).eval()


@pytest.mark.parametrize("name", ["convnet", "resnet20", "resnet18-cifar-16", "resnet18"])
def test_a_model_maps_its_input_to_classes(name: str) -> None:
    row, network = models.info(name), models.build(name)
    with torch.inference_mode():
        found = network.eval()(row.example_input(2))
    assert found.shape == (2, row.classes) and found.isfinite().all()


# The figures are those of the libraries' documentation, and of Xie et al. 2017 for ResNeXt. Of the
# small GPT-2s they are counted: a layer of width d has 12 d^2 + 13 d. The ResNet-18 for CIFAR has
# what torchvision's has, less 9,408 - 1,728 of the stem and 513,000 - 5,130 of the classes; the
# narrow one is counted.
LARGE = {
    "resnet18-cifar": 11_173_962,
    "resnet18-cifar-16": 701_466,
    "resnet34": 21_797_672,
    "densenet121": 7_978_856,
    "resnext29-2x64d": 10_152_744,
    "efficientnetv2-s": 21_458_488,
    "vit-s": 22_050_664,
    "gpt2": 124_439_808,
    "gpt2-mini": 4_240_896,
    "gpt2-midi": 12_269_568,
}


@pytest.mark.parametrize(("name", "parameters"), LARGE.items())
def test_a_large_model_has_the_shape_and_size_of_its_paper(name: str, parameters: int) -> None:
    row, network = models.info(name), on_meta(name)
    shape = (2, row.input_shape[1], row.classes) if row.vocabulary else (2, row.classes)
    assert network(row.example_input(2).to("meta")).shape == shape
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_gpt2_computes_what_the_library_computes() -> None:
    ours = library_models.Gpt2(layers=2).eval()
    theirs = type(ours.gpt2)(type(ours.gpt2.config)(n_layer=2)).eval()  # with its own attention
    theirs.load_state_dict(ours.gpt2.state_dict())
    tokens = torch.randint(50_257, (1, 12), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits)


def test_the_small_gpt2s_compute_the_same_activation_in_one_kernel() -> None:
    small = models.build("gpt2-mini").eval()
    assert isinstance(small, library_models.Gpt2)
    usual = library_models.Gpt2(4, width=256, heads=4, length=128, tokens=4096).eval()
    usual.load_state_dict(small.state_dict())
    tokens = models.info("gpt2-mini").example_input(2)
    with torch.inference_mode():
        torch.testing.assert_close(small(tokens), usual(tokens))


def test_a_library_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_models, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"vit-s is defined by timm, .* pip install 'syno\[models"):
        models.build("vit-s")


def test_an_example_of_text_is_tokens() -> None:
    tokens = models.info("gpt2").example_input(3)
    assert tokens.shape == (3, 512) and tokens.dtype == torch.int64
    assert 0 <= int(tokens.min()) < int(tokens.max()) < 50_257


@pytest.mark.parametrize("name", ["convnet", "resnet20", "resnet18-cifar-16"])
def test_the_seed_fixes_the_weights(name: str) -> None:
    first, again, other = (list(models.build(name, seed=s).parameters()) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_building_leaves_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    models.build("convnet", seed=5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_resnet20_is_that_of_the_paper() -> None:
    network = models.build("resnet20")
    # He et al. 2016, table 6: 0.27 million; 3x3 convolutions, one linear layer, 19 batch norms.
    assert sum(p.numel() for p in network.parameters()) == 269_722
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 19 and all(m.kernel_size == (3, 3) for m in convolutions)


def test_resnet18_for_cifar_is_torchvisions_with_another_stem() -> None:
    ours = models.build("resnet18-cifar").eval()
    theirs = import_torchvision().models.resnet18(num_classes=10).eval()
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    x = models.info("resnet18-cifar").example_input(2)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x))


def test_the_narrow_one_is_as_deep() -> None:
    wide, narrow = (on_meta(name).state_dict() for name in ("resnet18-cifar", "resnet18-cifar-16"))
    assert wide.keys() == narrow.keys()
    widths = [narrow[f"layer{n}.1.conv2.weight"].shape[:2] for n in (1, 2, 3, 4)]
    assert widths == [(16, 16), (32, 32), (64, 64), (128, 128)]


def test_a_shortcut_subsamples_and_pads_with_zero_channels() -> None:
    block = BasicBlock(2, 5, 2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 2, 4, 4)
    y = block(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


WINDOWS = {
    "convnet": 6,
    "resnet20": 18,
    "resnet18-cifar": 16,
    "resnet18-cifar-16": 16,
    "resnet18": 16,
    "resnet34": 32,
    "densenet121": 58,
    "efficientnetv2-s": 10,
}


@pytest.mark.parametrize(("name", "sites"), WINDOWS.items())
def test_all_windows_but_the_stem_are_sites(name: str, sites: int) -> None:
    found = find_sites(on_meta(name), models.info(name).example_input().to("meta"))
    assert len(replaceable(found, name)) == sites
    assert select_sites(found, models.info(name).sites, name) == replaceable(found, name)


# ViT: two layers in each of 12 blocks. GPT-2: the projection to queries, keys and values as well.
@pytest.mark.parametrize(
    ("name", "form", "sites"),
    [
        ("resnext29-2x64d", "grouped", 9),
        ("vit-s", "linear", 24),
        ("gpt2", "linear", 36),
        ("gpt2-mini", "linear", 12),
        ("gpt2-midi", "linear", 18),
    ],
)
def test_the_others_say_which_sites_are_theirs(name: str, form: str, sites: int) -> None:
    row = models.info(name)
    found = select_sites(find_sites(on_meta(name), row.example_input().to("meta")), row.sites, name)
    assert len(found) == sites and {site.form for site in found} == {form}


def test_an_unknown_model_is_told_with_the_known() -> None:
    with pytest.raises(
        ModelError, match="no model called 'resnet'; known are: convnet, densenet121"
    ):
        models.build("resnet")


class TestCompat:
    """Each in a fresh process, with a torchvision made for the test."""

    def run(self, folder: Path, package: str, script: str) -> str:
        (folder / "torchvision").mkdir()
        (folder / "torchvision" / "__init__.py").write_text(textwrap.dedent(package))
        (folder / "torchvision" / "part.py").touch()
        begin = f"import sys; sys.path.insert(0, {str(folder)!r})\nimport torch\n"
        begin += "from syno.evaluate.torchvision_compat import import_torchvision\n"
        done = subprocess.run(
            [sys.executable, "-c", begin + textwrap.dedent(script)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    def test_a_missing_operator_is_declared(self, tmp_path: Path) -> None:
        package = """
            import torch, torchvision.part
            @torch.library.register_fake("torchvision::nms")
            def fake(dets, scores, iou_threshold):
                return dets
            ready = True
        """
        script = "print(import_torchvision().ready, torch.ops.torchvision.nms.default)"
        assert self.run(tmp_path, package, script) == "True torchvision.nms.default"

    def test_with_matching_builds_nothing_is_declared(self, tmp_path: Path) -> None:
        script = "import_torchvision(); print(hasattr(torch.ops.torchvision, 'nms'))"
        assert self.run(tmp_path, "ready = True", script) == "False"

    def test_another_error_passes_through(self, tmp_path: Path) -> None:
        package = "raise RuntimeError('something else')"
        found = self.run(tmp_path, package, "import_torchvision()")
        assert found == "RuntimeError: something else"

    def test_torchvision_itself_can_be_imported(self) -> None:
        script = (
            "from syno.evaluate.torchvision_compat import import_torchvision as f;"
            "a = f(); print(a is f(), a.models.resnet18.__name__)"
        )
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "True resnet18"
