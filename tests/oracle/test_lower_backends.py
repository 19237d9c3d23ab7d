"""The contract of backends, over the whole registry: what is added there is tested by existing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from syno.ir.errors import OperatorError, SizeError
from syno.lower.backends import BACKENDS, Backend, MissingBackend, lower
from syno.lower.backends.torch import Function
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.testing.agreement import Answer, answer, disagreements
from syno.zoo.named import NAMED, named

COMPILERS = [row.name for row in BACKENDS.values() if row.compiles and not row.writes]
RANDOM = 4


@lru_cache(maxsize=1)
def known() -> tuple[Answer, ...]:
    """The operators with a name, and a few that the space gives."""
    spec, rng = named_spec("conv2d"), Random(1)
    space = SynthesisSpace(spec)
    drawn = [space.result(space.roll_out(space.root(), rng)[-1]) for _ in range(RANDOM)]
    return (
        *(answer(row.operator, row.sizes) for row in NAMED.values()),
        *(answer(op, spec.bindings[0]) for op in drawn if op is not None),
    )


@pytest.mark.parametrize("name", BACKENDS)
def test_it_agrees_with_the_reference(name: str) -> None:
    assert len(known()) > len(NAMED)
    assert disagreements(name, known(), gradient=BACKENDS[name].gradient) == []


@pytest.mark.parametrize("name", ["inductor", "onnx"])  # the way is the same for all compilers
def test_it_compiles_one_operator(name: str) -> None:
    row = NAMED["linear"]
    known = answer(row.operator, row.sizes)
    made = lower(row.operator, row.sizes, name).function
    tensors = [torch.tensor(each, dtype=torch.float32) for each in known.tensors]
    wanted = torch.tensor(known.output, dtype=torch.float32)
    torch.testing.assert_close(torch.as_tensor(made(*tensors)).detach(), wanted)


# ----------------------------------------------------------------------------------------- networks


def network(seed: int) -> nn.Module:
    """A network with what usual ones have: normalization, groups, strides, a head."""
    torch.manual_seed(seed)
    made = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    for each in made.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.normal_(each.running_mean)
            nn.init.uniform_(each.running_var, 0.5, 2.0)
            nn.init.normal_(each.weight)
    return made.eval()


IMAGE = torch.linspace(-1, 1, 2 * 3 * 16 * 16).sin().reshape(2, 3, 16, 16)


@lru_cache
def compiled(name: str) -> Callable[..., Any]:
    """Compile, and see that the module is left as it was and may change afterwards."""
    module = network(0).train()
    function: Callable[..., Any] = BACKENDS[name].load().compile_module(module, [IMAGE])
    if name != "torch":
        assert module.training
        assert all(each.requires_grad for each in module.parameters())
        for each in module.parameters():
            nn.init.zeros_(each)
    return function


@pytest.mark.parametrize("name", ["torch", *COMPILERS])
def test_it_compiles_a_network(name: str) -> None:
    with torch.no_grad():
        torch.testing.assert_close(compiled(name)(IMAGE), network(0)(IMAGE), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", COMPILERS)
def test_the_layout_of_an_input_does_not_matter(name: str) -> None:
    rows = IMAGE.to(memory_format=torch.channels_last)
    assert not rows.is_contiguous()
    torch.testing.assert_close(compiled(name)(rows), compiled(name)(IMAGE))


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("other", [IMAGE[:1], IMAGE.double()], ids=["shape", "type"])
def test_another_input_is_an_error(name: str, other: Tensor) -> None:
    with pytest.raises(SizeError, match="Compiled for"):
        compiled(name)(other)


def test_networks_of_one_class_keep_their_own_weights() -> None:
    other = BACKENDS["inductor"].load().compile_module(network(1), [IMAGE])
    with torch.inference_mode():
        torch.testing.assert_close(other(IMAGE), network(1)(IMAGE), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            compiled("inductor")(IMAGE), network(0)(IMAGE), atol=1e-4, rtol=1e-4
        )


def generated(x: Tensor, w: Tensor) -> dict[str, Tensor]:
    """Words of generated code that compilers are known to get wrong, or not to know."""
    return {
        "pool": F.avg_pool2d(x, (2, 2), (2, 2), divisor_override=1),
        "roll": torch.roll(x, -1, 2),
        "identity": x * torch.eye(4, dtype=x.dtype, device=x.device),
        "einsum": torch.einsum("nchw,oc,oc->no", x, w, w),
        "window": torch.einsum("nchwa,oa->nohw", F.pad(x, (1, 1)).unfold(3, 3, 1), w),
    }


@pytest.mark.parametrize("name", ["onnx", "iree"])
def test_words_that_compilers_do_not_know_are_written_out(name: str) -> None:
    x, w = torch.randn(2, 3, 4, 4), torch.randn(5, 3)
    made = BACKENDS[name].load().compile_module(Function(generated), [x, w])(x, w)
    torch.testing.assert_close(dict(made), generated(x, w))


@pytest.mark.parametrize("name", COMPILERS)
def test_a_view_may_follow_what_is_written_out(name: str) -> None:
    def turned(x: Tensor) -> Tensor:
        return torch.roll(x.permute(0, 3, 1, 2), 1, 3).reshape(2, 12, 4)

    x = torch.arange(96.0).reshape(2, 3, 4, 4)
    made = BACKENDS[name].load().compile_module(Function(turned), [x])
    torch.testing.assert_close(made(x), turned(x))


class Undecided(nn.Module):
    """What it computes depends on data: it has no graph."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


