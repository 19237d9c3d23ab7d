"""The registry of backends: from an operator to source and a function, from a network to a program.

A backend is a row of `BACKENDS` and a module with one or both of two functions. A *writer* has
`source(program)`, which writes the program of an operator so that a person can read it. A
*compiler* has `compile_module(module, example_inputs)`, which takes a whole torch module, makes it
fast for inputs of just those shapes, and returns a function of the same tensors.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.lower.build import build
from syno.lower.choice import choose
from syno.lower.machine import EAGER, Target
from syno.lower.plan import Plan, plan
from syno.lower.program import Program


class MissingBackend(OperatorError):
    """A backend whose packages are not installed."""


def _found(package: str) -> bool:
    """Return whether a package can be imported, or one within another as `iree.runtime`."""
    outer = package.rpartition(".")[0]
    return (not outer or _found(outer)) and find_spec(package) is not None


@dataclass(frozen=True)
class Backend:
    """One row: `module` is imported when first asked for, `packages` have to be installed.

    `calls` tells that it has library calls such as a convolution; `extra` names the extra of Syno
    that installs the packages. `gradient` tells whether what it makes can
    be differentiated by torch; `limits` says in sentences what it cannot do, and why.
    """

    name: str
    module: str
    summary: str
    writes: bool = False
    calls: bool = True
    compiles: bool = False
    packages: tuple[str, ...] = ()
    extra: str = ""
    gradient: bool = False
    limits: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether all packages that it needs can be found."""
        return not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that it needs and that cannot be found."""
        return tuple(package for package in self.packages if not _found(package))

    def load(self) -> ModuleType:
        """Return the backend's module; MissingBackend, with the remedy, where a package is."""
        missing = self.missing
        if missing:
            raise MissingBackend(
                f"The backend {self.name} needs {', '.join(missing)}, not installed here: "
                f"pip install 'syno[{self.extra}]'."
            )
        return import_module(self.module)


_HERE = "syno.lower.backends"

BACKENDS: Mapping[str, Backend] = {
    row.name: row
    for row in (
        Backend(
            "torch",
            f"{_HERE}.torch",
            "PyTorch, eager: library calls where a stage is one, views and einsum elsewhere",
            writes=True,
            compiles=True,
            packages=("torch",),
            gradient=True,
        ),
        Backend(
            "numpy",
            f"{_HERE}.numpy",
            "plain NumPy: views and einsum, one line for each step of the plan",
            writes=True,
            calls=False,
            limits=("no gradient: NumPy does not differentiate",),
        ),
        Backend(
            "triton",
            f"{_HERE}.triton",
            "Triton: a kernel of its own for each stage that is no library call, torch around them",
            writes=True,
            calls=False,  # it sets its calls itself: the model of times knows processors alone
            packages=("torch", "triton"),
            extra="compilers",
            gradient=True,
            limits=(
                "needs a CUDA device, or a slow interpreter: TRITON_INTERPRET=1 before its import",
                "gradients are those of the same program in torch's words: no kernels, first order",
                "blocks are not tuned, kernels use no matrix units: large products are calls",
                "sums of half precision are kept in single precision, all others in that of x",
                "tensors below 2^31 elements, all of one type, on the current device",
            ),
        ),
        Backend(
            "inductor",
            f"{_HERE}.inductor",
            "TorchInductor: torch's own compiler, on the graph of torch.export; parameters of a "
            "network are frozen",
            compiles=True,
            packages=("torch",),
            gradient=True,
            limits=(
                "only what torch.export takes: no control flow that depends on data",
                "gradients with respect to inputs alone: a compiled network is not trained",
                "needs a C++ compiler; a network takes seconds to half a minute",
            ),
        ),
        Backend(
            "aotinductor",
            f"{_HERE}.aotinductor",
            "AOTInductor: the same as a shared library, which runs without Python's share",
            compiles=True,
            packages=("torch",),
            limits=(
                "no gradient: the library holds the inference alone",
                "only what torch.export takes: no control flow that depends on data",
                "needs a C++ compiler; a network takes ten seconds to a minute",
            ),
        ),
        Backend(
            "onnx",
            f"{_HERE}.onnx",
            "ONNX Runtime: the network as an ONNX model, all graph optimizations on",
            compiles=True,
            packages=("onnx", "onnxscript", "onnxruntime"),
            extra="compilers",
            limits=(
                "no gradient: ONNX Runtime infers alone",
                "on the CPU alone, float32",
                "networks below 2 GB, the largest message of its format",
            ),
        ),
        Backend(
            "iree",
            f"{_HERE}.iree",
            "IREE: machine code for this processor, a whole network in seconds",
            compiles=True,
            packages=("iree.compiler", "iree.runtime", "iree.turbine"),
            extra="compilers",
            limits=(
                "no gradient: what IREE compiles is outside torch's automatic differentiation",
                "on the CPU alone, and without oneDNN: large convolutions take twice as long",
                "only operations that its front end for torch knows",
            ),
        ),
        Backend(
            "tvm",
            f"{_HERE}.tvm",
            "TVM: loops scheduled for this processor, with the records of tuning where it has some",
            compiles=True,
            packages=("tvm",),
            extra="compilers",
            limits=(
                "no gradient: what TVM compiles is outside torch's automatic differentiation",
                "on the CPU alone, float32: its schedules are written for vectors and registers",
                "only operations that TVM's front end for torch knows",
            ),
        ),
    )
}


