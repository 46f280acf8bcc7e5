"""What the demo shows in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from edri_sim.demo.report import Result


class Bars:
    """One progress bar at a time; ``advance`` is what the service calls for each photo."""

    def __init__(self, console: Console, *, hidden: bool) -> None:
        self._console = console
        self._hidden = hidden
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def advance(self) -> None:
        """One photo more."""
        if self._progress is not None:
            self._progress.advance(self._task)

    @contextmanager
    def bar(self, words: str, total: int) -> Iterator[None]:
        """Show a bar while the block runs."""
        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, disable=self._hidden) as progress:
            self._progress, self._task = progress, progress.add_task(words, total=total)
            try:
                yield
            finally:
                self._progress = None


def show_result(console: Console, result: Result) -> None:
    """Print the figures side by side, what failed, and the verdicts."""
    console.print(_table(result))
    for text in result.errors:
        console.print(Text(f"error: {text}", style="red"), soft_wrap=True)
    load = result.show.load
    counts = " and ".join(
        f"{len(side.answers.cards)} of {load.requests} in {words}"
        for side, words in ((result.real, "real time"), (result.simulated, "simulated time"))
    )
    console.print(Text(f"answered: {counts}", style="green" if result.answered else "red"), soft_wrap=True)
    for words, text, kept in result.outage.verdicts:
        console.print(Text(f"outage in {words}: {text}", style="green" if kept else "red"), soft_wrap=True)


def _table(result: Result) -> Table:
    table = Table(title="the photo service, real and simulated", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for heading in ("real", "simulated", "simulated / real"):
        table.add_column(heading, justify="right")
    for group in result.groups:
        table.add_row(Text(group.heading, style="bold"))
        for line in group.lines:
            table.add_row(f"  {line.name}", line.real, line.simulated, line.ratio)
    return table
