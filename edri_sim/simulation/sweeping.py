"""Sweeps: a scenario with each of several settings and seeds, on all cores, which can be stopped and gone on with."""

from __future__ import annotations

import json
import math
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cloudpickle
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edri_sim.errors import DeclarationError, SimulationError
from edri_sim.run import Run
from edri_sim.run.tables import pandas
from edri_sim.scenario import Scenario
from edri_sim.simulation.experiments import Measure, Replications
from edri_sim.simulation.scenarios import simulate

if TYPE_CHECKING:
    import pandas as pd

Point = dict[str, Any]
"""One value for each name of the grid."""
Make = Callable[..., Scenario]
Advance = Callable[[int, int], None]
"""Told how many runs are done, and of how many."""

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Job:
    """One run: its point, its seed, and the key of both in a file."""

    point: Point
    seed: int

    @property
    def key(self) -> str:
        """The same for the same point and seed, whatever the order of its names."""
        return json.dumps([self.point, self.seed], sort_keys=True, default=repr)


class Sweep:
    """What came of a sweep: for each point of the grid, in the grid's order, the figures of each seed."""

    def __init__(
        self, grid: Mapping[str, Sequence[Any]], seeds: Sequence[int], found: Mapping[str, Mapping[str, float]]
    ):
        self.grid = {name: tuple(values) for name, values in grid.items()}
        self.seeds = tuple(seeds)
        self._found = found

    def __repr__(self) -> str:
        names = ", ".join(f"{name} ({len(values)})" for name, values in self.grid.items())
        return f"<Sweep of {names}: {len(self.points)} points, {len(self.seeds)} seeds>"

    @property
    def points(self) -> list[Point]:
        """Every point of the grid."""
        return points_of(self.grid)

    def at(self, **point: Any) -> Replications:
        """The replications at one point, for their means and confidence intervals."""
        figures = tuple(self._found[Job(point, seed).key] for seed in self.seeds)
        return Replications(self.seeds, figures, level=0.95)

    def table(self) -> pd.DataFrame:
        """One line a run: the point, the seed, and all figures. Raises MissingExtra without the extra ``lab``."""
        lines = [
            {**point, "seed": seed, **self._found[Job(point, seed).key]} for point in self.points for seed in self.seeds
        ]
        return pandas().DataFrame(lines)


def points_of(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination of the grid's values; the last name changes fastest."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def sweep(
    scenario: Scenario | Make, grid: Mapping[str, Sequence[Any]], seeds: Iterable[int], *,
    measure: Measure = Run.figures, processes: int | None = None, file: Path | str | None = None,
    advance: Advance | None = None,
) -> Sweep:  # fmt: skip
    """Run a scenario at every point of ``grid`` with every seed, and keep the figures that ``measure`` finds.

    ``scenario`` is a function that makes one of a point's values, or one whose data the grid's names lead to, such as
    ``"duration"`` or ``"load.0.rate"``. It runs in ``processes`` child processes, by default one a core; the result
    does not depend on their number. With a ``file``, each run is written down when it is done, and is not done again by
    the next sweep that is given the file: Ctrl-C stops a sweep, and calling it again goes on. A file is for one
    scenario and ``measure``. ``advance``, by default a progress bar, is told of each
    run that is done.

    Raises:
        DeclarationError: the grid or a scenario of it could not be, before anything runs.
        SimulationError: a run failed; the message names its point and seed. What was done by then is in the file.
    """
    listed = tuple(seeds)
    _check(grid, listed, processes)
    jobs = [Job(point, seed) for point in points_of(grid) for seed in listed]
    for point in points_of(grid):
        scenario_at(scenario, point)
    book = Book(None if file is None else Path(file))
    waiting = [job for job in jobs if job.key not in book.found]
    with _bar() if advance is None else nullcontext(advance) as told:
        Crew(scenario, measure, book, told, len(jobs)).work(waiting, processes or os.cpu_count() or 1)
    return Sweep(grid, listed, book.found)


def _check(grid: Mapping[str, Any], seeds: tuple[int, ...], processes: int | None) -> None:
    if not grid or not all(isinstance(values, list | tuple | range) and values for values in grid.values()):
        words = "expected a list of values for each name, such as {'rate': [1, 2]}"
        raise DeclarationError(f"sweep(grid={grid!r}): {words}")
    if not seeds or len(dict.fromkeys(seeds)) < len(seeds):
        raise DeclarationError(f"sweep(seeds={list(seeds)}): expected one or more, each once")
    if processes is not None and processes < 1:
        raise DeclarationError(f"sweep(processes={processes}): expected 1 or more")


