"""What an operator has to fit: shapes, symbols, bindings and limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import product as cartesian

from syno.ir.errors import SizeError, SpecError
from syno.ir.size import ONE, Size, Values, product

Binding = Mapping[str, int]


@dataclass(frozen=True)
class Limits:
    """Limits of one operator: how often each primitive may be used, and how large it may be.

    `outer` bounds the coordinates that one contraction drops, `size_symbols` the symbols in a size;
    `weight_parameters` is the least, `parameters` the most, number of entries (the former for each
    weight under every binding, the latter in total over all bindings); None means no limit.
    """

    steps: int = 9
    weights: int = 2
    reductions: int = 4
    splits: int = 2
    merges: int = 1
    shifts: int = 1
    strides: int = 0
    unfolds: int = 2
    expands: int = 0
    outer: int = 2
    size_symbols: int = 3
    weight_parameters: int = 2
    parameters: int | None = None
    flops: tuple[int, int] | None = None
    domain: int | None = None
    rank: int | None = None


@dataclass(frozen=True)
class Spec:
    """A question to the search.

    `input` and `output` are shapes in text; `fixed` names output dimensions that pass untouched
    (the batch); `coefficients` are small constants with the largest exponent that a size may give
    them; every binding holds a value for every symbol, one binding for each place in the network.
    `windowed` names input dimensions that have to be read through a window: an operator that never
    sees a neighbour is no answer there.
    `untasted` names prunes that are out of place for this question.
    `reductions` and `blocks` list the sizes offered to `reduce` and `merge`; without a list, it is
    every primary symbol divided by coefficients and every product of coefficients.
    `powers` bounds the exponents of primary symbols in a size, where there is a bound;
    `occurrences` tells how often each binding stands in the network, once if it is not given.
    """

    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    coefficients: Mapping[str, int]
    bindings: tuple[Binding, ...]
    fixed: tuple[str, ...] = ()
    windowed: tuple[str, ...] = ()
    untasted: tuple[str, ...] = ()
    shifts: tuple[int, ...] = (1,)
    reductions: tuple[str, ...] | None = None
    blocks: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=Limits)
    powers: Mapping[str, int] = field(default_factory=dict)
    occurrences: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.occurrences and len(self.occurrences) != len(self.bindings):
            raise SpecError(
                f"The spec {self.name} has {len(self.bindings)} bindings and says of "
                f"{len(self.occurrences)} how often they occur: say it of each, or of none."
            )
        if not self.bindings:
            raise SpecError(
                f"The spec {self.name} has no binding: give at least one, with numbers."
            )
        for binding in self.bindings:
            for size in (*self.input_sizes, *self.output_sizes):
                _positive(self.name, size, binding)
        for symbol in self.fixed:
            size = Size.symbol(symbol)
            if size not in self.input_sizes or size not in self.output_sizes:
                raise SpecError(f"{symbol} is fixed in {self.name}, but is no dimension of both.")
        for size in self.windowed_sizes - set(self.input_sizes):
            raise SpecError(f"{size} has to be windowed in {self.name}, but is no dimension of x.")

    @cached_property
    def input_sizes(self) -> tuple[Size, ...]:
        """The input shape."""
        return tuple(Size.parse(text) for text in self.input)

    @cached_property
    def output_sizes(self) -> tuple[Size, ...]:
        """The output shape."""
        return tuple(Size.parse(text) for text in self.output)

    @cached_property
    def kept_sizes(self) -> frozenset[Size]:
        """Sizes of the dimensions that input and output have in common: places, not channels."""
        return frozenset(self.input_sizes) & frozenset(self.output_sizes)

    def up_to(self, steps: int) -> Spec:
        """Return the same question with another limit of steps."""
        return replace(self, limits=replace(self.limits, steps=steps))

    @cached_property
    def windowed_sizes(self) -> frozenset[Size]:
        """Sizes of the input dimensions that have to be read through a window."""
        return frozenset(Size.parse(text) for text in self.windowed)

    @cached_property
    def input_elements(self) -> tuple[int, ...]:
        """Elements of the input under each binding."""
        return tuple(product(list(self.input_sizes)).evaluate(each) for each in self.bindings)

    @cached_property
    def primaries(self) -> tuple[str, ...]:
        """Symbols of the shapes that are neither coefficients nor fixed, by name."""
        symbols = {
            name for size in (*self.input_sizes, *self.output_sizes) for name in size.symbols
        }
        return tuple(sorted(symbols - set(self.coefficients) - set(self.fixed)))

    @cached_property
    def values(self) -> Values:
        """Tells the value of a size under each binding; None unless all are positive integers."""
        return Values(self.bindings)

    @cached_property
    def _legal(self) -> dict[Size, bool]:
        return {}

    def is_legal(self, size: Size) -> bool:
        """Tell whether `size` may stand in an operator: exponents within limits, values integer."""
        if size not in self._legal:
            self._legal[size] = self._is_legal(size)
        return self._legal[size]

    def _is_legal(self, size: Size) -> bool:
        powers = dict(size.exponents)
        if size is ONE or len(powers) > self.limits.size_symbols:
            return False
        for name, power in powers.items():
            if name in self.coefficients:
                if abs(power) > self.coefficients[name]:
                    return False
            elif not 0 <= power <= self.powers.get(name, power):
                return False
        values = self.values(size)
        return values is not None and all(value > 1 for value in values)

    def is_small(self, size: Size) -> bool:
        """Tell whether `size` is made of coefficients alone, as a window is."""
        return bool(size.exponents) and all(name in self.coefficients for name in size.exponents)

    def fits_domain(self, terms: Size) -> bool:
        """Tell whether sums may have that many terms together, under every binding."""
        most = self.limits.domain
        if most is None:
            return True
        values = self.values(terms)
        if values is None:
            return False
        pairs = zip(values, self.input_elements, strict=True)
        return all(value <= most * elements for value, elements in pairs)

    def is_rank(self, size: Size) -> bool:
        """Tell whether a sum of this size may be dropped: one that ties two weights."""
        rank = self.limits.rank
        return rank is None or set(self.values(size) or ()) == {rank}

    @cached_property
    def reduction_sizes(self) -> tuple[Size, ...]:
        """Sizes that a reduction may have: those offered, else the whole family."""
        return self._offered(self.reductions)

    @cached_property
    def block_sizes(self) -> tuple[Size, ...]:
        """Sizes that the low part of a merge may have: those offered, else the whole family."""
        return self._offered(self.blocks)

    @cached_property
    def stride_sizes(self) -> tuple[Size, ...]:
        """Steps that a stride may have: every product of coefficients."""
        return tuple(size for size in self._small() if self.is_legal(size))

    def _offered(self, texts: tuple[str, ...] | None) -> tuple[Size, ...]:
        sizes = self._monomials() if texts is None else [Size.parse(text) for text in texts]
        return tuple(size for size in sizes if self.is_legal(size))

    def _monomials(self) -> list[Size]:
        """Return every primary symbol over coefficients, and every product of coefficients."""
        small = self._small()
        heads = [Size.symbol(name) for name in self.primaries]
        return sorted({*small, *(head / each for head in heads for each in small)})

    def _small(self) -> list[Size]:
        symbols = [Size.symbol(name) for name in self.coefficients]
        powers = list(cartesian(*(range(limit + 1) for limit in self.coefficients.values())))
        return [product([s**p for s, p in zip(symbols, each, strict=True)]) for each in powers]

    def digest(self) -> str:
        """Return a short fingerprint of everything in the spec, stable across processes."""
        content = asdict(self)
        content["bindings"] = [dict(sorted(each.items())) for each in self.bindings]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _positive(name: str, size: Size, binding: Binding) -> None:
    try:
        size.evaluate(binding)
    except SizeError as error:
        raise SpecError(f"The spec {name} cannot be bound: {error}") from None
