"""Runs the sides of a case in turn, each run a fresh process, and keeps every figure."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from benchmarks.cases import PEERS, Case
from benchmarks.environment import ROOT, Environment

RUN_SECONDS = 30.0
"""A run that takes longer is ended, and counts as failed."""
EXIT_SECONDS = 0.5
"""How long a side may take to exit after its figure; edri's queues can keep it from exiting at all."""

Key = tuple[str, str]
"""A side's module and the name of its case."""


@dataclass
class Figures:
    """The figures of one side; once a run has failed there is a reason, and no more runs."""

    runs: list[float] = field(default_factory=list)
    reason: str | None = None

    @property
    def median(self) -> float | None:
        """The median of the runs, or None where there is none."""
        return statistics.median(self.runs) if self.runs and self.reason is None else None


class RunFailed(Exception):
    """A side printed no figure; the message is the last line that it did print."""


def sides(case: Case) -> list[Key]:
    """All sides of a case, in the order in which they run: ours and theirs in turn."""
    ours = [(way.side, way.case) for way in case.ours]
    theirs = [(PEERS[peer].side, case.ours[0].case) for peer in case.peers]
    return [*ours[:1], *theirs[:1], *ours[1:], *theirs[1:]]


def measure(case: Case, environment: Environment, rounds: int, progress: Callable[[str], None]) -> dict[Key, Figures]:
    """Run every side once in each round: ours, theirs, ours, theirs and so on."""
    figures = {key: Figures() for key in sides(case)}
    for peer in case.peers:
        figures[PEERS[peer].side, case.ours[0].case].reason = environment.missing(PEERS[peer])
    for number in range(rounds):
        for (side, name), kept in figures.items():
            if kept.reason is None:
                progress(f"{name}: {side}, run {number + 1} of {rounds}")
                _run_into(kept, environment, side, name)
    return figures


def _run_into(kept: Figures, environment: Environment, side: str, name: str) -> None:
    try:
        kept.runs.append(run_side(environment, side, name))
    except RunFailed as failure:
        kept.reason = str(failure)


def run_side(environment: Environment, side: str, case: str) -> float:
    """One figure from one fresh process. Raises RunFailed."""
    command = [str(environment.python), "-m", f"benchmarks.sides.{side}", case]
    with _scratch() as scratch, tempfile.TemporaryFile("w+") as errors, _group(command, errors, scratch) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(EXIT_SECONDS)
            return float(json.loads(line)["value"])
        errors.seek(0)
        raise RunFailed((errors.read().strip().splitlines() or [f"no figure within {RUN_SECONDS:.0f} s"])[-1])


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A side's folder for temporary files; nobody who is ended by SIGKILL removes its own."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


@contextlib.contextmanager
def _group(command: list[str], errors: IO[str], scratch: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, so that whatever it leaves behind ends with it."""
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
        start_new_session=True, env={**os.environ, "TMPDIR": scratch},
    )  # fmt: skip
    timer = threading.Timer(RUN_SECONDS, _end, [process])
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        _end(process)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def show_progress(text: str) -> None:
    """One line on standard error, overwritten where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
