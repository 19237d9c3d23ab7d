"""Whatever the text, parsing ends in an operator or in a SynoError."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import syno
from syno.ir.errors import SynoError
from syno.ir.size import Size
from syno.testing.strategies import Case, cases
from syno.zoo.named import NAMED

TEXTS = [row.text for row in NAMED.values()] + [str(row.operator) for row in NAMED.values()]
WORDS = "y x w w1 w2 sum n o c h w a b r N C_in C_out H W k s g 0 1 2 3 7 768".split()
WORDS += "[ ] ( ) , : = -> ..".split()
WORDS += "+ - * / // % ^ ** . ... \n".split(" ")


def read(text: str) -> None:
    """Parse; what is read has to print and parse back to the same object."""
    try:
        op = syno.parse(text)
    except SynoError:
        return
    assert syno.parse(str(op)) is op


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    read(text)
    with suppress(SynoError):
        Size.parse(text)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words(words: list[str]) -> None:
    read(" ".join(words))
    read("[N, C_in] -> [N, C_out]\ny[n,o] = sum[c:C_in] x[n, " + " ".join(words) + "] * w1[o,c]")


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*"hab+-*/%()", "//", "//2", "k", "s", "2", "3", "1"]), max_size=25)
)
@example(list("((h+a-k//2)%2"))
def test_any_index(words: list[str]) -> None:
    read(f"[H] -> [H]\ny[h] = sum[a:k, b:3] x[{' '.join(words)}] * w1[a,b]")
    read(f"[8] -> [8]\ny[h] = sum[a:3, b:3] x[{' '.join(words)}] * w1[a,b]")


def mutated(text: str, rng: random.Random) -> str:
    """Return `text` with a few tokens dropped, doubled, exchanged or replaced."""
    letters = list(text)
    for _ in range(rng.randint(1, 3)):
        place, other = rng.randrange(len(letters)), rng.randrange(len(letters))
        match rng.randrange(4):
            case 0:
                del letters[place : place + rng.randint(1, 4)]
            case 1:
                letters[place:place] = letters[other : other + rng.randint(1, 12)]
            case 2:
                letters[place], letters[other] = letters[other], letters[place]
            case _:
                letters[place] = rng.choice(WORDS)
        letters = letters or [" "]
    return "".join(letters)


@pytest.mark.parametrize("seed", range(4))
def test_named_operators_with_mistakes(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        read(mutated(rng.choice(TEXTS), rng))


@given(cases(), st.randoms(use_true_random=False))
def test_random_operators_with_mistakes(case: Case, rng: random.Random) -> None:
    read(mutated(str(case.op), rng))


@pytest.mark.nightly
@settings(max_examples=5_000)
@given(cases(), st.randoms(use_true_random=False))
def test_many_random_operators_with_mistakes(case: Case, rng: random.Random) -> None:
    read(mutated(str(case.op), rng))
