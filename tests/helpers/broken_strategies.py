"""Strategies that break one clause of the contract each; other processes import them, too."""

from __future__ import annotations

from random import Random
from typing import Any

from syno.search.outcome import Failed, Outcome
from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.search.rollout import roll_out


class Forgetful(RandomSearch):
    """Asks whatever the dice say."""

    def ask(self) -> Any | None:
        space = self.setting.space
        return space.result(roll_out(space, space.root(), self.rng)[-1])


class EarlyEnd(RandomSearch):
    """Gives up after five candidates."""

    def ask(self) -> Any | None:
        return super().ask() if len(self.seen) < 5 else None


class OwnDice(RandomSearch):
    """Draws from the system's randomness."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.rng = Random()


class Seedless(RandomSearch):
    """Is the same for every seed."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(Setting(setting.space, setting.reward, 0, setting.patience))


class Hashing(RandomSearch):
    """Takes the first of a set."""

    def ask(self) -> Any | None:
        drawn = {super(Hashing, self).ask() for _ in range(3)} - {None}
        self.seen -= drawn
        chosen = next(iter(drawn), None)
        self.seen.add(chosen)
        return chosen


class Fragile(RandomSearch):
    """Cannot be told of a failure."""

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            raise TypeError("no accuracy")
        super().tell(candidate, outcome)


class NoSecond(RandomSearch):
    """Marks a candidate as known when it is told, not when it is asked."""

    def ask(self) -> Any | None:
        found = super().ask()
        self.seen.discard(found)
        return found


class Uncounted(RandomSearch):
    """Keeps those in flight that failed."""

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        flying = candidate in self.flying
        super().tell(candidate, outcome)
        if flying and isinstance(outcome, Failed):
            self.flying.add(candidate)


class NewBorn(RandomSearch):
    """Does not hear of what it has not asked."""

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        del candidate, outcome


class Offended(RandomSearch):
    """Insists on a way to what it is told."""

    def tell(self, candidate: Any, outcome: Outcome) -> None:
        assert self.setting.space.trace(candidate), "no way leads there"
        super().tell(candidate, outcome)
