"""Compares every installed backend with the reference on random operators, forward and gradients.

Run: python bench/agreement.py --operators 2000 --json. Distinct operators are drawn from three
specs under their small bindings: images with windows (`conv2d`), rows with windows (`conv1d`) and
matrix products (`linear`, a smaller space). They are lowered in batches, one program for each, in a
process of its own; a batch that fails is halved until the operators are found that make it fail.
What is done is kept in a file, and the same command goes on from there. Prints one JSON object as
its last line: for each backend `forward` and `gradient` (operators that agree / operators
compared), `seconds` and `disagreements`, each with its formula and sizes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

from networks import draw
from pebble import ProcessPool

from syno.ir.parser import parse
from syno.lower.backends import BACKENDS, lower
from syno.space.specs import named_spec

Question = tuple[str, tuple[tuple[str, int], ...], int]

SHARES = {"conv2d": 0.45, "conv1d": 0.4, "linear": 0.15}
VERSIONS = ("torch", "numpy", "onnx", "onnxruntime", "iree-base-compiler", "apache-tvm")
_LONGEST = 1_800  # seconds for one batch


def drawn(spec_name: str, count: int, seed: int) -> list[Question]:
    """Return distinct operators of a spec as text, with sizes and a seed for their numbers."""
    spec = named_spec(spec_name)
    return [
        (str(operator), tuple(spec.bindings[number % len(spec.bindings)].items()), number)
        for number, operator in enumerate(draw(spec, count, seed))
    ]


def batches(operators: int, size: int, seed: int) -> list[list[Question]]:
    """Return the operators in batches that mix the specs."""
    found = [
        each
        for name, share in SHARES.items()
        for each in drawn(name, round(operators * share), seed)
    ]
    Random(seed).shuffle(found)
    return [found[start : start + size] for start in range(0, len(found), size)]


@lru_cache(maxsize=400)
def _answer(question: Question) -> Any:
    from syno.testing.agreement import answer

    text, sizes, seed = question
    return answer(parse(text), dict(sizes), seed)


def check(backend: str, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the disagreements of a batch; runs in a process of its own."""
    import torch

    from syno.testing.agreement import disagreements

    torch.set_num_threads(1)
    failed = [each for question in questions for each in _unwritten(backend, question)]
    texts = {each["text"] for each in failed}
    known = [_answer(each) for each in questions if each[0] not in texts]
    gradient = BACKENDS[backend].gradient
    return failed + [asdict(each) for each in disagreements(backend, known, gradient=gradient)]


def _unwritten(backend: str, question: Question) -> list[dict[str, Any]]:
    """Return the failure of an operator that is not even written as source: no batch is halved."""
    writer = backend if BACKENDS[backend].writes else "torch"
    try:
        lower(parse(question[0]), dict(question[1]), writer)
    except Exception as error:  # noqa: BLE001 -- what is wrong with it is what is measured
        return [_failure(backend, question, error)]
    return []


def _failure(backend: str, question: Question, error: Exception) -> dict[str, Any]:
    told = f"{type(error).__name__}: {str(error)[:300]}"
    return {"backend": backend, "part": told, "text": question[0], "sizes": dict(question[1])}


def checked(pool: ProcessPool, backend: str, batch: Sequence[Question]) -> list[dict[str, Any]]:
    """Check a batch; one that fails is halved."""
    try:
        found: list[dict[str, Any]] = pool.schedule(
            check, args=[backend, batch], timeout=_LONGEST
        ).result()
    except Exception as error:  # noqa: BLE001 -- whatever a compiler stops with is what is measured
        if len(batch) > 1:
            half = len(batch) // 2
            return [*checked(pool, backend, batch[:half]), *checked(pool, backend, batch[half:])]
        return [_failure(backend, batch[0], error)]
    return found


class Progress:
    """What is done, in a file; figures of other settings are not continued."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        fits = kept.get("settings") == settings
        self.done: dict[str, Any] = kept if fits else {"settings": settings, "batches": {}}

    def record(self, backend: str, batch: int, figures: Mapping[str, Any]) -> None:
        """Keep the figures of a batch."""
        self.done["batches"].setdefault(backend, {})[str(batch)] = figures
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.done), encoding="utf-8")
        partial.replace(self.path)

    def forget_disagreements(self) -> None:
        """Let the batches that disagreed be done again."""
        for parts in self.done["batches"].values():
            for number in [key for key, part in parts.items() if part["disagreements"]]:
                del parts[number]

    def has(self, backend: str, batch: int) -> bool:
        """Whether a batch is done."""
        return str(batch) in self.done["batches"].get(backend, {})


def summary(progress: Progress) -> dict[str, Any]:
    """Return the figures of each backend over all batches that are done."""
    found = {}
    for backend, parts in progress.done["batches"].items():
        wrong = [each for part in parts.values() for each in part["disagreements"]]
        compared = sum(part["operators"] for part in parts.values())
        gradient = [each for each in wrong if each["part"].startswith("gradient")]
        others = [each for each in wrong if not each["part"].startswith("gradient")]
        found[backend] = {
            "forward": _agreeing(compared, others),
            "gradient": _agreeing(compared, wrong) if BACKENDS[backend].gradient else None,
            "seconds": round(sum(part["seconds"] for part in parts.values())),
            "disagreements": [*others, *gradient],
        }
    return found


def _agreeing(compared: int, wrong: Sequence[Mapping[str, Any]]) -> str:
    return f"{compared - len({(each['text'], str(each['sizes'])) for each in wrong})}/{compared}"


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operators", type=int, default=200)
    parser.add_argument("--batch", type=int, default=40, help="operators in one program")
    parser.add_argument("--backends", nargs="+", choices=sorted(BACKENDS), help="all, if not given")
    parser.add_argument("--first", type=int, help="stop after so many batches")
    parser.add_argument("--again", action="store_true", help="redo batches that disagreed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--progress", type=Path, default=Path("agreement.progress.json"))
    parser.add_argument("--output", type=Path, help="write the figures, with the machine, here")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    chosen = parser.parse_args()
    settings = {key: getattr(chosen, key) for key in ("operators", "batch", "seed")}
    progress = Progress(chosen.progress, settings)
    if chosen.again:
        progress.forget_disagreements()
    names = chosen.backends or [row.name for row in BACKENDS.values() if row.installed]
    context = multiprocessing.get_context("spawn")
    parts = batches(chosen.operators, chosen.batch, chosen.seed)[: chosen.first]
    with ProcessPool(max_workers=1, context=context) as pool:
        for number, batch in enumerate(parts):
            for name in names:
                if progress.has(name, number):
                    continue
                start = time.perf_counter()
                wrong = checked(pool, name, batch)
                spent = round(time.perf_counter() - start, 1)
                figures = {"operators": len(batch), "seconds": spent, "disagreements": wrong}
                progress.record(name, number, figures)
                if not chosen.json:
                    print(
                        f"{name}, batch {number + 1} of {len(parts)}: {spent} s, {len(wrong)} off"
                    )
    found = summary(progress)
    if chosen.output:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(_signed(settings, found), indent=1) + "\n")
    print(json.dumps(found))


def _signed(settings: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    from syno.evaluate.latency import machine

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {name: version(name) for name in VERSIONS},
        **settings,
        "specs": SHARES,
        "backends": found,
    }


if __name__ == "__main__":
    main()
