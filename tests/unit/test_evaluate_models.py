"""The model registry and the way around torchvision's missing binary."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from syno.evaluate import models
from syno.ir.errors import ModelError
from syno.nn.sites import find_sites, replaceable


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_every_model_maps_its_input_to_classes(name: str) -> None:
    row, network = models.info(name), models.build(name)
    with torch.inference_mode():
        assert network.eval()(row.example_input(2)).shape == (2, row.classes)


@pytest.mark.parametrize("name", ["convnet", "resnet20"])
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


def test_a_shortcut_subsamples_and_pads_with_zero_channels() -> None:
    block = models.BasicBlock(2, 5, 2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 2, 4, 4)
    y = block(x)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


@pytest.mark.parametrize(("name", "sites"), [("convnet", 6), ("resnet20", 18), ("resnet18", 16)])
def test_all_convolutions_but_the_stem_are_sites(name: str, sites: int) -> None:
    row = models.info(name)
    found = replaceable(find_sites(models.build(name), row.example_input()), name)
    assert len(found) == sites


def test_an_unknown_model_is_told_with_the_known() -> None:
    with pytest.raises(ModelError, match="no model called 'resnet'; known are: convnet, resnet18"):
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
