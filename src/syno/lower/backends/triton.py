"""The `triton` backend: generated kernels for CUDA devices around the library calls of torch.

Convolutions, matrix products and large contractions are library calls. All else of a stage (rolls,
windows, shears, strides, products of few channels, sums) becomes one kernel that reads its operands
at the index that the views say, and writes its result in the layout that is wanted next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from syno.lower.backends.torch import HEADER as TORCH
from syno.lower.backends.torch import TorchWords
from syno.lower.backends.triton_kernels import Kernel, kernel
from syno.lower.backends.triton_nests import Lengths, Tracer, additions, progression
from syno.lower.build import build
from syno.lower.plan import describe, dynamic_batch
from syno.lower.program import Program, Statement, Value, contiguous
from syno.lower.text import write

_CHANNELS = 32  # channels of a group from which on a grouped library call is no waste
_LARGE = 64  # terms from which on a contraction is worth a library call and operands in memory
_VIEWS = ("reshape", "permute", "slice", "window", "repeat")

HEADER = """\
import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable


def total_of(x):
    \"\"\"The type of sums: single precision for half, that of x otherwise.\"\"\"
    if not (x.is_cuda or triton.knobs.runtime.interpret):
        raise RuntimeError(
            f"These kernels run on a CUDA device, and x is on {x.device}. To try them slowly on "
            "the CPU, set TRITON_INTERPRET=1 before Python starts."
        )
    return tl.float64 if x.dtype is torch.float64 else tl.float32"""

GRADIENT = """\
class Operator(torch.autograd.Function):
    \"\"\"Kernels forward; gradients are those of the same program in torch's own words.\"\"\"

    @staticmethod
    def forward(ctx, *tensors):
        ctx.save_for_backward(*tensors)
        return run(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        needed = ctx.needs_input_grad
        tensors = [each.detach() for each in ctx.saved_tensors]
        with torch.enable_grad():
            asked = [each.requires_grad_() for each, is_ in zip(tensors, needed) if is_]
            found = iter(torch.autograd.grad(eager(*tensors), asked, grad))
        return tuple(next(found) if is_ else None for is_ in needed)


def forward({names}):
    return Operator.apply({names})
"""


class TritonWords(TorchWords):
    """Torch's words for library calls and views of memory; a kernel is a function of its own."""

    def kernel(self, value: Value, *codes: str) -> str:
        batch = ["n"] if value.options["extents"] else []
        return f"{value.options['name']}({', '.join([*codes, *batch])})"


def source(program: Program) -> str:
    """Return the source of `forward(x, w1, ...)` on tensors of a CUDA device.

    The plan of `program` is built anew: which library calls are worth it is decided here.
    """
    return written(build(program.plan, None))


def written(program: Program) -> str:
    """Return the source of a program as it stands."""
    made = _Kernels(program)
    lowered = made.program()
    if not made.kernels:
        return write(lowered, TorchWords(), TORCH)
    eager = re.sub(r"\b(prepare|compute)\(", r"eager_\1(", write(program, TorchWords(), ""))
    parts = [
        HEADER,
        *(each.text for each in made.kernels),
        write(lowered, TritonWords(), "").replace("def forward(", "def run("),
        eager.replace("def forward(", "def eager("),
        GRADIENT.format(names=", ".join(str(each.options["name"]) for each in program.inputs)),
    ]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


class _Kernels:
    """A program in the making whose values are library calls, views of memory, and kernels."""

    def __init__(self, program: Program) -> None:
        self.old = program
        self.lengths = Lengths(dynamic=dynamic_batch(program.plan) is not None)
        self.stages = _stages(program)
        self.made: dict[Value, Value] = {each: each for each in program.inputs}
        self.kernels: list[Kernel] = []

    def program(self) -> Program:
        """Return the program with kernels in it."""
        result = self.lowered(self.old.result)
        statements = [
            Statement(self.made.get(each.value) if each.value else None, each.stage)
            for each in self.old.statements
            if each.stage is not None or each.value in self.made
        ]
        return Program(self.old.plan, self.old.inputs, tuple(statements), result)

    def lowered(self, value: Value) -> Value:
        """Return what puts a value into memory."""
        if value not in self.made:
            if is_call(value) or self.is_view(value):
                operands = tuple(map(self.lowered, value.operands))
                self.made[value] = _on(value, operands)
            else:
                self.made[value] = self.kernel(value)
        return self.made[value]

    def is_view(self, value: Value) -> bool:
        """Tell whether a value is a view, or one copy, of what lies in memory anyway."""
        copies = 0
        while value.op in _VIEWS:
            copies += value.copies
            (value,) = value.operands
        return copies < 2 and (value.op == "input" or is_call(value))

    def kernel(self, value: Value) -> Value:
        nest = Tracer(self.lengths, _in_memory).nest(value)
        ends = list(dict.fromkeys(load.value for load in nest.loads))
        operands = tuple(map(self.lowered, ends))
        plan = self.old.plan
        number = self.stages[value]
        remark = f"{number + 1}. {describe(plan.op, plan.stages[number])}"
        name = f"stage_{number + 1}"
        again = sum(each.name.startswith(name) for each in self.kernels)
        name += f"_{again + 1}" if again else ""
        made = kernel(nest, name, self.lengths.of(value), remark)
        self.kernels.append(made)
        options = {"name": made.name, "extents": ("n",) if made.batch else ()}
        shape = value.shape
        return Value("kernel", operands, shape, contiguous(shape), options, value.fixed)


def _in_memory(value: Value) -> bool:
    return value.op == "input" or is_call(value)


def is_call(value: Value) -> bool:
    """Tell whether a value is left to a library."""
    if value.op == "convolution":
        return value.options["groups"] == 1 or value.operands[1].shape[1] >= _CHANNELS
    if value.op == "linear":
        return True
    if value.op == "matmul":
        return len(value.operands[0].shape) == 2 or additions(value) >= _LARGE
    if value.op == "einsum":
        return value.fixed or (len(value.operands) > 1 and additions(value) >= _LARGE)
    return value.op == "add" and not progression(value)


def _on(value: Value, operands: tuple[Value, ...]) -> Value:
    """Return the same operation on other operands."""
    return Value(value.op, operands, value.shape, value.strides, value.options, value.fixed)


def _stages(program: Program) -> Mapping[Value, int]:
    """Return the stage of the plan in which each value is made."""
    found: dict[Value, int] = {}
    stage = 0

    def visit(value: Value) -> None:
        if value not in found:
            found[value] = stage
            for operand in value.operands:
                visit(operand)

    for each in program.statements:
        stage = stage if each.stage is None else each.stage
        if each.value is not None:
            visit(each.value)
    visit(program.result)
    return found
