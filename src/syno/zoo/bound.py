"""Operators whose coefficients are written into them, so that a layer's own sizes suffice.

In one network, two groups here and four there are two operators, although they are one formula.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from syno.ir.errors import OperatorError
from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.ir.size import Size
from syno.zoo.named import NAMED
from syno.zoo.shelf import found

_CALL = re.compile(r"(?P<name>[A-Za-z][\w-]*)(?P<sizes>(?:\s+[A-Za-z]\w*=[^\s=]+)*)")
_OF_LAYERS = frozenset({"N", "C_in", "C_out", "H", "W"})
_OF_FOUND = {"k": 3, "s": 2, "g": 4}  # the coefficients of the searches that found them

SizeValue = int | str


@dataclass(frozen=True)
class BoundOperator:
    """An operator without coefficients, and what it is called.

    `name` is the name of a known operator with all sizes written into it, such as
    `grouped-convolution g=4 k=3`, or the operator's own text: `bound(name)` is this again.
    """

    name: str
    operator: Operator

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """The name, or of a formula the line that says what is summed."""
        return self.name.splitlines()[-1]


def bound(text: str, sizes: Mapping[str, SizeValue] | None = None) -> BoundOperator:
    """Return the operator that `text` says, with its coefficients written into it.

    `text` is a formula, or the name of a known operator, perhaps with sizes of its own:
    `paper-operator-2 G=8 R=C_out/16`. These come before `sizes`, and those before what a known
    operator brings. Raises OperatorError for an unknown name, ParseError or SizeError for text that
    cannot be read.
    """
    match = _CALL.fullmatch(text.strip())
    if match is None:
        op = bind(parse(text), sizes or {})
        return BoundOperator(str(op), op)
    formula, known = look_up(match["name"])
    given = dict(each.split("=") for each in match["sizes"].split())
    op = parse(formula)
    chosen = {
        name: str(Size.parse(str(value)))
        for name, value in {**known, **(sizes or {}), **given}.items()
        if name in _coefficients(op)
    }
    if unused := sorted(given.keys() - chosen.keys()):
        raise OperatorError(
            f"{match['name']} has no coefficient called {unused[0]}; it has: "
            f"{', '.join(sorted(_coefficients(op))) or 'none'}."
        )
    told = [f"{name}={value}" for name, value in sorted(chosen.items())]
    return BoundOperator(" ".join([match["name"], *told]), bind(op, chosen))


def look_up(name: str) -> tuple[str, Mapping[str, int]]:
    """Return the formula of a known operator and sizes of its own; OperatorError for no such."""
    if name in NAMED:
        return NAMED[name].text, NAMED[name].sizes
    if name in found():
        return found()[name].text, _OF_FOUND
    known = ", ".join(sorted([*NAMED, *found()]))
    raise OperatorError(f"There is no operator called {name!r}; known are: {known}.")


def bind(op: Operator, sizes: Mapping[str, SizeValue]) -> Operator:
    """Return `op` with numbers, or other sizes, in the place of its coefficients.

    What a layer gives (N, C_in, C_out, H, W, and the first dimension of the input) stays.
    """
    names = sorted(_coefficients(op) & sizes.keys(), key=len, reverse=True)
    if not names:
        return op
    pattern = rf"\b({'|'.join(names)})\b"  # the text gives no iterator the name of a symbol
    return parse(re.sub(pattern, lambda match: f"({sizes[match[1]]})", str(op)))


def _coefficients(op: Operator) -> frozenset[str]:
    return op.symbols - _OF_LAYERS - op.input[0].symbols
