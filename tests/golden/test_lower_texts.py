"""Plans and generated code of the named operators, as reviewable files."""

from __future__ import annotations

import pytest

from syno.lower.backends import write_source
from syno.lower.build import build
from syno.lower.choice import choose
from syno.lower.plan import plan
from syno.testing.golden import Golden
from syno.zoo.named import NAMED

SITE = {"N": 1, "C_in": 128, "C_out": 128, "H": 28, "W": 28, "k": 3, "G": 32, "R": 2}


def test_plans(golden: Golden) -> None:
    parts = [f"{name}\n{plan(row.operator, row.sizes)}\n" for name, row in NAMED.items()]
    golden.check("plans.txt", "\n".join(parts))


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_programs_of_the_fewest_multiply_adds(golden: Golden, backend: str) -> None:
    calls = backend == "torch"
    parts = [
        f"# {name}\n"
        + write_source(build(plan(row.operator, row.sizes), None, calls=calls), backend)
        for name, row in NAMED.items()
    ]
    golden.check(f"programs_{backend}.txt", "\n\n".join(parts))


def test_the_programs_that_are_chosen_for_the_published_operators(golden: Golden) -> None:
    """At a layer of ResNet-18, by the times that come with Syno: large margins, no ties."""
    names = ("paper-operator-1", "paper-operator-2")
    parts = [
        f"# {name}\n" + write_source(choose(NAMED[name].operator, SITE).program, "torch")
        for name in names
    ]
    golden.check("programs_chosen.txt", "\n\n".join(parts))