class Unknown(nn.Module):
    """An operation that neither ONNX nor IREE knows."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svd(x)[1]


@pytest.mark.parametrize(
    ("name", "module", "compiler"),
    [
        ("inductor", Undecided, "torch.export"),
        ("onnx", Unknown, "ONNX"),
        ("iree", Unknown, "IREE"),
    ],
)
def test_a_network_that_cannot_be_taken_is_told(
    name: str, module: type[nn.Module], compiler: str
) -> None:
    with pytest.raises(OperatorError, match=f"{compiler} cannot take this network: .*[a-z]"):
        BACKENDS[name].load().compile_module(module(), [torch.ones(3, 3)])


# ---------------------------------------------------------------------------- tests of the contract


def wrong_output(module: nn.Module, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    del inputs
    return lambda *tensors: [1.001 * each for each in module(*tensors)]


def wrong_shape(module: nn.Module, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    del inputs
    return lambda *tensors: [each.unsqueeze(0) for each in module(*tensors)]


def nothing_at_all(module: nn.Module, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    del inputs
    return lambda *tensors: [each * float("nan") for each in module(*tensors)]


def no_gradient_of_weights(module: nn.Module, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    del inputs
    return lambda x, *weights: module(x, *(each.detach() for each in weights))


@pytest.mark.parametrize(
    ("plant", "part"),
    [
        (wrong_output, "output"),
        (wrong_shape, "output"),
        (nothing_at_all, "output"),
        (no_gradient_of_weights, "gradient of w1"),
    ],
)
def test_a_wrong_backend_breaks_the_contract(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[..., Any], part: str
) -> None:
    gradient = part != "output"
    row = Backend("wrong", "planted", "", compiles=True, packages=("torch",), gradient=gradient)
    monkeypatch.setitem(BACKENDS, "wrong", row)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "planted", SimpleNamespace(compile_module=plant))  # type: ignore[arg-type]
    chosen = [each for each in known() if each.op is named("convolution")]
    found = disagreements("wrong", chosen, gradient=gradient)
    assert [each.part for each in found] == [part]
    assert str(chosen[0].op) in str(found[0])


@pytest.mark.parametrize(
    "package", ["no_such_package", "no_such_package.part", "json.no_such_part"]
)
def test_a_missing_package_is_told_with_its_remedy(package: str) -> None:
    row = Backend("gone", "syno.gone", "", packages=("torch", package), extra="compilers")
    assert not row.installed
    with pytest.raises(MissingBackend, match=rf"{package}, not .* pip install 'syno\[compilers\]'"):
        row.load()


def test_every_backend_is_installed_where_it_is_tested() -> None:
    assert [row.name for row in BACKENDS.values() if not row.installed] == []
