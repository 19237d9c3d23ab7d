"""What a strategy sees, and what a strategy is. Nothing else of ours is imported here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, runtime_checkable

from syno.search.outcome import Outcome

State = Any
"""A state of the space: hashable, equal when the same."""


class Move(Protocol):
    """One move: hashable, with the name of its primitive for the choice in two levels."""

    @property
    def primitive(self) -> str:
        """Name of the primitive; `finish` for the move that completes a candidate."""


class Space(Protocol):
    """A graph of states whose ends are candidates."""

    def root(self) -> State:
        """Return the first state."""

    def moves(self, state: State) -> Sequence[Any]:
        """Return the legal moves; none for a finished or a dead state."""

    def apply(self, state: State, move: Any) -> State:
        """Return the state after `move`."""

    def result(self, state: State) -> Hashable | None:
        """Return the candidate of a finished state, None for any other."""

    def trace(self, candidate: Any) -> Sequence[Any]:
        """Return moves from the root to a candidate; none where the space does not reach it."""


@runtime_checkable
class Guided(Protocol):
    """A space that draws rollouts itself, because it knows which of them arrive."""

    def roll_out(self, state: State, rng: Random) -> list[State] | None:
        """Return the states from `state` (exclusive) to a finished or a dead one.

        The last one is enough. Empty where the draw came to nothing, which need not mean that there
        is nothing; None where moves have to be walked, because the space knows no more than they.
        """


class Strategy(Protocol):
    """A search strategy: it is asked for candidates and told what became of them."""

    @property
    def in_flight(self) -> int:
        """Return the number of candidates that were asked and not yet told."""

    def ask(self) -> Any | None:
        """Return a candidate never asked before; None when no further one was found."""

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Learn from the outcome of a candidate, asked here or in an earlier run."""


@dataclass(frozen=True)
class Setting:
    """What every strategy is made of.

    `reward` maps an outcome to [0, 1]; `patience` is the number of rollouts without a new candidate
    after which `ask` gives up.
    """

    space: Space
    reward: Callable[[Outcome], float]
    seed: int = 0
    patience: int = 2_000
