"""What every search strategy owes, as functions to run on a new one.

Each takes a factory, as it stands in `syno.search.registry.STRATEGIES`, and raises AssertionError
with what was broken. `CONTRACT` lists all of them:

    @pytest.mark.parametrize("clause", CONTRACT)
    def test_contract(clause):
        clause(MyStrategy)

They search toy spaces, not operators: a strategy sees a space through its protocol alone. What
holds for a strategy that learns, which `random` does not, stands in `LEARNING`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random
from typing import Any

from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut
from syno.search.protocol import Setting, Space, Strategy

Factory = Callable[[Setting], Strategy]
Leaf = tuple[str, ...]
_ENOUGH = 40


@dataclass(frozen=True)
class Turn:
    """A move of a toy space: `word` is added to the state."""

    primitive: str
    word: str


@dataclass(frozen=True)
class Tree:
    """A tree with words at its edges; `widths` counts the branches at each depth.

    With `dead`, every state has one branch more, below which there is nothing.
    """

    widths: tuple[int, ...] = (3, 4, 5)
    dead: bool = False

    def root(self) -> Leaf:
        return ()

    def moves(self, state: Leaf) -> Sequence[Turn]:
        depth = len(state)
        if depth == len(self.widths) or "dead" in state:
            return []
        names = [f"{depth}{letter}" for letter in "abcdefghij"[: self.widths[depth]]]
        turns = [Turn("even" if place % 2 == 0 else "odd", n) for place, n in enumerate(names)]
        return [*turns, Turn("dead", "dead")] if self.dead else turns

    def apply(self, state: Leaf, move: Turn) -> Leaf:
        return (*state, move.word)

    def result(self, state: Leaf) -> Leaf | None:
        return state if len(state) == len(self.widths) and "dead" not in state else None

    def trace(self, candidate: Leaf) -> Sequence[Turn]:
        found: list[Turn] = []
        for depth, word in enumerate(candidate if self.result(candidate) else ()):
            found += [turn for turn in self.moves(candidate[:depth]) if turn.word == word]
        return found if len(found) == len(candidate) else []

    def leaves(self) -> list[Leaf]:
        """Return all candidates."""
        words = [
            [f"{depth}{letter}" for letter in "abcdefghij"[:width]]
            for depth, width in enumerate(self.widths)
        ]
        return list(product(*words))


@dataclass(frozen=True)
class Drawn(Tree):
    """A tree that draws rollouts itself: it tells the last state alone, and one in three fails."""

    def roll_out(self, state: Leaf, rng: Random) -> list[Leaf]:
        if rng.random() < 1 / 3 or not self.moves(state):
            return []
        while moves := [turn for turn in self.moves(state) if turn.word != "dead"]:
            state = self.apply(state, rng.choice(moves))
        return [state]


@dataclass(frozen=True)
class Subsets:
    """A graph in which many ways lead to one state: sets of `chosen` of `count` numbers."""

    count: int = 6
    chosen: int = 3

    def root(self) -> frozenset[str]:
        return frozenset()

    def moves(self, state: frozenset[str]) -> Sequence[Turn]:
        if len(state) == self.chosen:
            return []
        left = (f"n{number}" for number in range(self.count))
        return [Turn("add", name) for name in left if name not in state]

    def apply(self, state: frozenset[str], move: Turn) -> frozenset[str]:
        return state | {move.word}

    def result(self, state: frozenset[str]) -> Leaf | None:
        return tuple(sorted(state)) if len(state) == self.chosen else None

    def trace(self, candidate: Leaf) -> Sequence[Turn]:
        known = {f"n{number}" for number in range(self.count)}
        fits = len(candidate) == self.chosen and set(candidate) <= known
        return [Turn("add", name) for name in candidate] if fits else []


def accuracy_of(outcome: Outcome) -> float:
    """Return the accuracy as the reward; 0 for whatever was not measured."""
    return outcome.accuracy if isinstance(outcome, Scored) else 0.0


def scored(accuracy: float) -> Scored:
    """Return an outcome that differs from others by its accuracy alone."""
    return Scored(accuracy, 1.0, 1, 1)


def likeness(leaf: Leaf) -> Scored:
    """Score a leaf of `Tree`: the share of its letters that are an `a`."""
    return scored(sum(word.endswith("a") for word in leaf) / len(leaf))


def asked(
    strategy: Strategy, count: int, score: Callable[[Leaf], Outcome] = likeness
) -> list[Leaf]:
    """Ask up to `count` times and tell each outcome at once; stop where nothing is left."""
    found: list[Leaf] = []
    for _ in range(count):
        candidate = strategy.ask()
        if candidate is None:
            break
        found.append(candidate)
        strategy.tell(candidate, score(candidate))
    return found


def asks_nothing_twice(make: Factory) -> None:
    """A candidate is asked once, in trees and where several ways lead to it."""
    for space in (Tree(), Tree(dead=True), Drawn(dead=True), Subsets()):
        found = asked(make(Setting(space, accuracy_of)), _ENOUGH)
        _expect(len(found) == len(set(found)), f"{_repeated(found)} was asked twice in {space}")


def asks_everything_once(make: Factory) -> None:
    """A small space is asked to its end: every candidate, then None, and None again."""
    spaces: list[tuple[Space, int]] = [
        (Tree((2, 3)), 6),
        (Tree((2, 3), dead=True), 6),
        (Drawn((2, 3), dead=True), 6),
        (Subsets(5, 2), 10),
    ]
    for space, size in spaces:
        strategy = make(Setting(space, accuracy_of))
        found = asked(strategy, 10 * size)
        _expect(len(found) == len(set(found)) == size, f"asked {len(found)} of {size} in {space}")
        _expect(strategy.ask() is None, f"asked again after the end of {space}")


def repeats_itself(make: Factory) -> None:
    """The same seed asks the same candidates in the same order."""
    one, two = (asked(make(Setting(Tree(), accuracy_of, seed=7)), _ENOUGH) for _ in range(2))
    _expect(one == two, "the same seed asked another sequence")


def follows_its_seed(make: Factory) -> None:
    """Other seeds ask other sequences: randomness comes from the argument."""
    found = {
        tuple(asked(make(Setting(Tree(), accuracy_of, seed=seed)), _ENOUGH)) for seed in range(5)
    }
    _expect(len(found) > 1, "five seeds asked one sequence: the seed is not used")


def repeats_itself_elsewhere(make: Factory) -> None:
    """The same seed asks the same in other processes, whatever the seed of Python's hashes.

    The factory has to be importable by its name.
    """
    found = {_elsewhere(make, hash_seed) for hash_seed in ("0", "1", "2")}
    _expect(len(found) == 1, "the sequence depends on PYTHONHASHSEED: a set was iterated over")


def accepts_every_outcome(make: Factory) -> None:
    """Failures of every kind are told without an error, and the search goes on."""
    kinds: list[Outcome] = [
        scored(0.5),
        Failed("error", "planted"),
        Failed("out_of_memory", "planted"),
        Failed("not_a_number", "planted"),
        Failed("crashed", "planted"),
        TimedOut(1.0),
        Pruned("planted"),
    ]
    turns = iter(kinds * 3)
    found = asked(make(Setting(Tree(), accuracy_of)), 3 * len(kinds), lambda _leaf: next(turns))
    _expect(len(set(found)) == 3 * len(kinds), "the search ended after an outcome of some kind")


def accepts_nothing_but_failures(make: Factory) -> None:
    """A space in which everything fails is asked to its end all the same."""
    found = asked(make(Setting(Tree((2, 3)), accuracy_of)), 60, lambda _leaf: TimedOut(1.0))
    _expect(len(set(found)) == 6, f"asked {len(set(found))} of 6 candidates that all fail")


def has_several_in_flight(make: Factory) -> None:
    """Several candidates are asked before any is told; they may come back in another order."""
    strategy = make(Setting(Tree((4, 5)), accuracy_of))
    found: list[Any] = []
    for _ in range(5):
        flying = [strategy.ask() for _ in range(4)]
        _expect(None not in flying, "nothing was asked while candidates were in flight")
        for candidate in reversed(flying):
            strategy.tell(candidate, likeness(candidate))
        found += flying
    _expect(len(found) == len(set(found)), f"{_repeated(found)} was asked twice while in flight")


def asks_the_last_while_others_fly(make: Factory) -> None:
    """With every candidate in flight there is none left, and nothing is asked twice."""
    strategy = make(Setting(Tree((2, 3)), accuracy_of))
    found: list[Any] = [strategy.ask() for _ in range(7)]
    _expect(found[-1] is None and len(set(found)) == 7, f"six candidates gave {found}")
    for candidate in found[:-1]:
        strategy.tell(candidate, likeness(candidate))
    _expect(strategy.ask() is None, "a candidate was asked after all had been told")


def counts_what_is_in_flight(make: Factory) -> None:
    """What is in flight is what was asked and not yet told, and nothing of it stays."""
    strategy = make(Setting(Tree(), accuracy_of))
    found: list[Any] = [strategy.ask() for _ in range(8)]
    _expect(strategy.in_flight == 8, f"{strategy.in_flight} in flight after 8 were asked")
    told = [*found[:5], found[0], ("from", "another space")]
    for candidate in told:
        strategy.tell(candidate, scored(0.5))
    _expect(strategy.in_flight == 3, f"{strategy.in_flight} in flight, 8 asked and 5 told")
    for candidate in found[5:]:
        strategy.tell(candidate, Failed("error", "planted"))
    _expect(strategy.in_flight == 0, f"{strategy.in_flight} in flight after all were told")


def remembers_earlier_runs(make: Factory) -> None:
    """What an earlier run was told is never asked, whether it is told before or between asks."""
    leaves = Tree((3, 4)).leaves()
    strategy = make(Setting(Tree((3, 4)), accuracy_of))
    for leaf in leaves[:5]:
        strategy.tell(leaf, likeness(leaf))
    found = asked(strategy, 1)
    new = [leaf for leaf in leaves if leaf not in found]
    strategy.tell(new[-1], Failed("error", "planted"))
    found += asked(strategy, 100)
    known = {*leaves[:5], new[-1]}
    _expect(not known & set(found), f"{sorted(known & set(found))} came from an earlier run")
    _expect({*found} | known == {*leaves}, "something was left out after an earlier run was told")


def accepts_strangers(make: Factory) -> None:
    """A candidate that the space does not reach is told without an error and changes nothing."""
    strategy = make(Setting(Tree((2, 3)), accuracy_of))
    strategy.tell(("from", "another space"), scored(1.0))
    _expect(len(set(asked(strategy, 60))) == 6, "a stranger was told and candidates were lost")


CONTRACT: tuple[Callable[[Factory], None], ...] = (
    asks_nothing_twice,
    asks_everything_once,
    repeats_itself,
    follows_its_seed,
    repeats_itself_elsewhere,
    accepts_every_outcome,
    accepts_nothing_but_failures,
    has_several_in_flight,
    asks_the_last_while_others_fly,
    counts_what_is_in_flight,
    remembers_earlier_runs,
    accepts_strangers,
)


def finds_a_signal_sooner_than_chance(make: Factory) -> None:
    """The best of 625 candidates is found within 200, half as many as chance needs and less."""
    counts = sorted(asks_until_best(make, Tree((5, 5, 5, 5)), seed) for seed in range(5))
    _expect(counts[2] < 200, f"the best of 625 was asked as number {counts[2]}")


def learns_from_earlier_runs(make: Factory) -> None:
    """What an earlier run was told guides this one: better candidates are asked from the start."""
    told, first = _mean_of_asked(make, 100), _mean_of_asked(make, 0)
    _expect(told > first + 0.06, f"means {told:.2f} with and {first:.2f} without an earlier run")


LEARNING: tuple[Callable[[Factory], None], ...] = (
    finds_a_signal_sooner_than_chance,
    learns_from_earlier_runs,
)


def _mean_of_asked(make: Factory, known: int) -> float:
    """Return the mean value of what is asked when `known` candidates were told before."""
    space, total = Tree((4, 4, 4, 4)), 0.0
    for seed in range(5):
        strategy = make(Setting(space, accuracy_of, seed=seed))
        for leaf in Random(seed).sample(space.leaves(), known):
            strategy.tell(leaf, likeness(leaf))
        flying = [strategy.ask() for _ in range(40)]
        total += sum(likeness(leaf).accuracy for leaf in flying if leaf) / len(flying)
    return total / 5


def asks_until_best(make: Factory, space: Tree, seed: int) -> int:
    """Return how many candidates are asked until the one of nothing but `a` is among them."""
    found = asked(make(Setting(space, accuracy_of, seed=seed)), prod(space.widths))
    best = max(space.leaves(), key=lambda leaf: likeness(leaf).accuracy)
    return found.index(best) + 1 if best in found else prod(space.widths)


def _elsewhere(make: Factory, hash_seed: str) -> str:
    name = getattr(make, "__qualname__", "")
    if "." in name or not name:
        raise AssertionError(f"{make!r} has no name by which another process could import it")
    code = (
        "from syno.search.protocol import Setting\n"
        "from syno.testing.contracts import Subsets, Tree, accuracy_of, asked\n"
        f"from {make.__module__} import {name} as make\n"
        "for space in (Tree(), Subsets()):\n"
        f"    print(asked(make(Setting(space, accuracy_of, seed=3)), {_ENOUGH}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    _expect(done.returncode == 0, f"{make!r} failed in another process:\n{done.stderr}")
    return done.stdout


def _repeated(found: Iterable[Leaf]) -> Leaf | None:
    seen: set[Leaf] = set()
    for each in found:
        if each in seen:
            return each
        seen.add(each)
    return None


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


__all__ = [
    "CONTRACT",
    "LEARNING",
    "Drawn",
    "Factory",
    "Leaf",
    "Subsets",
    "Tree",
    "Turn",
    "accuracy_of",
    "asked",
    "asks_until_best",
    "likeness",
    "scored",
]
