"""The Triton backend: its kernels under the interpreter, and that a compiler for CUDA takes them.

That it agrees with the reference on all named and many random operators, forward and in gradients,
is tested where all backends are: `test_lower_backends.py` and `test_lower_reference.py`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import triton
from numpy.typing import NDArray
from torch import Tensor

import syno
from syno.ir.operator import Operator
from syno.ir.semantics import reference
from syno.lower import values
from syno.lower.backends import load_source, lower, program_of, write_source
from syno.lower.backends.triton import is_call, written
from syno.lower.backends.triton_index import BATCH, Index, Part, Var, iterator
from syno.lower.backends.triton_kernels import Kernel, kernel
from syno.lower.backends.triton_nests import Lengths, Nest
from syno.lower.plan import dynamic_batch, plan
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.testing.golden import Golden
from syno.zoo.named import NAMED, named

Sizes = dict[str, int]
Integers = NDArray[np.int64]

SIZES = {"N": 2, "C_in": 8, "C_out": 8, "C": 4, "H": 4, "W": 6, "k": 3, "g": 2, "G": 4, "R": 2}
PRODUCT = "y[n,o,h,w] = sum[c:C_in/g] x[n, (o // (C_out/g))*(C_in/g) + c, h, w] * w1[o,c]"
WINDOW = "[N, C, H] -> [N, C, H]\ny[n,c,h] = sum[a:k] x[n,c,h + a - k//2] * w1[c,a]"
CHAIN = "[N, C, H] -> [N, C, H]\ny[n,c,h] = sum[a:k] x[n,c,(h + a - k//2 + 1) % H] * w1[c,a]"


def drawn(op: Operator, sizes: Sizes, kind: torch.dtype = torch.float64) -> list[Tensor]:
    """Return x and the weights, the same for all who ask."""
    made = torch.Generator().manual_seed(0)
    shapes = [op.input_shape(sizes), *op.weight_shapes(sizes).values()]
    return [torch.randn(shape, generator=made, dtype=torch.float64).to(kind) for shape in shapes]


def wanted(op: Operator, sizes: Sizes, tensors: list[Tensor]) -> np.ndarray:
    """Return what the reference says, in double precision."""
    x, *weights = (each.double().numpy() for each in tensors)
    return reference(op, sizes, x, dict(zip(op.weight_shapes(sizes), weights, strict=True)))


def source_of(op: Operator, sizes: Sizes) -> str:
    return write_source(program_of(op, sizes, "triton"), "triton")


@pytest.mark.parametrize("text", [PRODUCT, CHAIN])
def test_a_stage_is_one_kernel_with_its_views(text: str) -> None:
    source = source_of(syno.parse(text), SIZES)
    assert source.count("@triton.jit") == 1
    before, _, run = source.partition("def run(")
    assert "F." not in before
    assert "F." not in run.partition("def eager")[0]


@pytest.mark.parametrize("name", ["convolution", "pointwise-convolution", "linear"])
def test_an_operator_that_is_library_calls_is_the_torch_program(name: str) -> None:
    row = NAMED[name]
    assert "triton" not in source_of(row.operator, dict(row.sizes))


def test_groups_of_many_channels_are_left_to_the_library() -> None:
    op = named("grouped-convolution")
    sizes = {"N": 1, "C_in": 64, "C_out": 64, "H": 4, "W": 4, "k": 3, "g": 2}
    assert "F.conv2d(x, w1, padding=(1, 1), groups=2)" in source_of(op, sizes)


def test_a_program_chosen_for_another_backend_can_be_written_as_well() -> None:
    seen: set[str] = set()
    for op, sizes in drawn_operators(12):
        program = program_of(op, sizes, "torch")
        seen |= {value.op for value in program.values()}
        tensors = drawn(op, sizes)
        y = load_source(written(program), "triton").forward(*tensors)
        np.testing.assert_allclose(y.numpy(), wanted(op, sizes, tensors), atol=1e-10)
    assert len(seen) > 6


def test_the_batch_may_have_any_length() -> None:
    op, sizes = syno.parse(PRODUCT), SIZES | {"N": 1}
    x, weight = drawn(op, SIZES | {"N": 5})
    y = lower(op, sizes, "triton").function(x, weight)
    np.testing.assert_allclose(y.numpy(), wanted(op, SIZES | {"N": 5}, [x, weight]), atol=1e-10)


def test_the_layout_of_an_input_does_not_matter() -> None:
    op = syno.parse(PRODUCT)
    x, weight = drawn(op, SIZES)
    rows = x.to(memory_format=torch.channels_last)
    assert not rows.is_contiguous()
    function = lower(op, SIZES, "triton").function
    torch.testing.assert_close(function(rows, weight), function(x, weight))


def test_sums_of_half_precision_are_kept_in_single() -> None:
    op, sizes = syno.parse("[T, H] -> [T]\ny[t] = sum[a:H] x[t,a]"), {"T": 1, "H": 60}
    x = torch.full((1, 60), 0.1, dtype=torch.float16)
    x[0, 0] = 1000
    y = lower(op, sizes, "triton").function(x)
    assert y.dtype is torch.float16
    assert y.item() == x.double().sum().to(torch.float16).item()
    one_by_one = torch.zeros((), dtype=torch.float16)
    for each in x[0]:
        one_by_one += each
    assert y.item() != one_by_one.item()


def test_without_a_device_the_error_names_the_interpreter() -> None:
    op = syno.parse(PRODUCT)
    function, tensors = lower(op, SIZES, "triton").function, drawn(op, SIZES)
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = False
        with pytest.raises(RuntimeError, match=r"x is on cpu.*TRITON_INTERPRET=1"):
            function(*tensors)


def test_gradients_are_those_that_are_asked_for() -> None:
    op = syno.parse(PRODUCT)
    x, weight = drawn(op, SIZES)
    function = lower(op, SIZES, "triton").function
    function(x, weight.requires_grad_()).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    (first,) = torch.autograd.grad(function(x, weight).sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(i2 + r1 - 1 < 4)", "(i2 + r1 - 1 < 5)"),
        ("(i2 + r1 - 1 >= 0) & ", ""),
        ("% 4", "% 3"),
        ("range(3)", "range(2)"),
    ],
)
def test_a_wrong_kernel_is_caught(right: str, wrong: str) -> None:
    op = syno.parse(CHAIN)
    source, tensors = source_of(op, SIZES), drawn(op, SIZES)
    assert right in source
    found = load_source(source.replace(right, wrong), "triton").forward(*tensors)
    error = np.abs(found.numpy() - wanted(op, SIZES, tensors)).max()
    assert not error < 1e-3


def test_a_sum_that_is_no_row_of_slices_is_left_to_torch() -> None:
    x = values.argument("x", (4, 4), fixed=False)
    slices = [values.cut(x, 0, start, start + 2) for start in range(3)]
    assert not is_call(values.add(slices))
    assert is_call(values.add([slices[0], slices[2], slices[1]]))
    assert is_call(values.add([x, x]))


# --------------------------------------------------------------------------------- index arithmetic


def test_simplified_indices_have_the_values_of_what_was_written() -> None:
    rng = random.Random(0)
    variables = [Var("a", 2), Var("b", 3), Var("c", 4)]
    kinds = set()
    for _ in range(400):
        index, text = Index(), "0"
        for _ in range(rng.randint(1, 6)):
            index, text = _changed(rng, index, text, variables)
        numbers = {var.name: rng.randrange(var.length) for var in variables}
        assert eval(str(index), {}, numbers) == eval(text, {}, numbers), (str(index), text)
        low, high = index.bounds()
        assert low <= eval(text, {}, numbers) <= high
        kinds |= {part.op for part in index.parts()}
    assert kinds == {"//", "%"}


def _changed(
    rng: random.Random, index: Index, text: str, variables: list[Var]
) -> tuple[Index, str]:
    number = rng.choice((1, 2, 3, 4, 6))
    kind = rng.choice("*+v//%v")
    if kind == "v":
        var = rng.choice(variables)
        return index * number + iterator(var), f"({text}) * {number} + {var.name}"
    if kind == "*":
        return index * number, f"({text}) * {number}"
    if kind == "+":
        return index + number, f"({text}) + {number}"
    made = index // number if kind == "/" else index % number
    return made, f"({text}) {'//' if kind == '/' else '%'} {number}"


def test_quotients_of_what_is_joined_disappear() -> None:
    i, j = Var("i", 5), Var("j", 4)
    place = iterator(i) * 4 + iterator(j)
    assert place // 4 == iterator(i)
    assert place % 4 == iterator(j)
    assert place // 2 == iterator(i) * 2 + Index(((Part("//", iterator(j), 2), 1),))


# ---------------------------------------------------------------------- what a device would compute


def nests_of(monkeypatch: pytest.MonkeyPatch, op: Operator, sizes: Sizes) -> list[Nest]:
    """Return the loop nests of all kernels of an operator."""
    found: list[Nest] = []

    def kept(nest: Nest, *others: Any) -> Kernel:
        found.append(nest)
        return kernel(nest, *others)

    monkeypatch.setattr("syno.lower.backends.triton.kernel", kept)
    source_of(op, sizes)
    return found


def truncated(index: Index, values: dict[Var, Integers]) -> tuple[Any, Any]:
    """Return an index as C computes it, and where a quotient was of a number below zero."""
    total, below = np.asarray(index.start), np.asarray(False)
    for atom, factor in index.terms:
        if isinstance(atom, Var):
            value = values[atom]
        else:
            inner, under = truncated(atom.of, values)
            below = below | under | (inner < 0)
            value = (
                np.fix(inner / atom.by).astype(int) if atom.op == "//" else np.fmod(inner, atom.by)
            )
        total = total + factor * value
    return total, below


def places(nest: Nest) -> dict[Var, Integers]:
    """Return all values of all iterators; of the batch the first and the last alone."""
    variables = (*nest.outputs, *nest.loops)
    ranges = [
        np.arange(var.length) if var.length % BATCH else np.asarray([0, var.length - 1])
        for var in variables
    ]
    return dict(zip(variables, np.meshgrid(*ranges, indexing="ij", sparse=True), strict=True))


def faults(nest: Nest, batch: bool) -> int:
    """Count reads outside of memory, and those at an index that C and Python take for different."""
    found, at, lengths = 0, places(nest), Lengths(dynamic=batch)
    for load in nest.loads:
        inside = np.asarray(True)
        for each in load.conditions:
            place, _ = truncated(each.index, at)
            other = None if each.same is None else truncated(each.same, at)[0]
            inside = inside & (
                (place >= 0) & (place < each.length) if other is None else place == other
            )
        place, below = truncated(load.place, at)
        outside = (place < 0) | (place >= prod(lengths.of(load.value)))
        found += int(np.sum(inside & (below | outside)))
    return found


def drawn_operators(count: int) -> list[tuple[Operator, Sizes]]:
    """Return operators that the space gives, small ones."""
    rng, found = random.Random(3), []
    specs = [named_spec(name) for name in ("conv2d", "conv1d")]
    spaces = [SynthesisSpace(spec) for spec in specs]
    while len(found) < count:
        number = rng.randrange(len(specs))
        passed = spaces[number].roll_out(spaces[number].root(), rng)
        op = spaces[number].result(passed[-1]) if passed else None
        if op is not None:
            found.append((op, dict(specs[number].bindings[0])))
    return found


def test_what_is_read_lies_in_memory_and_below_zero_nothing_is_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = [(syno.parse(text), SIZES) for text in (PRODUCT, CHAIN)]
    checked = 0
    for op, sizes in [*known, *drawn_operators(40)]:
        batch = dynamic_batch(plan(op, sizes)) is not None
        for nest in nests_of(monkeypatch, op, sizes):
            assert faults(nest, batch) == 0, (str(op), sizes)
            checked += 1
    assert checked > 20


def test_a_read_outside_of_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    (nest,) = nests_of(monkeypatch, syno.parse(CHAIN), SIZES)
    moved = replace(nest.loads[0], place=nest.loads[0].place + 1)
    assert faults(replace(nest, loads=(moved,)), batch=True) > 0
    (window,) = nests_of(monkeypatch, syno.parse(WINDOW), SIZES)
    unmasked = tuple(replace(load, conditions=()) for load in window.loads)
    assert faults(window, batch=True) == 0
    assert faults(replace(window, loads=unmasked), batch=True) > 0


# ------------------------------------------------------------------------------ source and compiler


def test_the_source_of_an_operator_as_a_file_to_review(request: pytest.FixtureRequest) -> None:
    row = NAMED["paper-operator-2"]
    update = bool(request.config.getoption("--update-golden"))
    golden = Golden(Path(__file__).parents[1] / "golden", update)
    golden.check("triton_paper_operator_2.txt", source_of(row.operator, dict(row.sizes)))


DRAWN = 12
COMPILE = """
import json, sys
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from syno.lower.backends import load_source, program_of, write_source
from syno.ir.parser import parse
from syno.zoo.named import NAMED

types = {"n": "i32", "TOTAL": "constexpr"}
known = [(row.operator, row.sizes) for row in NAMED.values()]
known += [(parse(text), sizes) for text, sizes in json.load(sys.stdin)]
for op, sizes in known:
    source = write_source(program_of(op, sizes, "triton"), "triton")
    for kernel in vars(load_source(source, "triton")).values():
        if isinstance(kernel, triton.JITFunction):
            signature = {each: types.get(each, "*fp32") for each in kernel.arg_names}
            source = ASTSource(kernel, signature, {"TOTAL": tl.float32})
            made = triton.compile(source, target=GPUTarget("cuda", 90, 32))
            print(made.asm["ptx"].count(".entry"), len(made.asm["cubin"]) > 0)
"""


def test_kernels_compile_for_a_cuda_device(tmp_path: Path) -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    made = subprocess.run(
        [sys.executable, "-c", COMPILE],
        input=json.dumps([(str(op), sizes) for op, sizes in drawn_operators(DRAWN)]),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    lines = made.stdout.splitlines()
    assert len(lines) > 7 + DRAWN // 2
    assert set(lines) == {"1 True"}
