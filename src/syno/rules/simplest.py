"""Sizes that have one value: the simplest stands for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product as cartesian

from syno.ir.size import Size, Values, product

_POWERS = range(-2, 3)


class Simplest:
    """Simplest sizes: of all that differ in coefficients alone and have the same values.

    A coefficient that varies between bindings is no constant: it is left as it stands.
    """

    def __init__(self, values: Values, coefficients: Iterable[str] = ()) -> None:
        self.values = values
        sizes = [Size.symbol(name) for name in sorted(coefficients)]
        self._constants = [size for size in sizes if len(set(values(size) or (0, 1))) == 1]
        self._known: dict[Size, Size] = {}

    def __call__(self, size: Size) -> Size:
        """Return the simplest size with the values of `size` under every binding."""
        found = self._known.get(size)
        if found is None:
            found = self._known[size] = min(self._alternatives(size), key=_cost)
        return found

    def _alternatives(self, size: Size) -> Iterable[Size]:
        yield size
        wanted = self.values(size)
        if wanted is None or len(self._constants) < 2:
            return
        names = [str(constant) for constant in self._constants]
        bare = size / product(
            [c ** size.exponents.get(n, 0) for c, n in zip(self._constants, names, strict=True)]
        )
        for powers in cartesian(_POWERS, repeat=len(self._constants)):
            factor = [c**p for c, p in zip(self._constants, powers, strict=True)]
            other = bare * product(factor)
            if self.values(other) == wanted:
                yield other


def _cost(size: Size) -> tuple[int, int, str]:
    powers = size.exponents.values()
    return sum(map(abs, powers)), sum(power < 0 for power in powers), str(size)


__all__ = ["Simplest"]
