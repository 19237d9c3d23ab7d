"""What each strategy asks with one seed, and what it knows then, as files to review."""

from __future__ import annotations

from collections.abc import Iterator

from syno.search.beam import BeamSearch
from syno.search.evolution import Evolution
from syno.search.mcts import MonteCarloTreeSearch
from syno.search.protocol import Setting
from syno.search.tree import Node
from syno.testing.contracts import Leaf, Tree, accuracy_of, asked
from syno.testing.golden import Golden

SETTING = Setting(Tree((2, 3, 2)), accuracy_of, seed=1)


class FewMembers(Evolution):
    population, tournament = 4, 2


class NarrowBeam(BeamSearch):
    width, branches = 2, 2


def order(found: list[Leaf]) -> list[str]:
    return ["asked, in order:", *(f"  {' '.join(leaf)}" for leaf in found), ""]


def lines(node: Node) -> Iterator[str]:
    """Yield a line for a state and one for each of its branches."""
    depth, statistics = "    " * len(node.state), node.statistics
    closed = ", closed" if node.closed else ""
    counts = f"{statistics.visits} visits, mean {statistics.mean:.3f}"
    yield f"{depth}{' '.join(node.state) or 'root'}: {counts}{closed}"
    for name, branch in sorted((node.branches or {}).items()):
        known = ", ".join(
            f"{getattr(key, 'word', key)} {each.total / each.visits:.3f}"
            for key, each in sorted(branch.as_first.items(), key=lambda item: str(item[0]))
        )
        left = f"{len(branch.children)} opened, {len(branch.unopened)} not"
        first = f"; as first: {known}" if known else ""
        yield f"{depth}  {name}: {branch.statistics.visits} visits, {left}{first}"


def test_search_tree(golden: Golden) -> None:
    strategy = MonteCarloTreeSearch(SETTING)
    parts = [*order(asked(strategy, 8)), "the tree:"]
    for state in sorted(strategy.tree.nodes):
        parts += lines(strategy.tree.nodes[state])
    parts += ["", "moves, anywhere:"]
    for key, each in sorted(strategy.anywhere.items(), key=lambda item: str(item[0])):
        parts.append(f"  {getattr(key, 'word', key)}: {each.visits}, {each.total:.3f}")
    golden.check("search_tree.txt", "\n".join(parts))


def test_search_evolution(golden: Golden) -> None:
    strategy = FewMembers(SETTING)
    parts = [*order(asked(strategy, 8)), "the population, the oldest first:"]
    for member in strategy.members:
        words = " ".join(move.word for move in member.moves)
        parts.append(f"  {words}: {member.reward:.3f}")
    golden.check("search_evolution.txt", "\n".join(parts))


def test_search_beam(golden: Golden) -> None:
    strategy = NarrowBeam(SETTING)
    parts = [*order(asked(strategy, 8)), f"the beam, {strategy.width} wide:"]
    parts += [f"  {' '.join(ray.state)}: {ray.rollouts} rollouts" for ray in strategy.level]
    parts += ["", "what is known:"]
    for state, record in sorted(strategy.records.items()):
        parts.append(f"  {' '.join(state) or 'root'}: {record.told} told, best {record.best:.3f}")
    golden.check("search_beam.txt", "\n".join(parts))
