"""A search with the ladder among the candidates that another search asked for, in their order.

What a ladder saves is seen best where both searches come upon the same candidates:

    python bench/ladder_again.py --full full.db --study again.db --minutes 150
    python bench/ladder.py --full full.db --ladder again.db

`--full` is the study of `syno search --ladder --least-gain 0`, whose model and data are taken over;
everything is timed, fitted and trained anew. Give it the minutes that the full search had: a batch
waits for a quarter of them at most. It may be stopped, and the same command goes on. Prints what
happens, and as its last line what `syno search --json` prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from syno.ir.operator import Operator
from syno.ir.parser import parse
from syno.run.search import Event, Search
from syno.run.settings import SearchSettings
from syno.run.study import Study, read_study
from syno.search.outcome import Outcome
from syno.search.protocol import Strategy


class Again:
    """Asks for given operators, one after the other, whatever it is told."""

    def __init__(self, operators: Iterable[Operator]) -> None:
        self.operators = iter(operators)
        self.in_flight = 0

    def ask(self) -> Operator | None:
        """Return the next operator; None after the last."""
        found = next(self.operators, None)
        self.in_flight += found is not None
        return found

    def tell(self, _candidate: Any, _outcome: Outcome) -> None:
        """Count one less under way."""
        self.in_flight -= 1


class SearchAgain(Search):
    """A search of which the candidates are known beforehand."""

    def __init__(self, texts: Iterable[str], *given: Any) -> None:
        super().__init__(*given)
        self.texts = tuple(texts)

    def _strategy(self, study: Study) -> Strategy:
        super()._strategy(study)  # the ladder learns what the study knows
        known = {record.operator for record in study.records()}
        return Again(parse(text) for text in self.texts if text not in known)


def show(event: Event) -> None:
    """Print an event that says something."""
    outcome = "" if event.record is None else f"#{event.record.number} {event.record.outcome} "
    if event.text:
        print(f"{event.phase}: {outcome[:120]}{event.text.splitlines()[-1]}", flush=True)


def main() -> None:
    """Search and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", type=Path, required=True, help="study of the other search")
    parser.add_argument("--study", type=Path, required=True, help="study of this one")
    parser.add_argument("--minutes", type=float, default=SearchSettings.minutes)
    chosen = parser.parse_args()
    other = read_study(chosen.full)
    asked = other.noted("question")
    settings = SearchSettings(
        asked["model"],
        asked["data"],
        chosen.study,
        minutes=chosen.minutes,
        workers=1,
        mode=asked["mode"],
        finalists=0,
        ladder=True,
    )
    texts = [record.operator for record in other.records()]
    print(json.dumps(SearchAgain(texts, settings, show).run()))


if __name__ == "__main__":
    main()
