"""``edri-sim switch`` and ``edri-sim node``: one program each, for one machine each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from edri_sim.cli import logs, options
from edri_sim.cli.shown import Shown, show_config
from edri_sim.node import Node
from edri_sim.realtime import reloading
from edri_sim.realtime.launch import Ready, loop_factory, node_of, run_node, run_switch, switches_of
from edri_sim.realtime.lifeline import Lifeline
from edri_sim.realtime.loading import load_topology
from edri_sim.settings import Settings, SwitchSettings
from edri_sim.topology import Topology

Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What the switch is called [default: hub].")]
Listen = Annotated[
    str | None, typer.Option("--listen", metavar="HOST:PORT", help="The address for nodes [default: 127.0.0.1:7400].")
]
Status = Annotated[
    str | None,
    typer.Option(
        "--status",
        metavar="HOST:PORT",
        help="Where to show its status over HTTP, '' for nowhere [default: 127.0.0.1:7480].",
    ),
]
NodeName = Annotated[str, typer.Argument(metavar="NAME", help="The node of it that runs here.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the configuration, or else the log, as JSON.")]


def switch(
    name: Name = None, listen: Listen = None, status: Status = None, token: options.Token = None,
    cert: options.Cert = None, key: options.Key = None, ca: options.CA = None, allow: options.Allow = None,
    insecure: options.Insecure = None, config: options.Config = None, show: options.ShowConfig = False,
    as_json: AsJson = False, log: options.Level = "info", lifeline: options.AsLifeline = None,
) -> None:  # fmt: skip
    """Run a switch, which joins nodes, until Ctrl-C or SIGTERM.

    Exits with 130 or 143 then, and with 2 on bad input, such as a port that is taken.
    """
    settings = options.load(
        SwitchSettings, config, name=name, listen=listen, status=status, token=token, tls_cert=cert, tls_key=key,
        tls_ca=ca, allow=allow, insecure=insecure,
    )  # fmt: skip
    if show:
        show_config(settings.shown(), as_json=as_json)
        return
    logs.set_up(log, as_json=as_json)
    _run(lambda ready: run_switch(settings, ready=ready), lifeline)


def node(
    topology: options.Target, name: NodeName,
    switches: options.Switches = None, token: options.Token = None, cert: options.Cert = None, key: options.Key = None,
    ca: options.CA = None, allow: options.Allow = None, insecure: options.Insecure = None, data: options.Data = None,
    config: options.Config = None, show: options.ShowConfig = False, as_json: AsJson = False,
    log: options.Level = "info", reload: options.Reload = False, lifeline: options.AsLifeline = None,
) -> None:  # fmt: skip
    """Run one node of a topology until Ctrl-C or SIGTERM, and then drain it.

    Exits with 130 or 143 then, and with 2 on bad input, such as a node that the topology has not.
    """
    settings = options.load(
        Settings, config, switches=options.joined(switches), token=token, tls_cert=cert, tls_key=key, tls_ca=ca,
        allow=allow, insecure=insecure, data=data,
    )  # fmt: skip
    if reload:
        reloading.check_installed()
    loaded = load_topology(topology)
    if show:
        show_config(_shown(loaded, name, settings), as_json=as_json)
        return
    logs.set_up(log, as_json=as_json)

    def beside(running: Node) -> Coroutine[Any, Any, None]:
        return reloading.Reloader(running, topology).watch()

    _run(lambda ready: run_node(loaded, name, settings, ready=ready, beside=beside if reload else None), lifeline)


def _shown(topology: Topology, name: str, settings: Settings) -> Shown:
    """The settings, with the switches' addresses wherever they come from."""
    addresses, source = switches_of(topology, node_of(topology, name), settings)
    shown = settings.shown()
    if source == "topology" and addresses:
        shown["switches"] = {"value": ",".join(map(str, addresses)), "from": f"topology {topology.name}"}
    return shown


def _run(program: Callable[[Ready], Coroutine[Any, Any, None]], lifeline: int | None) -> None:
    ready: Ready = (lambda: None) if lifeline is None else Lifeline(lifeline).ready
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(program(ready))