@dataclass(frozen=True)
class Lowered:
    """An operator as a program: `source` for people, `function(x, *weights)` to run.

    Where weights have to be arranged before they can be used, `function` does that at every call;
    for inference `prepare(*weights)` does it once, and `compute(x, *prepared)` the rest.
    """

    plan: Plan
    backend: str
    source: str
    function: Callable[..., Any]
    prepare: Callable[..., tuple[Any, ...]] | None = None
    compute: Callable[..., Any] | None = None


def backend_named(name: str) -> Backend:
    """Return the row called `name`; OperatorError, with the known names, for an unknown one."""
    if name not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise OperatorError(f"There is no backend {name!r}; choose one of: {known}.")
    return BACKENDS[name]


def writers() -> tuple[str, ...]:
    """Return the names of the backends that write source."""
    return tuple(row.name for row in BACKENDS.values() if row.writes)


def lower(
    op: Operator,
    sizes: Mapping[str, int],
    backend: str = "torch",
    *,
    inference: bool = False,
    target: Target = EAGER,
) -> Lowered:
    """Return `op` under `sizes` as a program of `backend`, the fastest that is predicted.

    The function takes x of shape `op.input_shape(sizes)` and the weights w1, w2, ... in order; a
    leading dimension that passes untouched from x to y may have any length where the backend writes
    source. A compiler compiles the source of the torch backend for just these shapes.

    `inference` tells that what weights alone decide is done once, not at every call; `target`
    what the source will run on. Raises SizeError where a size is not a whole number,
    OperatorError for a backend that is unknown or not installed.
    """
    row = backend_named(backend)
    if not row.writes:
        target = replace(target, compiled=True)
    writer = backend if row.writes else "torch"
    made = program_of(op, sizes, writer, inference=inference, target=target)
    if row.writes:
        text = write_source(made, backend)
        module = load_source(text, backend)
        prepare, compute = (getattr(module, name, None) for name in ("prepare", "compute"))
        return Lowered(made.plan, backend, text, module.forward, prepare, compute)
    text = write_source(made, "torch")
    function = load_source(text, "torch").forward
    made_fast = BACKENDS["torch"].load().compiled_by(row.load(), made.plan, function)
    return Lowered(made.plan, backend, text, made_fast)


def program_of(
    op: Operator,
    sizes: Mapping[str, int],
    backend: str,
    *,
    inference: bool = False,
    target: Target = EAGER,
) -> Program:
    """Return the program of `op` that `backend` is to write; errors as `lower`."""
    if backend_named(backend).calls:
        return choose(op, sizes, inference=inference, target=target).program
    return build(plan(op, sizes), None, calls=False)


def write_source(program: Program, backend: str) -> str:
    """Return a program as source of `backend`; OperatorError where it writes none."""
    row = backend_named(backend)
    if not row.writes:
        raise OperatorError(
            f"The backend {backend} compiles whole networks and writes no source of its own; those "
            f"that do: {', '.join(writers())}."
        )
    write: Callable[[Program], str] = row.load().source
    return write(program)


def load_source(source: str, backend: str) -> ModuleType:
    """Run source of our own making in a module of its own and return it.

    The module is registered under a name made from its content: tracebacks show its lines, and
    torch.compile, which imports the module of a function by name, finds it.
    """
    name = f"syno.lower.generated_{backend}_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        file = f"<{name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        module = ModuleType(name, f"Generated by the {backend} backend.")
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102 -- our own source
        sys.modules[name] = module
    return sys.modules[name]
