"""The search tree of one seed on a small space, as a file to review."""

from __future__ import annotations

from syno.search.mcts import MonteCarloTreeSearch
from syno.search.protocol import Setting
from syno.testing.contracts import Tree, accuracy_of, asked
from syno.testing.golden import Golden


def test_search_tree(golden: Golden) -> None:
    strategy = MonteCarloTreeSearch(Setting(Tree((2, 3, 2)), accuracy_of, seed=1))
    found = asked(strategy, 8)
    parts = ["asked, in order:", *(f"  {' '.join(leaf)}" for leaf in found), "", "the tree:"]
    for state in sorted(strategy.nodes):
        node = strategy.nodes[state]
        seen = f"{node.statistics.visits:.0f} visits, mean {node.statistics.mean:.3f}"
        left = "" if node.unopened is None else f", {len(node.unopened)} unopened"
        closed = ", closed" if node.closed else ""
        parts.append(f"{'  ' * len(state)}{' '.join(state) or 'root'}: {seen}{left}{closed}")
    golden.check("search_tree.txt", "\n".join(parts))
