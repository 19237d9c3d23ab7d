"""All strategies by name; the contract tests run over this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syno.search.beam import BeamSearch
from syno.search.evolution import Evolution
from syno.search.mcts import MonteCarloTreeSearch
from syno.search.protocol import Setting, Strategy
from syno.search.random_search import RandomSearch

STRATEGIES: Mapping[str, Callable[[Setting], Strategy]] = {
    "beam": BeamSearch,
    "evolution": Evolution,
    "mcts": MonteCarloTreeSearch,
    "random": RandomSearch,
}


def make_strategy(name: str, setting: Setting) -> Strategy:
    """Return the strategy called `name`; KeyError with the known names otherwise."""
    if name not in STRATEGIES:
        raise KeyError(f"no strategy {name!r}; known are: {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name](setting)