@contextmanager
def _bar() -> Iterator[Advance]:
    """A progress bar, where somebody could see it."""
    console = Console(stderr=True)
    columns = TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    hidden = not (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("")
        yield lambda done, total: progress.update(task, completed=done, total=total)


def scenario_at(scenario: Scenario | Make, point: Point) -> Scenario:
    """The scenario of one point. Raises DeclarationError for a name that leads nowhere, or what could not happen."""
    if not isinstance(scenario, Scenario):
        made = scenario(**point)
        if not isinstance(made, Scenario):
            raise DeclarationError(f"sweep at {point}: expected a function that returns a Scenario, got {made!r}")
        return made
    found: Any = scenario
    for name, value in point.items():
        found = _with(found, name.split("."), value, name)
    chosen: Scenario = found
    return chosen


def _with(thing: Any, path: list[str], value: Any, name: str) -> Any:
    """A copy of some data in which what ``path`` leads to is ``value``."""
    if not path:
        return value
    first, *rest = path
    if isinstance(thing, tuple) and first.isdigit() and int(first) < len(thing):
        place = int(first)
        return (*thing[:place], _with(thing[place], rest, value, name), *thing[place + 1 :])
    if is_dataclass(thing) and not isinstance(thing, type) and first in [field.name for field in fields(thing)]:
        return replace(thing, **{first: _with(getattr(thing, first), rest, value, name)})
    raise DeclarationError(f"sweep: grid name {name!r}: {type(thing).__name__} has no {first!r}")


class Book:
    """The figures of the runs that are done, by key, and the file that they are written to, a line each."""

    def __init__(self, path: Path | None) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._path = path
        if path is not None and path.exists():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                self._read(line, number)

    def _read(self, line: str, number: int) -> None:
        try:
            entry = json.loads(line)
            self.found[entry["run"]] = {name: float(value) for name, value in entry["figures"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeclarationError(
                f"{self._path}:{number}: expected the results of a sweep, or no such file"
            ) from error

    def write(self, key: str, figures: Mapping[str, float]) -> None:
        """Keep the figures of a run."""
        self.found[key] = dict(figures)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"run": key, "figures": self.found[key]}) + "\n")


class Crew:
    """Child processes that run one job after the other, each served by a thread of this process."""

    def __init__(self, scenario: Scenario | Make, measure: Measure, book: Book, advance: Advance, total: int) -> None:
        self._task = cloudpickle.dumps((sys.path, cloudpickle.dumps((scenario, measure))))
        self._book = book
        self._advance = advance
        self._total = total
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[tuple[Job, Any] | None] = queue.SimpleQueue()

    def work(self, jobs: Sequence[Job], processes: int) -> None:
        """Do all jobs, or what there is time for until Ctrl-C. Raises SimulationError for a job that failed."""
        for job in jobs:
            self._jobs.put(job)
        children = [_Child(self._task) for _ in range(min(processes, len(jobs)))]
        threads = [threading.Thread(target=self._serve, args=(child,), daemon=True) for child in children]
        try:
            for thread in threads:
                thread.start()
            for _ in jobs:
                self._take(self._ends.get())
        finally:
            for child in children:
                child.kill()
            for thread in threads:
                thread.join()

    def _take(self, end: tuple[Job, Any] | None) -> None:
        if end is None:
            raise SimulationError("sweep: a child process died: see what it wrote to standard error")
        job, outcome = end
        if isinstance(outcome, str):
            raise SimulationError(f"sweep at {job.point}, seed {job.seed}: {outcome}")
        self._book.write(job.key, outcome)
        self._advance(len(self._book.found), self._total)

    def _serve(self, child: _Child) -> None:
        """In a thread: give a child the next job until there is none."""
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                try:
                    self._ends.put((job, child.ask(job)))
                except (OSError, EOFError, pickle.UnpicklingError):
                    self._ends.put(None)
                    return


class _Child:
    """One child process."""

    def __init__(self, task: bytes) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edri_sim.simulation.sweeping"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment, process_group=0,
        )  # fmt: skip
        self._task: bytes | None = task

    def ask(self, job: Job) -> Any:
        """Have a job done; figures, or what went wrong in words."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._task is not None:
            _write(self._process.stdin, self._task)
            self._task = None
        _write(self._process.stdin, pickle.dumps((job.point, job.seed)))
        return pickle.loads(_read(self._process.stdout))

    def kill(self) -> None:
        """End it: it has nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return pipe.read(int(_LENGTH.unpack(head)[0]))


def main() -> None:
    """What a child does: a task, and then jobs, come on standard input, and their figures go to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a handler prints must not come between the answers.
    path, task = pickle.loads(_read(sys.stdin.buffer))
    sys.path[:] = path
    scenario, measure = pickle.loads(task)
    with suppress(EOFError):
        while True:
            point, seed = pickle.loads(_read(sys.stdin.buffer))
            _write(answers, pickle.dumps(_outcome(scenario, measure, point, seed)))


def _outcome(scenario: Scenario | Make, measure: Measure, point: Point, seed: int) -> dict[str, float] | str:
    try:
        figures = measure(simulate(scenario_at(scenario, point), seed))
        return {name: float(value) for name, value in figures.items() if not math.isnan(value)}
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
