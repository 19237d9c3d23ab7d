"""Random search: rollouts from the root, each candidate once."""

from __future__ import annotations

from random import Random
from typing import Any

from syno.search.outcome import Outcome
from syno.search.protocol import Setting
from syno.search.rollout import drawn_below


class RandomSearch:
    """Draws rollouts until one ends in a candidate that was never asked before."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.rng = Random(setting.seed)
        self.seen: set[Any] = set()
        self.flying: set[Any] = set()

    @property
    def in_flight(self) -> int:
        """Return the number of candidates that were asked and not yet told."""
        return len(self.flying)

    def ask(self) -> Any | None:
        """Return a new candidate, or None after `patience` rollouts without one."""
        space = self.setting.space
        for _ in range(self.setting.patience):
            found = drawn_below(space, space.root(), self.rng)
            if found is not None and found not in self.seen:
                self.seen.add(found)
                self.flying.add(found)
                return found
        return None

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        """Remember the candidate, so that a resumed search does not ask for it again."""
        del outcome
        self.seen.add(candidate)
        self.flying.discard(candidate)
