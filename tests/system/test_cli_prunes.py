"""syno prunes: a table for people, one JSON object for scripts, one paragraph for a wrong spec."""

from __future__ import annotations

import re

import pytest
from commands import Done, syno

from syno.space.prunes import PRUNES, Prune

QUICK = ("--rollouts", "20")


@pytest.fixture(scope="module")
def pool() -> Done:
    """Walks through a spec that leaves prunes out."""
    done = syno("prunes", "--spec", "pool1d", *QUICK, "--seed", "3", "--json")
    assert done.code == 0
    return done


def test_json_holds_every_prune_with_its_count(pool: Done) -> None:
    found = pool.json
    assert set(found) == {"spec", "rollouts", "seed", "prunes"}
    assert (found["spec"], found["rollouts"], found["seed"]) == ("pool1d", 20, 3)
    rows = found["prunes"]
    assert [(row["name"], row["reason"]) for row in rows] == [(p.name, p.reason) for p in PRUNES]
    assert all(set(row) == {"name", "on", "fired", "reason"} for row in rows)
    on = {row["name"]: row["on"] for row in rows}
    assert on["even-window"]
    assert not on["unweighted-sum"]
    assert all(row["on"] or row["fired"] == 0 for row in rows)
    assert any(row["fired"] for row in rows)


def test_the_table_says_the_same_in_80_columns(pool: Done) -> None:
    lines = pool.out.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    first = {row[0]: row[1:3] for row in cells if len(row) == 4 and row[0]}
    for row in pool.json["prunes"]:
        shown = ["yes", f"{row['fired']:,}"] if row["on"] else ["no", ""]
        assert first[row["name"]] == shown
    assert re.fullmatch(r"20 walks through pool1d with seed 3, \d+ to an operator", lines[-1])
    whole = "".join(row[3] for row in cells if len(row) == 4).replace(" ", "")
    assert all(_flat(prune) in whole for prune in PRUNES)


def _flat(prune: Prune) -> str:
    return prune.reason.replace(" ", "")


def test_the_same_seed_gives_the_same_counts(pool: Done) -> None:
    again = syno("prunes", "--spec", "pool1d", *QUICK, "--seed", "3", "--json")
    assert again.json == pool.json
    other = syno("prunes", "--spec", "pool1d", *QUICK, "--seed", "4", "--json")
    assert other.json["prunes"] != pool.json["prunes"]


def test_without_walks_nothing_has_fired() -> None:
    done = syno("prunes", "--rollouts", "0", "--json")
    assert (done.code, done.json["spec"]) == (0, "conv2d")
    assert {row["fired"] for row in done.json["prunes"]} == {0}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--spec", "nosuch"), "There is no spec called 'nosuch'; known are: conv1d, conv2d"),
        (("--rollouts", "-1"), "'--rollouts'"),
        (("--seed", "one"), "'--seed'"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(wrong: tuple[str, ...], words: str) -> None:
    done = syno("prunes", *wrong)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "Traceback" not in done.err


def test_the_help_has_an_example_that_runs() -> None:
    text = syno("prunes", "--help").out
    example = re.search(r"Example: syno (.*\S)\s", text)
    assert example is not None
    assert syno(*example[1].split()).code == 0
