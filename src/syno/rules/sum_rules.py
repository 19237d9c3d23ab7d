"""Exact rules about sums: both sides are one operator, once terms are renumbered and weights
relabelled."""

from __future__ import annotations

from syno.rules.rule import Rule

OF_SUMS: tuple[Rule, ...] = (
    Rule(
        "remainder of shift",
        "((i + d) % (B*C)) % B",
        "(i % B + e) % B",
        {"i": "B*C"},
        "shift the low digit alone: a carry does not come back",
        where={"e": "d % B"},
        seen="nothing of the high part of the shifted whole; nor does x",
    ),
    Rule(
        "shift of reduction",
        "x[(r + d) % N] * w1[o,r]",
        "x[r] * w1[o,r]",
        {"r": "N"},
        "a sum does not change when its terms are renumbered",
        seen="r as a whole, or not at all",
    ),
    Rule(
        "merge of reduction",
        "x[r // B, r % B] * w1[o,r]",
        "x[ra, rb] * w1[o,ra,rb]",
        {"r": "B*C", "ra": "C", "rb": "B"},
        "a sum over r is a sum over its two digits",
        seen="r as a whole, or its digits",
    ),
    Rule(
        "digit of reduction",
        "x[r] * w1[o, r // B] * w2[r]",
        "x[ra*B + rb] * w1[o,ra] * w2[ra,rb]",
        {"r": "B*C", "ra": "C", "rb": "B"},
        "a sum over r is a sum over its two digits",
        seen="r as a whole, or its digits",
    ),
    Rule(
        "twin reductions",
        "x[ra*B + rb] * w1[o,ra,rb]",
        "x[r] * w1[o,r]",
        {"r": "B*C", "ra": "C", "rb": "B"},
        "two sums that always travel together are one sum",
        seen="both or none of them",
    ),
    Rule(
        "twin ranks",
        "x[i] * w1[o,ra,rb] * w2[i,ra,rb]",
        "x[i] * w1[o,r] * w2[i,r]",
        {"r": "B*C", "ra": "C", "rb": "B", "i": "N"},
        "two sums that tie the same weights are one sum of the product of their sizes",
        seen="both or none of them",
    ),
    Rule(
        "shift under a summed high part",
        "x[(ra*B + i + d) % (C*B)] * w1[o,i,ra]",
        "x[ra*B + (i + d) % B] * w1[o,i,ra]",
        {"ra": "C", "i": "B"},
        "the carry renumbers the terms of the sum",
        seen="the sum together with what it carries from, or not at all",
    ),
    Rule(
        "window that a weight sees whole",
        "x[(i + rw - K//2)*B + rj] * w1[o, i + rw - K//2, rj]",
        "x[B*i + (rw*B + rj) - (B*K)//2] * w1[o, B*i + (rw*B + rj) - (B*K)//2]",
        {"i": "N", "rw": "K", "rj": "B"},
        "a weight that sees all digits of a coordinate sees the coordinate",
        "(K*B) // 2 == B * (K // 2)",
        seen="both digits, if it sees the window",
    ),
    Rule(
        "window no wider than its stride",
        "x[B*i + rw - B//2] * w1[o, B*i + rw - B//2]",
        "x[B*i + rw - B//2] * w1[o, i, rw]",
        {"i": "N", "rw": "B"},
        "windows that do not overlap name every place once; what is outside is outside for x too",
        seen="it, while x sees the same",
    ),
    Rule(
        "ranks of one value",
        "x[i] * w1[o,ra] * w2[i,ra]",
        "x[i] * w1[o,rb] * w2[i,rb]",
        {"ra": "B*B", "rb": "C", "i": "N"},
        "a sum that only weights see is known by its length: g is s*s where both are 4",
        "B*B == C",
        seen="it as a whole",
    ),
    Rule(
        "interchangeable reductions",
        "x[ra, rb] * w1[o,ra]",
        "x[rb, ra] * w1[o,rb]",
        {"ra": "N", "rb": "N"},
        "reductions of one size have no names of their own: the first number is the least",
        seen="anything",
    ),
    Rule(
        "order of weights",
        "x[i] * w1[o] * w2[i]",
        "x[i] * w2[o] * w1[i]",
        {"i": "N"},
        "a product does not depend on the order of its factors; nor does a weight on that of its "
        "dimensions",
        seen="anything",
        built_in=True,
    ),
    Rule(
        "bijection seen by weights",
        "x[i] * w1[(i + d) % N, o*N + i]",
        "x[i] * w1[o,i]",
        {"i": "N"},
        "a weight at a bijection of its index is a weight with its entries relabelled",
        seen="the coordinate alone, whatever x reads",
        built_in=True,
    ),
)

__all__ = ["OF_SUMS"]
