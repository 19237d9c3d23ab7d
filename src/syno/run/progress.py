"""Progress: on a terminal a bar with time left, and a line for each candidate; in a log the lines.

A bar redraws itself with control characters; a file or a pipe gets none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from syno.search.outcome import Failed, Outcome, Pruned, Scored, TimedOut

if TYPE_CHECKING:
    from syno.run.search import Event

_DESCRIPTION = TextColumn("{task.description}", markup=False)


class Live:
    """Shows a search while it runs: a context manager whose `on_event` listens."""

    def __init__(self, console: Console) -> None:
        self.progress = _progress(console)
        self.task = self.progress.add_task("starting", total=1.0)
        self.trained = 0

    def __enter__(self) -> Live:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if event.record is not None:
            self.trained += isinstance(event.record.outcome, Scored)
            self._print(_line(event))
        elif event.phase != "waiting":
            lines = event.text.splitlines()
            self._print(Text.assemble((f"{event.phase}: ", "dim"), lines[-1]))
        if event.phase != "waiting":
            self.progress.update(self.task, description=f"{event.phase}, {self.trained} trained")
        self.progress.update(self.task, completed=event.done)

    def _print(self, line: Text) -> None:
        self.progress.console.print(line, soft_wrap=True, highlight=False)


@contextmanager
def plain_progress(console: Console, title: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar with time left; yields a callback that takes (step, steps)."""
    with _progress(console) as progress:
        task = progress.add_task(title, total=None)

        def on_step(step: float, steps: float) -> None:
            progress.update(task, total=steps, completed=step)

        yield on_step


@contextmanager
def waiting(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """Show that something of unknown length is under way, and for how long already.

    Yields a callback that changes the title; without a terminal, every title is one line.
    """
    columns = SpinnerColumn(), _DESCRIPTION, TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def say(text: str) -> None:
            progress.update(task, description=text)
            if progress.disable:
                console.print(text, markup=False, highlight=False, soft_wrap=True)

        if progress.disable:
            say(title)
        yield say


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        _DESCRIPTION,
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _line(event: Event) -> Text:
    """Return the line of one candidate."""
    assert event.record is not None
    formula = event.record.operator.splitlines()[-1]
    return Text.assemble(f"#{event.record.number:<4}", *_words(event.record.outcome), "  ", formula)


def _words(outcome: Outcome) -> list[tuple[str, str]]:
    """Return an outcome in words, each piece with its style."""
    if isinstance(outcome, Scored):
        return [(f"{100 * outcome.accuracy:6.2f} %  {outcome.ratio:4.2f}x", "green")]
    if isinstance(outcome, Pruned):
        return [(f"pruned: {outcome.reason}", "dim")]
    if isinstance(outcome, TimedOut):
        return [(f"stopped after {outcome.seconds:g} s", "yellow")]
    assert isinstance(outcome, Failed)
    first = (outcome.message.splitlines() or [""])[0]
    return [(outcome.kind, "red"), (f": {first[:100]}", "")]
