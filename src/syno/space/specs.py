"""Named specs: small ones, which can be enumerated, and those of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syno.ir.errors import SpecError
from syno.space.networks import NETWORKS
from syno.space.spec import Limits, Spec

# Prunes that are out of place:
_POOLS = ("unweighted-sum",)  # where averages are the answer
_TINY = ("wide-window",)  # where places are few, so that fingerprints are quick

# The bindings of the small specs are as small as their sizes let them be, and two each: what holds
# under both by chance alone is little, so that two operators that are equal there are equal.
_FEW_REDUCTIONS = ("C_in", "C_in/s", "C_out/s", "k", "s")
_FEW_BLOCKS = ("C_in/s", "C_out/s", "s")


def _conv2d() -> Spec:
    return Spec(
        "conv2d",
        ("C_in", "H", "W"),
        ("C_out", "H", "W"),
        {"k": 1, "s": 1},
        (
            {"C_in": 4, "C_out": 6, "H": 4, "W": 6, "k": 3, "s": 2},
            {"C_in": 6, "C_out": 10, "H": 6, "W": 4, "k": 3, "s": 2},
        ),
        untasted=_TINY,
        reductions=_FEW_REDUCTIONS,
        blocks=_FEW_BLOCKS,
    )


def _conv1d() -> Spec:
    return Spec(
        "conv1d",
        ("C_in", "H"),
        ("C_out", "H"),
        {"k": 1, "s": 1},
        (
            {"C_in": 4, "C_out": 10, "H": 6, "k": 3, "s": 2},
            {"C_in": 10, "C_out": 4, "H": 8, "k": 3, "s": 2},
        ),
        untasted=_TINY,
        reductions=_FEW_REDUCTIONS,
        blocks=_FEW_BLOCKS,
        limits=Limits(steps=7, unfolds=1, reductions=3),
    )


def _linear() -> Spec:
    return Spec(
        "linear",
        ("T", "C_in"),
        ("T", "C_out"),
        {"s": 1},
        (
            {"T": 4, "C_in": 6, "C_out": 10, "s": 2},
            {"T": 12, "C_in": 8, "C_out": 20, "s": 2},
        ),
        limits=Limits(steps=6, unfolds=0, shifts=0, reductions=3),
    )


def _pool1d() -> Spec:
    return Spec(
        "pool1d",
        ("H",),
        ("H/s",),
        {"k": 1, "s": 2},
        ({"H": 24, "k": 3, "s": 2}, {"H": 60, "k": 3, "s": 2}),
        untasted=_POOLS,
        reductions=("k", "s"),
        blocks=("s",),
        limits=Limits(steps=5, weights=1, reductions=2, merges=2, shifts=2, strides=1),
    )


def _image() -> Spec:
    return Spec(
        "image",
        ("H", "W"),
        ("H", "W"),
        {"k": 1, "s": 1},
        ({"H": 12, "W": 18, "k": 3, "s": 2}, {"H": 18, "W": 12, "k": 3, "s": 2}),
        untasted=_POOLS,
        reductions=("k", "s"),
        blocks=("s",),
        limits=Limits(steps=5, weights=1, reductions=2, merges=2, shifts=2),
    )


_SMALL: Mapping[str, Callable[[], Spec]] = {
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "image": _image,
    "linear": _linear,
    "pool1d": _pool1d,
}


def named_spec(name: str) -> Spec:
    """Return the spec called `name`, small or of a network; SpecError with the known ones else."""
    known = {**_SMALL, **NETWORKS}
    if name not in known:
        raise SpecError(f"There is no spec called {name!r}; known are: {', '.join(sorted(known))}.")
    return known[name]()


def small_spec(name: str) -> Spec:
    """Return the small spec called `name`; SpecError for one that is too large to be enumerated."""
    spec = named_spec(name)
    if name not in _SMALL:
        raise SpecError(
            f"{name} is the spec of a network, too large to be enumerated; "
            f"those that can be are: {', '.join(small_spec_names())}."
        )
    return spec


def spec_names() -> tuple[str, ...]:
    """Return the names of all built-in specs."""
    return tuple(sorted({**_SMALL, **NETWORKS}))


def small_spec_names() -> tuple[str, ...]:
    """Return the names of the specs that can be enumerated."""
    return tuple(sorted(_SMALL))
