"""Every strategy on the toy spaces of the contract, each turned into a table of its candidates.

They stand here by name because a clause of the contract imports them in another process.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from syno.search.protocol import Setting, Space, Strategy
from syno.search.registry import STRATEGIES
from syno.search.sweep import Sweep
from syno.testing.tabular import TableSpace


def candidates(space: Space) -> list[object]:
    """Return all candidates of a space."""
    sweep, seen = Sweep(space, Random(0)), dict[object, None]()
    while (found := sweep.next(seen, 100_000)) is not None:
        seen[found] = None
    return list(seen)


def on_a_table(name: str, setting: Setting) -> Strategy:
    """Return a strategy that searches the candidates of its space as a table."""
    table = TableSpace(setting.space, candidates(setting.space))
    return STRATEGIES[name](replace(setting, space=table))


def beam(setting: Setting) -> Strategy:
    return on_a_table("beam", setting)


def evolution(setting: Setting) -> Strategy:
    return on_a_table("evolution", setting)


def mcts(setting: Setting) -> Strategy:
    return on_a_table("mcts", setting)


def random(setting: Setting) -> Strategy:
    return on_a_table("random", setting)


TABULATED = {"beam": beam, "evolution": evolution, "mcts": mcts, "random": random}
