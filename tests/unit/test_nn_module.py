"""A synthesized operator as a module: parameters, copies, files, export, compilation."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import syno
from syno.ir.errors import SizeError
from syno.nn import SynthesizedOperator
from syno.zoo.named import NAMED, named

SIZES = {"N": 2, "C_in": 8, "C_out": 16, "H": 8, "W": 6, "k": 3, "g": 4}
CONVOLUTION = named("convolution")


@pytest.fixture
def module() -> SynthesizedOperator:
    return SynthesizedOperator(CONVOLUTION, SIZES, seed=0)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 8, 8, 6, generator=torch.Generator().manual_seed(1))


def test_its_parameters_are_those_of_the_text(module: SynthesizedOperator) -> None:
    shapes = {name: tuple(each.shape) for name, each in module.named_parameters()}
    assert shapes == {"w1": (16, 8, 3, 3)}
    two = SynthesizedOperator(named("low-rank-linear"), NAMED["low-rank-linear"].sizes)
    assert [name for name, _ in two.named_parameters()] == ["w1", "w2"]


def test_it_computes_what_it_says(module: SynthesizedOperator, x: Tensor) -> None:
    torch.testing.assert_close(module(x), F.conv2d(x, module.w1, padding=1))


def test_the_batch_may_have_any_length(module: SynthesizedOperator) -> None:
    x = torch.randn(5, 8, 8, 6)
    torch.testing.assert_close(module(x), F.conv2d(x, module.w1, padding=1))


def test_the_seed_fixes_the_weights() -> None:
    made = [SynthesizedOperator(CONVOLUTION, SIZES, seed=seed).w1 for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_without_a_seed_the_global_generator_draws() -> None:
    with torch.random.fork_rng():
        made = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            made.append(SynthesizedOperator(CONVOLUTION, SIZES).w1)
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])


def test_a_seed_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    SynthesizedOperator(CONVOLUTION, SIZES, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_result_is_scaled() -> None:
    op, x = named("average-pooling"), torch.randn(2, 4, 8, 6)
    made = SynthesizedOperator(op, NAMED["average-pooling"].sizes, scale=0.25)
    assert list(made.parameters()) == []
    torch.testing.assert_close(made(x), F.avg_pool2d(x, 2))


def test_it_trains(module: SynthesizedOperator, x: Tensor) -> None:
    target = F.conv2d(x, torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(2)) / 8)
    target = F.pad(target, (1, 1, 1, 1))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = F.mse_loss(module(x), target)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 3


def copies(module: SynthesizedOperator) -> Iterator[nn.Module]:
    yield copy.deepcopy(module)
    yield pickle.loads(pickle.dumps(module))
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    yield torch.load(file, weights_only=False)


@pytest.mark.parametrize("number", range(3), ids=["deepcopy", "pickle", "torch.save"])
def test_copies_compute_the_same_and_share_nothing(
    module: SynthesizedOperator, x: Tensor, number: int
) -> None:
    other = list(copies(module))[number]
    assert isinstance(other, SynthesizedOperator)
    assert other.op is module.op and other.source == module.source
    assert torch.equal(other(x), module(x))
    with torch.no_grad():
        other.w1.zero_()
    assert module(x).abs().max() > 0
    assert other(x).abs().max() == 0


def test_the_state_is_the_weights(module: SynthesizedOperator, x: Tensor) -> None:
    other = SynthesizedOperator(CONVOLUTION, SIZES, seed=9)
    assert not torch.equal(other(x), module(x))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x), module(x))


def test_it_takes_other_types(module: SynthesizedOperator, x: Tensor) -> None:
    assert module.double()(x.double()).dtype == torch.float64
    assert module.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_it_prints_its_formula(module: SynthesizedOperator) -> None:
    assert "x[n, c, h + a - k//2, w + b - k//2] * w1[o,c,a,b]" in repr(nn.Sequential(module))
    assert "def forward" in module.source


@pytest.mark.parametrize("sizes", [{}, dict(SIZES, g=3), dict(SIZES, C_in=0)])
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(SizeError):
        SynthesizedOperator(named("grouped-convolution"), sizes)


@pytest.mark.parametrize("name", NAMED)
def test_it_exports(name: str) -> None:
    row = NAMED[name]
    made = SynthesizedOperator(row.operator, row.sizes, seed=0).eval()
    x = torch.randn(row.operator.input_shape(row.sizes))
    program = torch.export.export(made, (x,))
    torch.testing.assert_close(program.module()(x), made(x))


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, inside
@pytest.mark.parametrize("name", NAMED)
def test_it_compiles(name: str) -> None:
    torch.compiler.reset()
    row = NAMED[name]
    made = SynthesizedOperator(row.operator, row.sizes, seed=0)
    x = torch.randn(row.operator.input_shape(row.sizes), requires_grad=True)
    compiled = torch.compile(made, fullgraph=True)
    y = compiled(x)
    torch.testing.assert_close(y, made(x), rtol=1e-4, atol=1e-4)
    found = torch.autograd.grad(y.sum(), x)[0]
    torch.testing.assert_close(
        found, torch.autograd.grad(made(x).sum(), x)[0], rtol=1e-4, atol=1e-4
    )


def test_dynamo_traces_it_in_one_graph(x: Tensor) -> None:
    made = SynthesizedOperator(named("paper-operator-2"), dict(SIZES, G=4, R=2), seed=0)
    compiled = torch.compile(made, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), made(x))


def test_an_operator_from_text() -> None:
    op = syno.parse(
        "[T, 768] -> [T, (72, 2, 16)]\ny[..,(a,b,c)] = sum[r:384] x[..,b*384+r]*w[a,r,c]"
    )
    made = SynthesizedOperator(op, {"T": 3}, seed=0)
    assert made(torch.randn(7, 768)).shape == (7, 2304)
