"""The texts of all named operators and of the verifier's messages, as files to review."""

from __future__ import annotations

import syno
from syno.ir.errors import SynoError
from syno.ir.steps import steps
from syno.ir.verify import verify
from syno.testing.golden import Golden
from syno.zoo.named import NAMED

BROKEN = {
    "repetition": "[H] -> [H, W]\ny[h,w] = x[h]",
    "scales": "[H] -> [H]\ny[h] = sum[r:R] x[h] * w1[h,r]",
    "absorbed": "[H] -> [H]\ny[h] = x[h] * w1[h // s] * w2[h]",
    "skips": "[s*H] -> [H]\ny[h] = x[s*h]",
    "loose": "[H] -> [H]\ny[h] = x[h] * w1[]",
}
UNREADABLE = {
    "nothing": "",
    "header alone": "[N, C] -> [N, C]",
    "out of nowhere": "y[h] = x[h + 1]",
    "not centred": "y[h] = sum[a:k] x[h + a] * w1[a]",
    "backwards": "y[h] = x[-h]",
    "product": "y[h,w] = x[h*w]",
    "unknown": "y[h] = x[q]",
    "by zero": "y[h] = x[h // 0]",
    "does not divide": "[4] -> [2]\ny[h] = x[h // 3]",
    "read twice": "y[h] = x[h, h]",
    "x twice": "y[h] = x[h] * x[h]",
    "no x": "y[h] = w1[h]",
    "never used": "y[h] = sum[a:k] x[h]",
    "shape": "[N, H] -> [N, W]\ny[n,w] = x[n,w]",
    "foreign letter": "y[h] = x[\u043f]",
}


def test_texts_of_named_operators(golden: Golden) -> None:
    parts = [f"{name}\n{row.operator}\n" for name, row in NAMED.items()]
    golden.check("named_operators.txt", "\n".join(parts))


def test_steps_of_named_operators(golden: Golden) -> None:
    parts = []
    for name, row in NAMED.items():
        parts.append(name)
        for step in steps(row.operator):
            kept = ", ".join(coord.key for coord in step.yields) or "nothing"
            parts.append(f"  {step.primitive}: {', '.join(c.key for c in step.consumes)} -> {kept}")
    golden.check("named_steps.txt", "\n".join(parts))


def test_messages_of_the_verifier(golden: Golden) -> None:
    sizes = {"H": 4, "W": 3, "R": 2, "s": 2}
    parts = []
    for name, text in BROKEN.items():
        op = syno.parse(text)
        parts += [f"{name}\n  {text.splitlines()[-1]}"]
        parts += [f"  {each.check}: {each.message}" for each in verify(op, [sizes])] + [""]
    golden.check("verifier_messages.txt", "\n".join(parts))


def test_messages_of_the_parser(golden: Golden) -> None:
    parts = []
    for name, text in UNREADABLE.items():
        try:
            syno.parse(text)
        except SynoError as error:
            parts.append(f"{name}\n{error}\n")
    golden.check("parser_messages.txt", "\n".join(line.rstrip() for line in parts))
