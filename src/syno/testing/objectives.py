"""Objectives that cost nothing and of which the optimum is known, to measure strategies on.

Each is a space with a value in [0, 1] for every candidate; 1 is reached, by construction, by a
target that lies in the space. Toy spaces have a decoy beside the target: what resembles the decoy
is worth more, on average, than what resembles the target, but never more than 0.8. Objectives over
operators measure the likeness to a target operator, by features that can be read off its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from random import Random
from typing import Any
from zlib import crc32

from syno.ir.operator import Operator
from syno.search.outcome import Failed, Outcome
from syno.search.protocol import Setting, Space, Strategy
from syno.space.enumerate import enumerate_operators
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.testing.contracts import Leaf, Subsets, Tree, Turn, accuracy_of, scored

Value = Callable[[Any], float]
_DECOY = 0.8
_ALMOST = 0.94  # what resembles the target in all that counts is not yet the target


@dataclass(frozen=True)
class Objective:
    """A space and the value of its candidates; the greatest is 1.

    A share of `failing` candidates, always the same ones, comes back as a failure.
    """

    name: str
    space: Space
    value: Value
    size: int
    failing: float = 0.0

    def outcome(self, candidate: Hashable) -> Outcome:
        """Return what an evaluation of `candidate` would give."""
        value = self.value(candidate)
        drawn = crc32(f"{self.name}: {candidate}".encode()) / 2**32
        if value < 1.0 and drawn < self.failing:
            return Failed("error", "planted")
        return scored(value)


def evaluations_to(
    make: Callable[[Setting], Strategy],
    objective: Objective,
    seed: int,
    *,
    share: float = 0.95,
    in_flight: int = 1,
) -> int | None:
    """Return the number of candidates asked until one is worth `share` of the optimum.

    `in_flight` candidates are asked before all of them are told, in the order asked. None where the
    strategy ends before.
    """
    strategy = make(Setting(objective.space, accuracy_of, seed))
    count = 0
    while True:
        flying = []
        for _ in range(in_flight):
            candidate = strategy.ask()
            if candidate is None:
                break
            count += 1
            if objective.value(candidate) >= share:
                return count
            flying.append(candidate)
        if not flying:
            return None
        for candidate in flying:
            strategy.tell(candidate, objective.outcome(candidate))


# ------------------------------------------------------------------------------------- toy spaces


def _with_decoy(target: float, decoy: float) -> float:
    """Return the value of a candidate from its likeness to the target and to the decoy."""
    return max(target, _DECOY * min(1.0, 1.5 * decoy))


def copied_word(depth: int = 7, width: int = 4, seed: int = 0) -> Objective:
    """Return an objective over the leaves of a tree: how many letters are those of the target."""
    rng, space = Random(seed), Tree((width,) * depth)
    words = [[turn.word for turn in space.moves(("",) * place)] for place in range(depth)]
    pairs = [rng.sample(each, 2) for each in words]
    target, decoy = zip(*pairs, strict=True)

    @cache
    def value(leaf: Leaf) -> float:
        return _with_decoy(_agreement(leaf, target), _agreement(leaf, decoy))

    return Objective(f"copied word, {depth} letters of {width}", space, value, width**depth)


def _agreement(one: Sequence[str], two: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(one, two, strict=True)) / len(one)


def chosen_subset(count: int = 20, chosen: int = 5, seed: int = 0) -> Objective:
    """Return an objective over sets: the likeness to a target set. Many orders lead to one set."""
    drawn = Random(seed).sample([f"n{number}" for number in range(count)], 2 * chosen)
    target, decoy = set(drawn[:chosen]), set(drawn[chosen:])

    @cache
    def value(leaf: Leaf) -> float:
        return _with_decoy(jaccard(Counter(leaf), target), jaccard(Counter(leaf), decoy))

    name = f"chosen subset, {chosen} of {count}"
    return Objective(name, Subsets(count, chosen), value, comb(count, chosen))


@dataclass(frozen=True)
class Words:
    """Words of up to `longest` letters of `letters`; each may finish, one with a `dd` is dead."""

    letters: str = "abcd"
    longest: int = 6

    def root(self) -> str:
        return ""

    def moves(self, state: str) -> Sequence[Turn]:
        if state.endswith(".") or "dd" in state:
            return []
        turns = [Turn("finish", ".")] if state else []
        more = self.letters if len(state) < self.longest else ""
        return turns + [Turn(letter, letter) for letter in more]

    def apply(self, state: str, move: Turn) -> str:
        return state + move.word

    def result(self, state: str) -> str | None:
        return state[:-1] if state.endswith(".") else None

    def trace(self, candidate: str) -> Sequence[Turn]:
        fits = set(candidate) <= set(self.letters) and 0 < len(candidate) <= self.longest
        if not fits or "dd" in candidate:
            return []
        return [*(Turn(letter, letter) for letter in candidate), Turn("finish", ".")]


def spelled_word(longest: int = 7, seed: int = 0) -> Objective:
    """Return an objective over words of any length: the likeness of their pairs of letters."""
    rng, space = Random(seed), Words(longest=longest)
    target, decoy = (_drawn_word(rng, longest) for _ in range(2))

    @cache
    def value(word: str) -> float:
        if word == target:
            return 1.0
        found = jaccard(_pairs(word), _pairs(target)), jaccard(_pairs(word), _pairs(decoy))
        return _ALMOST * _with_decoy(*found)

    size = sum(len(space.letters) ** length for length in range(1, longest + 1))
    return Objective(f"spelled word, up to {longest} letters", space, value, size)


def _drawn_word(rng: Random, length: int) -> str:
    while True:
        word = "".join(rng.choice("abcd") for _ in range(length))
        if "dd" not in word:
            return word


def _pairs(word: str) -> Counter[str]:
    padded = f"({word})"
    return Counter(padded[place : place + 2] for place in range(len(padded) - 1))


# -------------------------------------------------------------------------------------- operators


class Remembered:
    """A space that makes the moves and the states of each state once, for many searches."""

    def __init__(self, space: Any) -> None:
        self._space = space
        self.root = cache(space.root)
        self.moves = cache(space.moves)
        self.apply = cache(space.apply)
        self.result = space.result
        self.trace = cache(space.trace)


def jaccard(one: Mapping[Any, int], two: Any) -> float:
    """Return the share of what two multisets have in common."""
    first, second = Counter(one), Counter(two)
    return (first & second).total() / max((first | second).total(), 1)


def features(op: Operator) -> Counter[str]:
    """Return what an operator is made of: each primitive with its size, as often as it stands."""
    nodes = {node for top in op.coordinates for node in top.walk()}
    found = Counter(f"{node.op} {node.size}" for node in nodes)
    for number, index in enumerate(op.weights, start=1):
        found.update(f"w{number} {coord.op} {coord.size}" for coord in index)
    found.update(f"x{place} {coord.op}" for place, coord in enumerate(op.data))
    return found


@cache
def operators(spec: str, steps: int) -> tuple[Remembered, tuple[Operator, ...]]:
    """Return the space of a named spec up to a number of steps, and all its operators."""
    space = Remembered(SynthesisSpace(named_spec(spec).up_to(steps)))
    return space, tuple(enumerate_operators(space))  # type: ignore[arg-type]


def imitated(spec: str, steps: int, seed: int = 0, failing: float = 0.0) -> Objective:
    """Return an objective over operators: their likeness to one drawn by `seed`.

    The target is one of those that need all of the steps, so that chance rarely finds it.
    """
    space, known = operators(spec, steps)
    longest = [op for op in known if len(space.trace(op)) == steps + 1]
    target = Random(seed).choice(longest)
    wanted = features(target)

    @cache
    def value(op: Operator) -> float:
        return 1.0 if op is target else _ALMOST * _resemblance(op, target, wanted)

    name = f"imitated {spec}, {steps} steps, target {seed}"
    name += f", {failing:.0%} fail" if failing else ""
    return Objective(name, space, value, len(known), failing)


def _resemblance(op: Operator, target: Operator, wanted: Counter[str]) -> float:
    """Return a weighted sum of likenesses; 1 for whatever has all features of the target."""
    counts = [
        (len(op.weights), len(target.weights)),
        (len(op.reductions), len(target.reductions)),
        (_windows(op), _windows(target)),
    ]
    agreeing = sum(1 / (1 + abs(a - b)) for a, b in counts) / len(counts)
    return 0.7 * jaccard(features(op), wanted) + 0.3 * agreeing


def _windows(op: Operator) -> int:
    return sum(node.op == "unfold" for top in op.data for node in top.walk())
