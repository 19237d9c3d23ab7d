"""Sizes: monomials over named symbols, one packed integer each.

A size is a product of integer powers of symbols. The exponent vector is packed into one Python
int with a signed field for each symbol, so that multiplying is adding, dividing is subtracting and
comparing is comparing ints. A literal integer is the product of its primes, each prime a symbol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from syno.ir.errors import SizeError

LARGEST_LITERAL = 2**24  # found by trial division: larger ones are written as products

# Two sizes within the limit cannot overflow a field when they are multiplied: the product is
# checked when it is first met.
_FIELD_BITS = 12
_LARGEST_EXPONENT = 255
_HALF = 1 << (_FIELD_BITS - 1)
_SHIFT: dict[str, int] = {}
_SYMBOLS: list[str] = []
# The usual symbols have the first fields: sizes made of them compare alike in every process.
_USUAL = "N C_in H W C_out G B O C D K g k s R T L P Q E F M 2 3 5 7".split()
_INTERNED: dict[int, Size] = {}
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


class Size:
    """An interned monomial; equal sizes are the same object, so equality is `is`."""

    __slots__ = ("_text", "exponents", "packed")

    packed: int
    exponents: Mapping[str, int]
    _text: str

    def __new__(cls, packed: int = 0) -> Size:
        found = _INTERNED.get(packed)
        if found is None:
            found = super().__new__(cls)
            found.packed = packed
            found.exponents = _checked(_unpack(packed))
            found._text = _format(found.exponents)
            _INTERNED[packed] = found
        return found

    @staticmethod
    def symbol(name: str) -> Size:
        """Return the size that is the symbol `name` alone."""
        if not _NAME.fullmatch(name):
            raise SizeError(f"{name!r} is not a symbol: write a name such as C_in, H or k.")
        return Size(1 << _field(name))

    @staticmethod
    def integer(value: int) -> Size:
        """Return the literal size `value` (at least 1) as the product of its primes."""
        if not 1 <= value <= LARGEST_LITERAL:
            raise SizeError(
                f"{value} is not a size: a literal size is an integer from 1 to {LARGEST_LITERAL}."
            )
        packed, rest, prime = 0, value, 2
        while rest > 1:
            if prime * prime > rest:
                prime = rest
            while rest % prime == 0:
                packed += 1 << _field(str(prime))
                rest //= prime
            prime += 1
        return Size(packed)

    @staticmethod
    def parse(text: str) -> Size:
        """Read a size such as `C_in/(G*s)`, `k*k` or `384`; ParseError where it is none."""
        from syno.ir.grammar import parse_size

        return parse_size(text)

    def __mul__(self, other: Size) -> Size:
        return Size(self.packed + other.packed)

    def __truediv__(self, other: Size) -> Size:
        return Size(self.packed - other.packed)

    def __pow__(self, exponent: int) -> Size:
        if abs(exponent) > _LARGEST_EXPONENT:
            raise _too_large(exponent)
        _checked({name: power * exponent for name, power in self.exponents.items()})
        return Size(self.packed * exponent)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Size({self._text!r})"

    def __lt__(self, other: Size) -> bool:
        return self._text < other._text

    def __reduce__(self) -> tuple[Callable[[str], Size], tuple[str]]:
        return Size.parse, (self._text,)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the symbols in it; the primes of literal integers are left out."""
        return frozenset(name for name in self.exponents if not name.isdigit())

    @property
    def may_be_whole(self) -> bool:
        """Whether values above 1 of its symbols can make it a whole number: not 3/2, not 1/N."""
        powers = self.exponents.values()
        return any(power > 0 for power in powers) if self.symbols else min(powers, default=1) > 0

    @property
    def is_multiple(self) -> bool:
        """Whether it is a whole number whatever its symbols stand for; `s*k` is, `C/g` is not."""
        return all(power > 0 for power in self.exponents.values())

    def fraction(self, sizes: Mapping[str, int]) -> Fraction:
        """Return the exact value under `sizes`; SizeError where a symbol has no value."""
        value = Fraction(1)
        for name, exponent in self.exponents.items():
            value *= Fraction(_value_of(name, sizes, self)) ** exponent
        return value

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Return the value under `sizes`; SizeError where it is not a positive integer."""
        above = below = 1
        for name, exponent in self.exponents.items():
            value = _value_of(name, sizes, self)
            if exponent > 0:
                above *= value**exponent
            else:
                below *= value**-exponent
        whole, rest = divmod(above, below)
        if rest:
            given = ", ".join(f"{name}={sizes[name]}" for name in sorted(self.symbols))
            raise SizeError(
                f"The size {self} is {Fraction(above, below)} under {given}: it has to be a whole "
                "number. Choose sizes that divide, or another coefficient."
            )
        return whole


class Values:
    """The values of sizes under several bindings; all of them are remembered."""

    def __init__(self, bindings: Iterable[Mapping[str, int]]) -> None:
        self.bindings = tuple(bindings)
        self._known: dict[Size, tuple[int, ...] | None] = {}

    def __call__(self, size: Size) -> tuple[int, ...] | None:
        """Return the value of `size` under each binding; None unless all are positive integers."""
        if size not in self._known:
            try:
                found = tuple(size.evaluate(binding) for binding in self.bindings)
            except SizeError:
                found = None
            self._known[size] = found
        return self._known[size]


def product(sizes: list[Size] | tuple[Size, ...]) -> Size:
    """Return the product of `sizes`; ONE for an empty list."""
    total = ONE
    for size in sizes:
        total = total * size
    return total


def _checked(exponents: dict[str, int]) -> dict[str, int]:
    for power in exponents.values():
        if abs(power) > _LARGEST_EXPONENT:
            raise _too_large(power)
    return exponents


def _too_large(exponent: int) -> SizeError:
    return SizeError(
        f"A size with the exponent {exponent} is too large: exponents go up to {_LARGEST_EXPONENT}."
    )


def _field(name: str) -> int:
    if name not in _SHIFT:
        _SHIFT[name] = len(_SYMBOLS) * _FIELD_BITS
        _SYMBOLS.append(name)
    return _SHIFT[name]


for _name in _USUAL:
    _field(_name)


def _unpack(packed: int) -> dict[str, int]:
    """Return the exponents, literal primes first, then the symbols by name."""
    found: dict[str, int] = {}
    rest, index = packed, 0
    while rest != 0:
        exponent = ((rest + _HALF) & (2 * _HALF - 1)) - _HALF
        if exponent:
            found[_SYMBOLS[index]] = exponent
        rest = (rest - exponent) >> _FIELD_BITS
        index += 1
    return dict(sorted(found.items(), key=lambda item: (not item[0].isdigit(), item[0])))


def _format(exponents: Mapping[str, int]) -> str:
    above = _factors({name: power for name, power in exponents.items() if power > 0})
    below = _factors({name: -power for name, power in exponents.items() if power < 0})
    top = "*".join(above) or "1"
    if not below:
        return top
    return f"{top}/{below[0]}" if len(below) == 1 else f"{top}/({'*'.join(below)})"


def _factors(powers: Mapping[str, int]) -> list[str]:
    """Return the factors to print; the literal in parts that `Size.parse` reads back."""
    found, literal = [], 1
    for name, power in powers.items():
        for _ in range(power):
            if not name.isdigit():
                found.append(name)
            elif literal * int(name) <= LARGEST_LITERAL:
                literal *= int(name)
            else:
                found.append(str(literal))
                literal = int(name)
    return ([str(literal)] if literal > 1 else []) + found


def _value_of(name: str, sizes: Mapping[str, int], size: Size) -> int:
    if name.isdigit():
        return int(name)
    if name not in sizes:
        known = ", ".join(sorted(sizes)) or "none"
        raise SizeError(
            f"The symbol {name} in the size {size} has no value; given are: {known}. "
            f"Add it, for example {name}=4."
        )
    value = sizes[name]
    if value < 1:
        raise SizeError(f"The symbol {name} is {value}: a size is a positive integer.")
    return value


ONE = Size(0)
