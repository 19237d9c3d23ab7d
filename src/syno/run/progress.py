"""Progress on a terminal: a bar with time left, and a line for each candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from syno.search.outcome import Failed, Pruned, Scored, TimedOut

if TYPE_CHECKING:
    from syno.run.search import Event


class Live:
    """Shows a search while it runs: a context manager whose `on_event` listens."""

    def __init__(self, console: Console, seconds: float) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=console)
        self.task = self.progress.add_task("starting", total=1.0)
        self.seconds = seconds
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
            self.progress.console.print(_line(event), soft_wrap=True, highlight=False)
        elif event.phase != "waiting":
            text = event.text.splitlines()[-1]
            self.progress.console.print(f"[dim]{event.phase}:[/] {escape(text)}", soft_wrap=True)
        if event.phase != "waiting":
            self.progress.update(self.task, description=f"{event.phase}, {self.trained} trained")
        self.progress.update(self.task, completed=event.done)


@contextmanager
def plain_progress(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with time left; yields a callback that takes (step, steps)."""
    with Progress(console=console) as progress:
        task = progress.add_task(title, total=None)

        def on_step(step: int, steps: int) -> None:
            progress.update(task, total=steps, completed=step)

        yield on_step


def _line(event: Event) -> str:
    """Return the line of one candidate."""
    assert event.record is not None
    outcome = event.record.outcome
    if isinstance(outcome, Scored):
        text = f"[green]{100 * outcome.accuracy:6.2f} %  {outcome.ratio:4.2f}x[/]"
    elif isinstance(outcome, Pruned):
        text = f"[dim]pruned: {escape(outcome.reason)}[/]"
    elif isinstance(outcome, TimedOut):
        text = f"[yellow]stopped after {outcome.seconds:.0f} s[/]"
    else:
        assert isinstance(outcome, Failed)
        text = f"[red]{outcome.kind}[/]: {escape(outcome.message.splitlines()[0][:100])}"
    formula = event.record.operator.splitlines()[1]
    return f"#{event.record.number:<4}{text}  {escape(formula)}"
