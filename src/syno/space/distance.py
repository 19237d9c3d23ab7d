"""Shape distance: a lower bound on the steps from a state to the input shape (design section 4).

It sees sizes only, so that it is memoized on the multiset of current sizes and the budgets left.
Each input dimension is made from a group of coordinates: splits multiply them, windows are unfolded
onto them, and a missing factor costs a reduction (and a split). What is in no group becomes a
window of a place, or is dropped by contractions. Merges are tried one after the other, of what is
there and of what a step makes larger first.

Where taste keeps places apart (they are neither cut, nor joined, nor read by weights), a place is
its own dimension for good: only its windows are counted, and the search is over the rest alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from syno.ir.size import Size
from syno.space.spec import Spec

INFINITE = 10**6
Abstract = tuple[tuple[int, int], ...]
"""Current coordinates as (packed size, flags), sorted.

Flag 1 is an untied reduction, flag 2 is made of sums alone; each higher bit is a weight of which
all coordinates are current, or the parts they are cut into: one more weight that sees them all
would absorb it.
"""
UNTIED = 1
ONLY_SUMS = 2
TIES = 4


class Budget(NamedTuple):
    """What may still be used, and the number of places that still lack their window.

    `all_seen` tells that one weight has seen everything: it absorbs another one that sees no new
    reduction.
    """

    merges: int
    weights: int
    unfolds: int
    reductions: int
    splits: int
    windows: int = 0
    all_seen: bool = False


class Distance:
    """The distance to one spec's input, memoized over the whole search.

    `apart` counts the sizes of the places that are kept apart: neither they nor coordinates that
    move over them are counted. `slides` tells whether taste lets a small size be a window, `joins`
    whether it lets a split make a size, `weighted` whether every sum has to be seen by a weight.
    """

    def __init__(
        self,
        spec: Spec,
        apart: Counter[Size] | None = None,
        slides: Callable[[Size], bool] = lambda _size: True,
        joins: Callable[[Size], bool] = lambda _size: True,
        *,
        weighted: bool = False,
    ) -> None:
        self.spec = spec
        self.apart = apart or Counter()
        self.slides = slides
        self.joins = joins
        self.weighted = weighted
        fixed = {Size.symbol(name) for name in spec.fixed}
        free = Counter(size for size in spec.input_sizes if size not in fixed) - self.apart
        self.targets = tuple(size.packed for size in free.elements())
        self._blocks = tuple(size.packed for size in spec.block_sizes)
        self._parts = frozenset(
            part
            for size in spec.reduction_sizes
            for block in spec.block_sizes
            if block is not size and spec.is_legal(size / block)
            for part in (block.packed, (size / block).packed)
        )
        self._windows: dict[int, bool] = {}
        self._ranks: dict[int, bool] = {}
        self._joins: dict[int, bool] = {}
        self._joint: dict[tuple[int, ...], tuple[tuple[int, int], ...]] = {}
        self._known: dict[tuple[Abstract, Budget], int] = {}
        self._groups: dict[tuple[tuple[int, ...], int, bool], list[tuple[int, int, int]]] = {}
        self._costs: dict[tuple[tuple[int, ...], int], tuple[tuple[int, int], ...]] = {}
        self._masks: dict[tuple[int, ...], list[tuple[int, ...]]] = {}

    def __call__(self, coords: Iterable[tuple[int, int]], budget: Budget) -> int:
        """Return a lower bound on the steps needed from `coords`, each as (packed size, flags).

        Never above the truth; INFINITE where the input shape is out of reach.
        """
        key = (tuple(sorted(coords)), budget)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._search(*key)
        return found

    def _search(self, coords: Abstract, budget: Budget) -> int:
        best = self._without_merge(coords, budget)
        if budget.merges > 0 and best > 1:
            rest = budget._replace(merges=budget.merges - 1)
            for child in self._merged(coords):
                best = min(best, 1 + self(child, rest))
            for cost, child in self._grown_and_merged(coords, budget):
                if 1 + cost < best:
                    best = min(best, 1 + cost + self(child, rest))
        return best

    def _merged(self, coords: Abstract) -> Iterator[Abstract]:
        for place, (size, flags) in enumerate(coords):
            if coords[place] in coords[:place]:
                continue
            for block in self._blocks:
                if self._cuts(size, block):
                    rest = (*coords[:place], *coords[place + 1 :])
                    yield (*rest, (size - block, flags), (block, flags))

    def _stays(self, size: int, flags: int) -> bool:
        """Tell whether a coordinate is a sum that no weight may drop."""
        return bool(flags & ONLY_SUMS) and not self.is_rank(size)

    def is_rank(self, size: int) -> bool:
        """Tell whether a sum of a packed size may be dropped."""
        if size not in self._ranks:
            self._ranks[size] = self.spec.is_rank(Size(size))
        return self._ranks[size]

    def _cuts(self, size: int, block: int) -> bool:
        return block != size and self.spec.is_legal(Size(size - block))

    def _grown_and_merged(self, coords: Abstract, budget: Budget) -> Iterator[tuple[int, Abstract]]:
        """Yield (steps before the merge, child) for merges of what has to be made larger first.

        That is needed only where the block divides none of the parts: else a part is merged alone.
        """
        for count in range(2, budget.splits + 2):
            for places in combinations(range(len(coords)), count):
                flags = _together(coords[place][1] for place in places)
                rest = [each for place, each in enumerate(coords) if place not in places]
                sizes = tuple(coords[place][0] for place in places)
                for parts in self._joint_cuts(sizes) if self.can_join(sum(sizes)) else ():
                    yield count - 1, (*rest, *((part, flags) for part in parts))
        for place, (size, flags) in enumerate(coords):
            rest = [*coords[:place], *coords[place + 1 :]]
            for cost, other in self._growths(budget):
                for parts in self._joint_cuts((size, other)):
                    yield cost, (*rest, *((part, flags & ~UNTIED) for part in parts))

    def _growths(self, budget: Budget) -> Iterator[tuple[int, int]]:
        """Yield (steps, packed size) of what a coordinate can be multiplied by."""
        if self.spec.limits.strides:
            yield from ((1, size.packed) for size in self.spec.stride_sizes)
        if budget.splits and budget.reductions:
            yield from ((2, size.packed) for size in self.spec.reduction_sizes)

    def _joint_cuts(self, sizes: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Return (high, low) for every merge of the product of `sizes` that no factor allows."""
        if sizes not in self._joint:
            whole = sum(sizes)
            self._joint[sizes] = tuple(
                (whole - block, block)
                for block in self._blocks
                if self._cuts(whole, block)
                and not any(size == block or self._cuts(size, block) for size in sizes)
            )
        return self._joint[sizes]

    def _without_merge(self, coords: Abstract, budget: Budget) -> int:
        sizes = tuple(size for size, _ in coords)
        fresh = budget.reductions > 0
        options = [self._options(sizes, target, fresh=fresh) for target in self.targets]
        rests: dict[tuple[int, int], int] = {}
        best = INFINITE
        untied = any(flags & UNTIED for _, flags in coords)
        ties = self._ties(coords)
        most = self._most_parts(budget.reductions, budget.merges)
        # Where places are apart, groups have no windows: without strides, splits alone make them.
        only_splits = bool(self.apart) and not self.spec.limits.strides
        hopeless = self._hopeless(coords)

        def choose(place: int, free: int, cost: int, fresh: int) -> None:
            nonlocal best
            if place == len(options):
                if free & hopeless or (only_splits and cost - fresh > budget.splits):
                    return
                if (free, fresh) not in rests:
                    left = [each for spot, each in enumerate(coords) if free >> spot & 1]
                    least = int(self.weighted and (untied or fresh > 0))
                    rests[free, fresh] = self._rest(left, budget, least, fresh, ties)
                best = min(best, cost + rests[free, fresh])
                return
            for price, new, mask in options[place]:
                if cost + price >= best:
                    return
                if mask & free == mask and fresh + new <= most:
                    choose(place + 1, free & ~mask, cost + price, fresh + new)

        choose(0, (1 << len(sizes)) - 1, 0, 0)
        return best

    def _hopeless(self, coords: Abstract) -> int:
        """Return the places, as bits, of what has to be part of the input: it cannot be got rid of.

        That is a sum that no weight may drop and that is no window.
        """
        if not self.apart and self.spec.limits.unfolds:
            return 0
        return sum(
            1 << place
            for place, (size, flags) in enumerate(coords)
            if self._stays(size, flags) and not self.can_slide(size)
        )

    def _most_parts(self, reductions: int, merges: int) -> int:
        """Return how many coordinates `reductions` new ones can become.

        A merge makes two of one; merges of what is there are tried apart.
        """
        return reductions + (merges if reductions > 0 and self._parts else 0)

    def _enough(self, windows: int, others: int, budget: Budget) -> bool:
        """Tell whether the reductions left give that many new windows and other coordinates."""
        if self._parts_slide:
            return windows + others <= self._most_parts(budget.reductions, budget.merges)
        left = budget.reductions - windows
        return left >= 0 and others <= self._most_parts(left, budget.merges)

    @cached_property
    def _parts_slide(self) -> bool:
        """Whether a merge of a new reduction may make a window."""
        return any(map(self.can_slide, self._parts))

    def _ties(self, coords: Abstract) -> Mapping[int, int]:
        """Return the number of coordinates of each weight that one more weight could absorb.

        Left out are those of which a coordinate may be a window, and all where coordinates can be
        got rid of otherwise.
        """
        if not self.apart or self.spec.limits.expands:
            return {}
        found: dict[int, int] = {}
        for size, flags in coords:
            for bit in _bits(flags):
                found[bit] = found.get(bit, 0) + (INFINITE if self.can_slide(size) else 1)
        return found

    def _rest(
        self,
        left: list[tuple[int, int]],
        budget: Budget,
        least: int,
        fresh: int,
        ties: Mapping[int, int],
    ) -> int:
        """Return the steps that get rid of `left`: windows of places, contractions, expands.

        There are `least` contractions or more, for reductions that have to be weighted; `fresh`
        parts of the input are made of new reductions.
        """
        sizes = [size for size, _ in left]
        tied = sum(self.can_slide(size) and not flags & UNTIED for size, flags in left)
        untied = sum(self.can_slide(size) and bool(flags & UNTIED) for size, flags in left)
        loose = sum(flags & UNTIED for _, flags in left)
        absorbs = any(
            sum(bool(flags & bit) for _, flags in left) == count for bit, count in ties.items()
        )
        if absorbs and budget.weights < 2:
            return INFINITE
        splits = budget.splits if self._some_join(sizes) else 0
        best = INFINITE
        stays = sum(self._stays(size, flags) for size, flags in left) if self.apart else 0
        for first in range(untied + 1 if self.apart else 1):
            for second in range(tied + 1 if self.apart else 1):
                used = first + second
                if used < stays:
                    continue
                missing = max(budget.windows - used, 0)
                enough = self._enough(missing, fresh, budget)
                if not enough or self._lacks_unfolds(sizes, used, missing, budget):
                    continue
                dropped = self._drop(len(left) - used, loose > first, budget, splits)
                needed = max(least, int(self.weighted and missing > 0), 2 * int(absorbs))
                if dropped < needed:
                    dropped = needed if needed <= budget.weights else INFINITE
                if dropped and budget.all_seen and not fresh and not missing:
                    dropped = self._with_something_new(dropped, used, budget)
                best = min(best, used + 2 * missing + dropped)
        return best

    def _with_something_new(self, dropped: int, used: int, budget: Budget) -> int:
        """Return the steps where weights that drop something have nothing new to see.

        A new reduction becomes one more window, or ties two weights.
        """
        if not self.apart or self.spec.limits.expands:
            return dropped
        if not budget.reductions:
            return INFINITE
        ways = [max(dropped, 2) + 1] if budget.weights > 1 else []
        if budget.unfolds > used and self._new_slide:
            ways.append(dropped + 2)
        return min(ways, default=INFINITE)

    @cached_property
    def _new_slide(self) -> bool:
        """Whether a new reduction, or a part of one, may be a window."""
        sizes = (size.packed for size in self.spec.reduction_sizes)
        return self._parts_slide or any(map(self.can_slide, sizes))

    def _lacks_unfolds(self, sizes: list[int], used: int, missing: int, budget: Budget) -> bool:
        """Tell whether `used` windows of `sizes` and `missing` new ones are too many.

        Two windows may be split into one first, which takes as many steps as to unfold both.
        """
        if max(budget.windows, int(used > 0)) > budget.unfolds:
            return True
        joined = used + missing - budget.unfolds
        if joined <= 0:
            return False
        small = [size for size in sizes if self.can_slide(size)]
        fresh = [size.packed for size in self.spec.reduction_sizes if self.can_slide(size.packed)]
        return joined > budget.splits or not self._some_join(small + fresh * missing)

    def _some_join(self, sizes: list[int]) -> bool:
        """Tell whether a split may make one coordinate of two of `sizes`."""
        return any(self.can_join(one + two) for one, two in combinations(sizes, 2))

    def can_join(self, size: int) -> bool:
        """Tell whether a split may make a packed size."""
        if size not in self._joins:
            whole = Size(size)
            self._joins[size] = self.spec.is_legal(whole) and self.joins(whole)
        return self._joins[size]

    def _drop(self, count: int, has_untied: bool, budget: Budget, splits: int) -> int:
        """Return the steps that get rid of `count` coordinates: contractions, or expands.

        A reduction that no weight has seen takes two: one weight to tie it, another to keep it.
        What is too much for the contractions that are left is joined with something else first.
        """
        limits = self.spec.limits
        weights = budget.weights if limits.outer else 0
        if count == 0:
            return 0
        needed = max(-(-count // max(limits.outer, 1)), 2 if has_untied else 1)
        if needed <= weights:
            return needed
        if (has_untied and weights < 2) or not weights + limits.expands:
            return INFINITE
        left = count - weights * limits.outer
        others = limits.expands + splits + (0 if self.apart else budget.unfolds)
        return weights + left if left <= others else INFINITE

    def _options(
        self, sizes: tuple[int, ...], target: int, *, fresh: bool
    ) -> list[tuple[int, int, int]]:
        """Return (steps, new reductions, mask) for every group that can become `target`.

        Without `fresh`, none is made of new reductions.
        """
        key = (sizes, target, fresh)
        if key not in self._groups and not fresh and self.apart and not self.spec.limits.strides:
            self._groups[key] = sorted(
                (max(mask.bit_count() - 1, 0), 0, mask)
                for mask, total in enumerate(_sums(sizes))
                if total == target
            )
        elif key not in self._groups:
            self._groups[key] = sorted(
                (cost, new, mask)
                for mask, group in enumerate(self._subsets(sizes))
                for cost, new in self._group_costs(group, target)
                if fresh or not new
            )
        return self._groups[key]

    def _subsets(self, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the sub-multisets of `sizes`, at the place of their mask."""
        if sizes not in self._masks:
            found: list[tuple[int, ...]] = [()]
            for size in sizes:
                found += [(*group, size) for group in found]
            self._masks[sizes] = found
        return self._masks[sizes]

    def _group_costs(self, group: tuple[int, ...], target: int) -> tuple[tuple[int, int], ...]:
        """Return (steps, new reductions) that make `target` of exactly the sizes in `group`.

        `group` is sorted; none where that is out of reach.
        """
        key = (group, target)
        found = self._costs.get(key)
        if found is None:
            found = self._costs[key] = self._cheapest(group, target)
        return found

    def _cheapest(self, group: tuple[int, ...], target: int) -> tuple[tuple[int, int], ...]:
        limits = self.spec.limits
        small = [] if self.apart else [i for i, size in enumerate(group) if self.can_slide(size)]
        best: dict[int, int] = {}
        most = len(small) if self._some_join([group[i] for i in small]) else limits.unfolds
        for count in range(min(len(small), most) + 1 if limits.unfolds else 1):
            for windows in combinations(small, count):
                base = [size for i, size in enumerate(group) if i not in windows]
                for cost, fresh in self._base_costs(base, target, windowed=count > 0):
                    best[fresh] = min(best.get(fresh, INFINITE), count + cost)
        return tuple(
            (cost, fresh)
            for fresh, cost in sorted(best.items())
            if all(cost < other for less, other in best.items() if less < fresh)
        )

    def _base_costs(
        self, base: list[int], target: int, *, windowed: bool
    ) -> Iterator[tuple[int, int]]:
        """Yield (steps, new reductions) that multiply `base` and what is missing to `target`.

        What a stride skips, a window has to read: a new one, if the group has none.
        """
        missing = target - sum(base)
        if missing == 0:
            yield max(len(base) - 1, 0), 0
            return
        factor = Size(missing)
        if not self._can_add(factor):
            return
        yield (len(base) + 1 if base else 1), 1
        if base and self.spec.limits.strides > 0 and self.spec.is_small(factor):
            yield len(base) + (0 if windowed else 2), 0

    def _can_add(self, missing: Size) -> bool:
        """Tell whether reductions may contribute the factor `missing`."""
        values = self.spec.values(missing)
        return values is not None and all(value > 1 for value in values)

    def can_slide(self, size: int) -> bool:
        """Tell whether a packed size may be that of a window."""
        if size not in self._windows:
            whole = Size(size)
            self._windows[size] = self.spec.is_small(whole) and self.slides(whole)
        return self._windows[size]


def _bits(flags: int) -> Iterator[int]:
    """Yield the bits of weights that are set."""
    rest = flags & ~(TIES - 1)
    while rest:
        bit = rest & -rest
        yield bit
        rest -= bit


def _together(flags: Iterable[int]) -> int:
    """Return the weights of which one of several coordinates is a part; whether all are sums."""
    found, only_sums = 0, ONLY_SUMS
    for each in flags:
        found |= each
        only_sums &= each
    return found & ~(TIES - 1) | only_sums


def _sums(sizes: tuple[int, ...]) -> list[int]:
    """Return the sum of every subset of `sizes`, at the place of its mask."""
    found = [0]
    for size in sizes:
        found += [total + size for total in found]
    return found
