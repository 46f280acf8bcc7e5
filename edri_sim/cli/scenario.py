"""``edri-sim simulate`` and ``edri-sim run``: a scenario, in simulated or in real time."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edri_sim.errors import SettingsError
from edri_sim.realtime.loading import load_scenario
from edri_sim.realtime.scenarios import run_real
from edri_sim.run import Run
from edri_sim.scenario import Scenario

Target = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="FILE.toml, MODULE:SCENARIO or FILE.py:SCENARIO.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the events: .csv or .parquet, or .json for ui.perfetto.dev."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON, and no progress bar.")]

_WRITERS: dict[str, Callable[[Run, Path], None]] = {
    ".csv": Run.to_csv,
    ".parquet": Run.to_parquet,
    ".json": Run.to_perfetto,
}


def simulate(
    scenario: Target,
    seed: Annotated[int, typer.Option(help="The seed of the simulation.")] = 7,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario in simulated time, and print what came of it.

    Exits with 1 if the run broke what every run keeps, and with 2 on bad input.
    """
    from edri_sim.simulation import scenarios

    _check_out(out)
    loaded = load_scenario(scenario)
    with _bar("simulating", hidden=as_json) as advance:
        run = scenarios.simulate(loaded, seed, progress=advance)
    _show(run, loaded, out, as_json=as_json)


def run(
    scenario: Target,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="All machines in this program; none can be killed or paused.")
    ] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario in real time, with a process for each machine, and print what came of it.

    Exits with 2 on bad input, such as a fault that cannot be made to happen in real time.
    """
    _check_out(out)
    loaded = load_scenario(scenario)
    with _bar("running", hidden=as_json) as advance:
        done = asyncio.run(run_real(loaded, in_process=in_process, progress=advance))
    _show(done, loaded, out, as_json=as_json)


class _bar:
    """A progress bar on standard error; what it is entered for takes the share that is done, 0 to 1."""

    def __init__(self, words: str, *, hidden: bool) -> None:
        columns = TextColumn(words), BarColumn(), TimeRemainingColumn()
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)

    def __enter__(self) -> Callable[[float], None]:
        self._bars.start()
        task = self._bars.add_task("", total=1.0)
        return lambda share: self._bars.update(task, completed=share)

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def _check_out(out: Path | None) -> None:
    if out is not None and out.suffix not in _WRITERS:
        raise SettingsError(f"--out {out}: expected a file that ends in {', '.join(_WRITERS)}")


def _show(run: Run, scenario: Scenario, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        try:
            _WRITERS[out.suffix](run, out)
        except OSError as error:
            raise SettingsError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    print(json.dumps(_as_json(run, scenario), indent=2) if as_json else run.summary())


def _as_json(run: Run, scenario: Scenario) -> dict[str, Any]:
    """The run for programs; times in seconds, and null for what there is none of."""
    return {
        "topology": scenario.topology.name,
        "simulated": run.simulated,
        "seed": run.seed,
        "digest": run.digest,
        "duration": run.duration,
        "warm_up": run.warm_up,
        # NaN is no JSON.
        "figures": {name: None if math.isnan(value) else value for name, value in run.figures().items()},
        "load": [
            {
                "load": str(tally.load), "offered": tally.offered, "ended": tally.ended, "missed": tally.missed,
                "open": tally.open, "failed": dict(tally.failed),
            }
            for tally in run.tallies
        ],
        "faults": [
            {
                "fault": name, "begin": run.since(period.start) / 1e6,
                "end": None if period.end is None else run.since(period.end) / 1e6,
            }
            for name, period in run.traffic.faults
        ],
    }  # fmt: skip
