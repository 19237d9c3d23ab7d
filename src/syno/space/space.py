"""The space of one spec: legal moves, guided by the distance, pruned by rules and taste.

It offers the protocol that every strategy of `syno.search` sees: `root`, `moves`, `apply`,
`result`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import permutations
from math import prod
from random import Random

from syno.ir.coord import Coord, output, reduce
from syno.ir.errors import OperatorError, SpecError
from syno.ir.operator import Index, Operator, follows, normal_index
from syno.ir.size import ONE, Size
from syno.ir.steps import is_buildable
from syno.ir.verify import verify
from syno.lower.cost import Costs
from syno.rules import RULES, Canonical, Rule
from syno.rules.classes import Classes
from syno.space.distance import INFINITE, ONLY_SUMS, TIES, UNTIED, Budget, Distance
from syno.space.moves import after, candidates, is_candidate, is_wasted, lacks_window, made
from syno.space.paths import path_to
from syno.space.prunes import Taste, is_place
from syno.space.rollouts import Rollouts
from syno.space.spec import Binding, Spec
from syno.space.state import COUNTED, Move, State


class SynthesisSpace:
    """States and moves of one spec; `rules` and `guided` are switches for experiments.

    With rules, states and operators are in canonical form: what the rules make equal is one state.
    Without any (`rules=()`), every spelling is a state of its own. With `distinct`, an operator
    that equals an earlier one is not offered even where no rule says so: it is recognized by its
    fingerprint, which the bindings have to be small enough for.

    Rollouts are near-uniform over all operators, and most of these are long. With `by_length` it is
    drawn first how many steps there may be, so that the few short ones come as often.
    """

    def __init__(
        self,
        spec: Spec,
        taste: Taste | None = None,
        *,
        rules: Iterable[Rule] = RULES,
        distinct: bool = False,
        guided: bool = True,
        by_length: bool = False,
    ) -> None:
        self.spec = spec
        self.taste = taste if taste is not None else Taste.without(spec.untasted)
        chosen = tuple(rules)
        expands = spec.limits.expands > 0
        forms = Canonical(spec.values, chosen, spec.coefficients, expands=expands)
        self.canonical = forms if chosen else None
        self.classes = Classes(spec.bindings) if distinct else None
        self.guided = guided
        self.fixed = {Size.symbol(name) for name in spec.fixed}
        self._apart = self._places_apart()
        self.distance = Distance(
            spec,
            self._apart,
            self._slides,
            self._joins,
            weighted=self.taste.has("unweighted-sum"),
        )
        self.costs = Costs(spec.bindings, spec.occurrences)
        self._places: dict[Coord, bool] = {}
        self._finished: dict[State, tuple[Move, ...]] = {}
        self._verified: dict[Operator, bool] = {}
        self.rollouts = Rollouts(self, by_length=by_length) if self._can_be_drawn() else None

    def _places_apart(self) -> Counter[Size]:
        """Return the places that stay what they are from the output to the input, by size.

        Where a place can be expanded, or become another dimension of the input by a stride, it is a
        coordinate as any other.
        """
        spec = self.spec
        kept = Counter(spec.input_sizes) & Counter(spec.output_sizes)
        apart = Counter({size: count for size, count in kept.items() if size not in self.fixed})
        strided = spec.limits.strides and any(
            spec.is_small(whole / place) for whole in spec.input_sizes for place in apart
        )
        if not self.taste.keeps_places_apart or spec.limits.expands or strided:
            return Counter()
        return apart

    def _can_be_drawn(self) -> bool:
        """Tell whether abstract states show what can be completed: see `syno.space.abstract`."""
        limits = self.spec.limits
        plain = not limits.strides and not limits.expands and self.taste.has("shifted-channels")
        return self.guided and plain and bool(self._apart)

    def root(self) -> State:
        """Return the state before the first step: one iterator for each free output dimension."""
        sizes = enumerate(self.spec.output_sizes)
        leaves = [output(i, size) for i, size in sizes if size not in self.fixed]
        return State(frozenset(leaves), frozenset(), (0,) * len(COUNTED))

    def moves(self, state: State) -> list[Move]:
        """Return the legal moves of `state`, finishing moves first; none for a finished state."""
        if state.operator is not None:
            return []
        found = [move for move in self.finishing(state) if self.allows(state, move)]
        if state.steps < self.spec.limits.steps:
            weighable = frozenset(c for c in state.coords if self._may_weigh(state, c))
            moves = candidates(self.spec, state, weighable)
            found += [move for move in moves if self.allows(state, move)]
        return found

    def offers(self, state: State, move: Move) -> bool:
        """Tell whether a step is one of the moves of `state`, without making all of them."""
        within = state.operator is None and state.steps < self.spec.limits.steps
        return within and is_candidate(self.spec, state, move) and self.allows(state, move)

    def _may_weigh(self, state: State, coord: Coord) -> bool:
        """Tell whether taste lets `coord` index a weight: asked once, before sets are formed."""
        return self.taste.allows_operand(self.spec, state, Move("contract", (coord,)))

    def allows(self, state: State, move: Move) -> bool:
        """Tell whether distance, rules and taste let `move` pass."""
        if move.primitive == "finish":
            return self.taste.rejects(self.spec, state, move) is None
        if self.guided and self.spare(state, move) < 0:
            return False
        if self.canonical is not None and is_wasted(self.spec, self.canonical, state, move):
            return False
        return self.taste.rejects(self.spec, state, move) is None

    def spare(self, state: State, move: Move) -> int:
        """Return the steps left after `move` less the distance there; negative where it is lost."""
        seen = {coord for index in state.weights for coord in index}
        if move.primitive == "contract":
            seen.update(move.operands)
        coords = [coord for coord in state.coords if coord not in move.operands]
        coords += made(move)
        places = [coord for coord in coords if self.is_place(coord)] if self._apart else []
        if self._apart and Counter(coord.size for coord in places) != self._apart:
            return -1
        rest = [c for c in coords if c not in places]
        weights = _weights_after(state, move)
        ties = self._ties(weights, rest)
        abstract = [(c.size.packed, self._flags(c, c in seen) | ties.get(c, 0)) for c in rest]
        budget = self._budget(state, move, places)
        if budget.weights and weights and not self._may_weigh_more(weights, coords):
            budget = budget._replace(all_seen=True)
        distance = self.distance(abstract, budget)
        left = self.spec.limits.steps - state.steps - 1
        return left - distance if distance < INFINITE else -1

    def _flags(self, coord: Coord, is_seen: bool) -> int:
        untied = UNTIED if coord.op == "reduce" and not is_seen else 0
        if self.spec.limits.rank is None:
            return untied
        return untied | (ONLY_SUMS if all(leaf.op == "reduce" for leaf in coord.leaves()) else 0)

    def is_place(self, coord: Coord) -> bool:
        """Tell whether `coord` moves over a dimension that keeps its place."""
        found = self._places.get(coord)
        if found is None:
            found = self._places[coord] = is_place(self.spec, coord)
        return found

    def _slides(self, size: Size) -> bool:
        """Tell whether taste lets a window of `size` slide over something.

        Where places are not apart, splits make bases that are wide enough for any window.
        """
        window = reduce(0, size)
        places = [output(i, whole) for i, whole in enumerate(self.spec.output_sizes)]
        moves = [Move("unfold", (place, window)) for place in places if place.size is not size]
        state = replace(self.root(), weights=frozenset({(window,)}))
        taste = self.taste if self._apart else self.taste.but("wide-window")
        return any(taste.would_allow(self.spec, state, move) for move in moves)

    def _joins(self, size: Size) -> bool:
        """Tell whether taste lets a split make `size`."""
        high, low = reduce(0, size), reduce(1, ONE)
        state = replace(self.root(), weights=frozenset({(high, low)}))
        return self.taste.would_allow(self.spec, state, Move("split", (high, low)))

    def _budget(self, state: State, move: Move, places: list[Coord]) -> Budget:
        """Return what may still be used after `move`, and how many places lack their window."""
        limits, used = self.spec.limits, state.counting(move.primitive)
        return Budget(
            limits.merges - used[COUNTED.index("merge")],
            limits.weights - used[COUNTED.index("contract")],
            limits.unfolds - used[COUNTED.index("unfold")],
            limits.reductions - used[COUNTED.index("reduce")],
            limits.splits - used[COUNTED.index("split")],
            sum(lacks_window(self.spec, coord) for coord in places),
        )

    def _ties(self, weights: Iterable[Index], coords: list[Coord]) -> dict[Coord, int]:
        """Return a bit for each weight of which all coordinates are current, by coordinate."""
        found: dict[Coord, int] = {}
        bit = TIES
        for index in weights:
            if all(coord in coords for coord in index):
                for coord in index:
                    found[coord] = found.get(coord, 0) | bit
                bit <<= 1
        return found

    def _may_weigh_more(self, weights: Iterable[Index], coords: list[Coord]) -> bool:
        """Tell whether one more weight may see what none of `weights` sees all of.

        Without a new reduction, a weight that sees only what follows from another is absorbed.
        """
        if self.taste.has("weight-on-position"):
            coords = [coord for coord in coords if not self.is_place(coord)]
        return all(any(not follows(coord, index) for coord in coords) for index in weights)

    def apply(self, state: State, move: Move) -> State:
        """Return the state after `move`."""
        if move.primitive == "finish":
            return replace(state, operator=self.operator_of(state, move.operands))
        return self.follow(state, move)[0]

    def follow(self, state: State, move: Move) -> tuple[State, Mapping[Coord, Coord]]:
        """Return the state after `move`, and what the coordinates made and left are called there.

        The latter matters where states are in canonical form.
        """
        raw = after(state, move)
        if self.canonical is None:
            return raw, {coord: coord for coord in raw.coords}
        ordered = sorted(raw.coords, key=lambda coord: coord.key)
        coords, weights = self.canonical.state(ordered, raw.weights)
        made = State(frozenset(coords), frozenset(weights), raw.counts)
        return made, dict(zip(ordered, coords, strict=True))

    def roll_out(self, state: State, rng: Random) -> list[State] | None:
        """Return states from `state` to a random completion, near-uniform over all there are.

        Empty where there is none; None where this space cannot tell, and moves have to be walked.
        """
        return None if self.rollouts is None else self.rollouts(state, rng)

    def result(self, state: State) -> Operator | None:
        """Return the operator of a finished state."""
        return state.operator

    def trace(self, candidate: Operator) -> list[Move]:
        """Return moves from the root to `candidate`; none where the space does not reach it."""
        try:
            return path_to(self, candidate)
        except (OperatorError, SpecError):
            return []

    def finishing(self, state: State) -> tuple[Move, ...]:
        """Return one move for each valid operator whose data coordinates are those of `state`."""
        if state not in self._finished:
            self._finished[state] = tuple(self._finishing(state))
        return self._finished[state]

    def _finishing(self, state: State) -> Iterator[Move]:
        targets = [size for size in self.spec.input_sizes if size not in self.fixed]
        coords = sorted(state.coords, key=lambda coord: coord.key)
        if sorted(targets) != sorted(coord.size for coord in coords) or not state.steps:
            return
        for order in self.orders(coords):
            if self.is_valid(self.operator_of(state, order)):
                yield Move("finish", order)

    def orders(self, coords: Iterable[Coord]) -> Iterator[Index]:
        """Yield the orders in which all of `coords` are the input, read as the spec asks."""
        targets = [size for size in self.spec.input_sizes if size not in self.fixed]
        for order in permutations(coords):
            pairs = zip(order, targets, strict=True)
            if all(c.size is size and not lacks_window(self.spec, c) for c, size in pairs):
                yield order

    def is_valid(self, op: Operator) -> bool:
        """Tell whether the verifier accepts `op` under every binding and it fits the limits."""
        if op not in self._verified:
            self._verified[op] = self._is_valid(op)
        return self._verified[op] and (self.classes is None or self.classes.is_first(op))

    def _is_valid(self, op: Operator) -> bool:
        if not is_buildable(op):
            return False
        problems = verify(op, self.spec.bindings)
        if self.spec.limits.expands:
            problems = tuple(each for each in problems if each.check != "repetition")
        if problems:
            return False
        return self._fits(op)

    def _fits(self, op: Operator) -> bool:
        """Tell whether ranks, multiply-adds and parameters lie within the limits."""
        limits = self.spec.limits
        read = {leaf for coord in op.data for leaf in coord.leaves()}
        if not all(self.spec.is_rank(leaf.size) for leaf in op.reductions if leaf not in read):
            return False
        if limits.flops is not None and not self.costs.flops_within(op, *limits.flops):
            return False
        counts = [weight_entries(op, binding) for binding in self.spec.bindings]
        if any(entries < limits.weight_parameters for each in counts for entries in each):
            return False
        return limits.parameters is None or sum(map(sum, counts)) <= limits.parameters

    def operator_of(self, state: State, order: Index) -> Operator:
        """Return the operator that `state` is where its coordinates are the input in `order`."""
        free = iter(order)
        data = [
            output(self.spec.output_sizes.index(size), size) if size in self.fixed else next(free)
            for size in self.spec.input_sizes
        ]
        weights = sorted(state.weights, key=lambda index: [coord.key for coord in index])
        shapes = self.spec.input_sizes, self.spec.output_sizes
        return self.form(Operator.build(*shapes, data, weights))

    def form(self, op: Operator) -> Operator:
        """Return the operator as this space spells it."""
        return op if self.canonical is None else self.canonical.operator(op)


def _weights_after(state: State, move: Move) -> tuple[Index, ...]:
    """Return the indices of the weights after `move`; that of a new one is not sorted."""
    new = (normal_index(move.operands),) if move.primitive == "contract" else ()
    return (*state.weights, *new)


def weight_entries(op: Operator, binding: Binding) -> list[int]:
    """Return the number of entries of each weight of `op`."""
    return [prod(shape) for shape in op.weight_shapes(binding).values()]
