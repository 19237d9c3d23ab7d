"""Named specs: small ones for experiments and the one of a convolution site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from syno.ir.errors import SpecError
from syno.space.spec import Limits, Spec

COEFFICIENTS: Mapping[str, int] = {"k": 3, "s": 2, "g": 4}
_POWERS: Mapping[str, int] = {"k": 2, "s": 1, "g": 1}
_REDUCTIONS = ("C_in", "C_in/g", "C_in/s", "C_out/g", "C_out/s", "C_out/(g*s)", "k", "g", "s")
_BLOCKS = ("C_out/g", "C_out/s", "g", "s")

_POOLS = ("unweighted-sum",)  # where averages are the answer


def convolution_spec(bindings: Iterable[Mapping[str, int]], name: str = "conv2d") -> Spec:
    """Return the spec of operators in the place of 2-D convolutions.

    `bindings` hold C_in, C_out, H, W of every site; the coefficients k=3, s=2, g=4 are added.
    """
    sites = {(b["C_in"], b["C_out"], b["H"], b["W"]) for b in bindings}
    bound = tuple(
        {"N": 1, "C_in": i, "C_out": o, "H": h, "W": w, **COEFFICIENTS}
        for i, o, h, w in sorted(sites)
    )
    return Spec(
        name,
        ("N", "C_in", "H", "W"),
        ("N", "C_out", "H", "W"),
        _POWERS,
        bound,
        fixed=("N",),
        windowed=("H", "W"),
        reductions=_REDUCTIONS,
        blocks=_BLOCKS,
        limits=Limits(weight_parameters=40),
    )


def _conv2d() -> Spec:
    sizes = ({"C_in": 16, "C_out": 16, "H": 8, "W": 8}, {"C_in": 16, "C_out": 32, "H": 8, "W": 8})
    return convolution_spec(sizes)


def _conv1d() -> Spec:
    bound = ({"C_in": 8, "C_out": 16, "H": 12, "k": 3, "s": 2},)
    limits = Limits(steps=7, unfolds=1, reductions=3)
    return Spec("conv1d", ("C_in", "H"), ("C_out", "H"), {"k": 2, "s": 1}, bound, limits=limits)


def _linear() -> Spec:
    bound = ({"T": 6, "C_in": 8, "C_out": 16, "s": 2},)
    limits = Limits(steps=6, unfolds=0, shifts=0, reductions=3)
    shapes = ("T", "C_in"), ("T", "C_out")
    return Spec("linear", *shapes, {"s": 1}, bound, limits=limits)


def _pool1d() -> Spec:
    bound = ({"H": 12, "s": 2, "k": 3},)
    limits = Limits(steps=5, weights=1, reductions=2, strides=1)
    shapes = ("H",), ("H/s",)
    return Spec("pool1d", *shapes, {"s": 2, "k": 1}, bound, untasted=_POOLS, limits=limits)


def _image() -> Spec:
    bound = ({"H": 12, "W": 8, "k": 3, "s": 2},)
    limits = Limits(steps=5, weights=1, reductions=2)
    shapes = ("H", "W"), ("H", "W")
    return Spec("image", *shapes, {"k": 1, "s": 1}, bound, untasted=_POOLS, limits=limits)


_SPECS: Mapping[str, Callable[[], Spec]] = {
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "image": _image,
    "linear": _linear,
    "pool1d": _pool1d,
}


def named_spec(name: str) -> Spec:
    """Return the spec called `name`; SpecError with the known names otherwise."""
    if name not in _SPECS:
        raise SpecError(
            f"There is no spec called {name!r}; known are: {', '.join(sorted(_SPECS))}."
        )
    return _SPECS[name]()


def spec_names() -> tuple[str, ...]:
    """Return the names of all built-in specs."""
    return tuple(sorted(_SPECS))
