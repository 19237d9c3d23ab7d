"""Index arithmetic of generated kernels: sums of iterators, with quotients and remainders.

An index is `c1*a1 + c2*a2 + ... + start`; an atom is an iterator, or the quotient or remainder of
an index by a number. Simplification knows how long iterators are: `(4*i + j) // 4` is `i` where j
is below 4.
Lengths that depend on the batch are multiples of `BATCH`, which prints as `n`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

BATCH = 1_000_003  # stands for the length of the batch; a prime, so that no other length holds it


@dataclass(frozen=True)
class Var:
    """An iterator from 0 to `length`; names are unique within a kernel."""

    name: str
    length: int


@dataclass(frozen=True)
class Part:
    """`of // by` or `of % by`."""

    op: str
    of: Index
    by: int


Atom = Var | Part


@dataclass(frozen=True)
class Index:
    """A sum of atoms with coefficients, and a number."""

    terms: tuple[tuple[Atom, int], ...] = ()
    start: int = 0

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.start + other)
        found = dict(self.terms)
        for atom, factor in other.terms:
            found[atom] = found.get(atom, 0) + factor
        terms = tuple((atom, factor) for atom, factor in found.items() if factor)
        return Index(terms, self.start + other.start)

    def __mul__(self, factor: int) -> Index:
        return Index(tuple((atom, each * factor) for atom, each in self.terms), self.start * factor)

    def __floordiv__(self, by: int) -> Index:
        whole, rest = self._apart(by)
        low, high = rest.bounds()
        if low >= 0 and high < by:
            return whole
        return whole + Index(((Part("//", rest, by), 1),))

    def __mod__(self, by: int) -> Index:
        _, rest = self._apart(by)
        low, high = rest.bounds()
        return rest if low >= 0 and high < by else Index(((Part("%", rest, by), 1),))

    def _apart(self, by: int) -> tuple[Index, Index]:
        """Return `whole` and `rest` with `self = whole * by + rest`."""
        whole = tuple((atom, factor // by) for atom, factor in self.terms if factor % by == 0)
        rest = tuple((atom, factor) for atom, factor in self.terms if factor % by)
        return Index(whole, self.start // by), Index(rest, self.start % by)

    def bounds(self) -> tuple[int, int]:
        """Return the least and the largest value, each atom taken for itself."""
        low = high = self.start
        for atom, factor in self.terms:
            ends = [factor * end for end in _ends(atom)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def vars(self) -> Iterator[Var]:
        """Yield the iterators in it."""
        for atom, _ in self.terms:
            if isinstance(atom, Var):
                yield atom
            else:
                yield from atom.of.vars()

    def parts(self) -> Iterator[Part]:
        """Yield all quotients and remainders in it."""
        for atom, _ in self.terms:
            if isinstance(atom, Part):
                yield atom
                yield from atom.of.parts()

    def replace(self, mapping: Mapping[Var, Index]) -> Index:
        """Return it with iterators replaced, simplified anew."""
        found = Index((), self.start)
        for atom, factor in self.terms:
            if isinstance(atom, Var):
                new = mapping.get(atom, Index(((atom, 1),)))
            else:
                inner = atom.of.replace(mapping)
                new = inner // atom.by if atom.op == "//" else inner % atom.by
            found += new * factor
        return found

    def __str__(self) -> str:
        texts = [_term(atom, factor) for atom, factor in self.terms]
        if self.start or not texts:
            texts.append(number(self.start))
        return " + ".join(texts).replace("+ -", "- ")


def _ends(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, Var):
        return 0, atom.length - 1
    low, high = atom.of.bounds()
    return (low // atom.by, high // atom.by) if atom.op == "//" else (0, atom.by - 1)


def _term(atom: Atom, factor: int) -> str:
    if isinstance(atom, Var):
        text = atom.name
    else:
        inner = str(atom.of)
        inner = f"({inner})" if " + " in inner or " - " in inner else inner
        by = number(atom.by)
        text = f"{inner} {atom.op} {f'({by})' if '*' in by else by}"
        text = text if factor == 1 else f"({text})"
    return text if factor == 1 else f"{number(factor)} * {text}"


def number(value: int) -> str:
    """Return a number as source, `n` standing for the batch."""
    if value == 0 or value % BATCH:
        return str(value)
    factor = value // BATCH
    return "n" if factor == 1 else f"{factor} * n"


def iterator(var: Var) -> Index:
    """Return an iterator as an index; one of length 1 is 0."""
    return Index() if var.length == 1 else Index(((var, 1),))


def joined(indices: Iterable[Index], lengths: Iterable[int]) -> Index:
    """Return the place of an element in memory that is contiguous in these dimensions."""
    found = Index()
    for index, length in zip(indices, lengths, strict=True):
        found = found * length + index
    return found


def apart(index: Index, lengths: Sequence[int]) -> tuple[Index, ...]:
    """Return the indices of the dimensions of which `index` is the place."""
    found = []
    for place, length in enumerate(lengths):
        index_here = index // prod(lengths[place + 1 :])
        first = not any(other != 1 for other in lengths[:place])
        found.append(Index() if length == 1 else index_here if first else index_here % length)
    return tuple(found)


def reshaped(index: Sequence[Index], new: Sequence[int], old: Sequence[int]) -> tuple[Index, ...]:
    """Return where element `index` of a tensor of lengths `new` stands in one of lengths `old`."""
    found: list[Index] = []
    start = 0
    for run in _runs(new, old):
        stop = start + run[0]
        place = joined(index[start:stop], new[start:stop])
        found += apart(place, old[len(found) : len(found) + run[1]])
        start = stop
    return tuple(found)


def _runs(new: Sequence[int], old: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield how many dimensions of either shape hold the same elements, as few as can be."""
    one = two = 0
    while one < len(new) or two < len(old):
        first, second = one, two
        sizes = [1, 1]
        while True:
            if two < len(old) and (sizes[1] < sizes[0] or one == len(new)):
                sizes[1] *= old[two]
                two += 1
            else:
                sizes[0] *= new[one]
                one += 1
            if sizes[0] == sizes[1]:
                break
        yield one - first, two - second


def cuts(var: Var, indices: Iterable[Index]) -> tuple[int, ...]:
    """Return the lengths into which quotients and remainders cut an iterator; () where unfit."""
    edges = {1, var.length}
    for part in (part for index in indices for part in index.parts()):
        edges |= _edges(part, var)
    ordered = sorted(edges)
    lengths = []
    for low, high in pairwise(ordered):
        if high % low:
            return ()
        lengths.append(high // low)
    return tuple(reversed(lengths))


def _edges(part: Part, var: Var) -> set[int]:
    if part.of == iterator(var):
        return {part.by}
    ((inner, factor), *more) = part.of.terms
    nested = isinstance(inner, Part) and factor == 1 and not more and not part.of.start
    if nested and isinstance(inner, Part) and inner.op == "//" and inner.of == iterator(var):
        return {inner.by, inner.by * part.by}
    return set()
