"""``edri-sim demo``: the photo service and an outage, in real and in simulated time."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import edri_sim
from edri_sim.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from edri_sim.demo.drive import Load
    from edri_sim.demo.report import Result

WIDTH = 240
"""Pixels."""


def demo(
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of photos [default: our own].")] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the report.")] = Path("edri-demo.html"),
    seed: Annotated[int, typer.Option(help="The seed of the simulation.")] = 1,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often to ask for each photo [default: a few seconds' worth].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Worker processes [default: one a core, 4 at most].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and no progress bars.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the node's log to stderr.")] = False,
) -> None:
    """Make thumbnails of photos with a photo service, in real time and then in simulated time; write a report.

    Then a link between two nodes is cut for a moment, in both, and what was sent over it has to arrive all the same.
    Exits with 0 if every photo was answered and arrived in both parts, 1 if not, 2 on bad input.
    """
    _need_lab()
    _set_up_logging(verbose)
    from edri_sim.demo import inputs, machine

    inputs.check_out(out)
    photos = inputs.find_photos(images if images is not None else inputs.own_photos())
    cores = len(machine.usable_cores())
    processes = workers or min(4, cores)
    load = _load(photos, rounds or inputs.default_rounds(photos), processes)
    result = _perform(load, cores, processes, seed, hidden=as_json)
    _write(out, result)
    _show(result, out, as_json=as_json)
    raise typer.Exit(0 if result.complete else 1)


def _need_lab() -> None:
    if any(find_spec(name) is None for name in ("PIL", "matplotlib", "networkx")):
        raise MissingExtra("edri-sim demo", "lab")


def _set_up_logging(verbose: bool) -> None:
    logger = logging.getLogger("edri_sim")
    logger.addHandler(logging.StreamHandler() if verbose else logging.NullHandler())
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _load(photos: list[str], rounds: int, workers: int) -> Load:
    from edri_sim.demo.drive import Load

    return Load(photos, rounds, 2 * workers, WIDTH)


def _perform(load: Load, cores: int, workers: int, seed: int, *, hidden: bool) -> Result:
    from edri_sim.demo import outage
    from edri_sim.demo.machine import Machine, busy_seconds
    from edri_sim.demo.report import Result
    from edri_sim.demo.show import Show
    from edri_sim.demo.terminal import Bars

    bars = Bars(Console(stderr=True), hidden=hidden)
    machine = Machine(cores, time.perf_counter, time.thread_time, busy_seconds)
    show = Show(load, machine, workers=workers, seed=seed, advance=bars.advance)
    with bars.bar("real time", load.requests):
        real, recording = asyncio.run(show.real())
    with bars.bar("simulated time", load.requests):
        simulated = show.simulated(recording)
    plan = outage.Plan(load.photos)
    with bars.bar("an outage", 2 * plan.count):
        crossed = outage.perform(plan, seed=seed, advance=bars.advance)
    return Result(show, real, simulated, recording, crossed, edri_sim.__version__, platform.python_version())


def _write(out: Path, result: Result) -> None:
    from edri_sim.demo.report import page

    try:
        out.write_text(page(result), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written: {error.strerror}") from error


def _show(result: Result, out: Path, *, as_json: bool) -> None:
    from edri_sim.demo.terminal import show_result

    if as_json:
        print(json.dumps(_as_json(result, out), indent=2))
        return
    console = Console(highlight=False)
    show_result(console, result)
    console.print(f"report: {out}", soft_wrap=True, markup=False)


def _as_json(result: Result, out: Path) -> dict[str, Any]:
    from edri_sim.demo import outage
    from edri_sim.demo.figures import as_json

    show = result.show
    return {
        "ok": result.complete,
        "version": result.version,
        "python": result.python,
        "photos": len(show.load.photos),
        "rounds": show.load.rounds,
        "clients": show.load.clients,
        "workers": show.workers,
        "cores": show.machine.cores,
        "seed": show.seed,
        "real": as_json(result.real),
        "simulated": as_json(result.simulated),
        "outage": outage.as_json(result.outage),
        "report": str(out),
    }
