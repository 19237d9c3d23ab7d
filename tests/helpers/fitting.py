"""For every named operator, a question that it answers: as tight as is sensible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from syno.ir.steps import Step, steps
from syno.space.spec import Limits, Spec
from syno.zoo.named import NAMED

_IMAGE = {"N": 1, "C_in": 8, "C_out": 16, "C": 8, "H": 16, "W": 14, "k": 3, "s": 2, "g": 4}
_PAPER = {"N": 1, "C_in": 8, "C_out": 16, "H": 8, "W": 12, "k": 3, "G": 4, "R": 2}
_ROWS = {"T": 5, "C_in": 8, "C_out": 12, "R": 2}


@dataclass(frozen=True)
class Fitting:
    """The spec of one operator: what it offers, and the prunes that it needs off, with the reason.

    Without `reductions` and `blocks`, the spec offers its whole family of sizes.
    """

    sizes: Mapping[str, int]
    coefficients: Mapping[str, int]
    windowed: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ("N",)
    reductions: tuple[str, ...] | None = None
    blocks: tuple[str, ...] | None = None
    untasted: Mapping[str, str] = field(default_factory=dict)

    def spec(self, name: str) -> Spec:
        """Return the spec, with limits that are what the steps of the operator need."""
        op = NAMED[name].operator
        shapes = (tuple(str(size) for size in shape) for shape in (op.input, op.output))
        return Spec(
            name,
            *shapes,
            self.coefficients,
            (self.sizes,),
            fixed=self.fixed,
            windowed=self.windowed,
            untasted=tuple(self.untasted),
            reductions=self.reductions,
            blocks=self.blocks,
            limits=needed(steps(op)),
        )


def needed(taken: tuple[Step, ...]) -> Limits:
    """Return the least limits under which `taken` are allowed."""
    count = Counter(step.primitive for step in taken)
    outer = [len(set(s.consumes) - set(s.yields)) for s in taken if s.primitive == "contract"]
    return Limits(
        steps=len(taken),
        weights=count["contract"],
        reductions=count["reduce"],
        splits=count["split"],
        merges=count["merge"],
        shifts=count["shift"],
        strides=count["stride"],
        unfolds=count["unfold"],
        expands=count["expand"],
        outer=max(outer, default=0),
    )


_PLANE: Mapping[str, int] = {"k": 1}
_GROUPS: Mapping[str, int] = {"k": 1, "g": 1}
FITTING: Mapping[str, Fitting] = {
    "convolution": Fitting(_IMAGE, _PLANE, ("H", "W")),
    "grouped-convolution": Fitting(_IMAGE, _GROUPS, ("H", "W")),
    "depthwise-convolution": Fitting(
        _IMAGE,
        _PLANE,
        ("H", "W"),
        untasted={
            "weight-on-position": "a channel that stays where it is looks like a place",
            "contraction-without-outer": "a channel has a filter of its own and stays",
        },
    ),
    "pointwise-convolution": Fitting(_IMAGE, _PLANE),
    "dilated-convolution": Fitting(
        _IMAGE,
        {"k": 1, "s": 1},
        ("H", "W"),
        untasted={"even-window": "k places, every second of them, span an even number"},
    ),
    "separable-convolution": Fitting(
        _IMAGE,
        _PLANE,
        ("H", "W"),
        untasted={"contraction-without-outer": "the filters of the channels drop none of them"},
    ),
    "low-rank-convolution": Fitting({**_IMAGE, "R": 3}, {"k": 1, "R": 1}, ("H", "W")),
    "shifted-pointwise": Fitting(_IMAGE, _PLANE),
    "average-pooling": Fitting(
        _IMAGE, {"s": 1}, untasted={"unweighted-sum": "a mean is a sum that no weight sees"}
    ),
    "pixel-shuffle": Fitting(_IMAGE, {"s": 2}),
    "shifted-convolution-1d": Fitting(_IMAGE, _PLANE, ("H",), fixed=()),
    "linear": Fitting(_ROWS, {}, fixed=()),
    "low-rank-linear": Fitting(_ROWS, {"R": 1}, fixed=()),
    "paper-operator-1": Fitting(
        _PAPER, {"k": 1, "G": 1, "R": 1}, ("H", "W"), reductions=("C_in/G", "G", "R", "k")
    ),
    "paper-operator-2": Fitting(
        _PAPER, {"k": 1, "G": 1, "R": 1}, ("H", "W"), reductions=("C_in/G", "G", "R", "k")
    ),
    "gpt2-projection": Fitting(
        {"T": 5}, {}, fixed=("T",), reductions=("384", "768"), blocks=("16", "32", "2")
    ),
}
