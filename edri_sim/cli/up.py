"""``edri-sim up``: a whole topology on this machine, each switch and node a process of its own, with one log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from edri_sim.cli import logs, options
from edri_sim.cli.shown import show_config
from edri_sim.realtime.deployment import Deployment
from edri_sim.realtime.fleet import Fleet
from edri_sim.realtime.loading import load_topology
from edri_sim.realtime.reloading import check_installed
from edri_sim.settings import Settings

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
MARGIN = 5.0
"""Seconds that a node gets to end, beyond those that it may drain."""


Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Start this alone, once for each [default: all].")
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="Let the others run when one has ended.")]
Certs = Annotated[
    Path | None, typer.Option("--certs", metavar="DIR", help="Certificates, as edri-sim certs DIR makes them.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the configuration as JSON.")]


def up(
    topology: options.Target, only: Only = None, keep_going: KeepGoing = False, switches: options.Switches = None,
    token: options.Token = None, certs: Certs = None, allow: options.Allow = None, insecure: options.Insecure = None,
    data: options.Data = None, config: options.Config = None, show: options.ShowConfig = False,
    as_json: AsJson = False, log: options.Level = "info", reload: options.Reload = False,
) -> None:  # fmt: skip
    """Run the switches and nodes of a topology on this machine until Ctrl-C or SIGTERM, and then drain them.

    Exits with 130 or 143 then, with 1 if one of them ends by itself, and with 2 on bad input.
    """
    logs.check(log)
    if reload:
        check_installed()
    shared: dict[str, Any] = {"token": token, "allow": allow, "insecure": insecure}
    settings = options.load(Settings, config, switches=options.joined(switches), data=data, **shared)
    deployment = Deployment(load_topology(topology), settings, only or (), certs)
    if show:
        show_config(deployment.shown(), as_json=as_json)
        return
    given = {name: value for name, value in shared.items() if value is not None}
    common = _common(config, log)
    plans = (
        deployment.switch_plans(common, given),
        deployment.node_plans(topology, (*common, "--reload") if reload else common, given),
    )
    stream = _Stream([plan.name for group in plans for plan in group])

    async def run() -> int:
        fleet = Fleet(*plans, stream.say, patience=settings.drain_timeout + MARGIN, keep_going=keep_going)
        return await fleet.run()

    raise typer.Exit(asyncio.run(run()))


def _common(config: Path | None, log: str) -> tuple[str, ...]:
    return ("--log", log, *(("--config", str(config)) if config is not None else ()))


class _Stream:
    """The lines of all children in one stream, each with the name of its own before it."""

    def __init__(self, names: Sequence[str]) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = max(len(name) for name in (*names, "edri-sim"))
        self._styles = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}

    def say(self, name: str, line: str) -> None:
        """Print a line; without a name, it is our own. Raises OSError where nobody reads any more."""
        prefix = f"{name or 'edri-sim':<{self._width}} | ", self._styles.get(name, "bold")
        self._console.print(Text.assemble(prefix, Text.from_ansi(line)), soft_wrap=True)
