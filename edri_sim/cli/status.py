"""``edri-sim status``: what a switch says of itself."""

from __future__ import annotations

import http.client
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edri_sim.cli import options
from edri_sim.errors import SettingsError
from edri_sim.realtime.status import PATHS, WITHIN
from edri_sim.settings import SwitchSettings, addresses

COLUMNS = {
    "node": "node", "incarnation": "incarnation", "address": "address", "seconds": "connected s", "relayed": "relayed",
    "queue": "queue bytes", "dropped": "dropped",
}  # fmt: skip


def status(
    address: Annotated[
        str | None,
        typer.Argument(metavar="[HOST:PORT]", help="Of its status [default: EDRI_STATUS, or 127.0.0.1:7480]."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as the switch gives it.")] = False,
) -> None:
    """Print what a running switch says of itself: its nodes, their queues and drops, and what it counted.

    Exits with 1 if no switch answers there.
    """
    settings = options.load(SwitchSettings, None, status=address)
    if not settings.status:
        raise SettingsError("setting status='': expected the address of a switch's status")
    report = _fetch(settings.status)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        _show(Console(highlight=False), report)


def _fetch(address: str) -> dict[str, Any]:
    host, port = addresses(address)[0]
    connection = http.client.HTTPConnection(host, port, timeout=WITHIN)
    try:
        connection.request("GET", PATHS[-1])
        answer = connection.getresponse()
        report = json.loads(answer.read())
        if answer.status != 200 or "switch" not in report:
            raise ValueError(f"it answers with status {answer.status}, and is no switch")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SystemExit(f"edri-sim: no switch shows its status at {address}: {error}") from error
    finally:
        connection.close()
    return report  # type: ignore[no-any-return]


def _show(console: Console, report: dict[str, Any]) -> None:
    console.print(
        f"switch {report['switch']} at {report['address']}: up for {report['seconds']:.0f} s, {len(report['nodes'])}"
        f" nodes, {report['greeting']} connections before their hello",
        markup=False,
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for key, heading in COLUMNS.items():
        table.add_column(heading, justify="left" if key in ("node", "incarnation", "address") else "right")
    for name, port in report["nodes"].items():
        table.add_row(*(_words({"node": name, **port}[key]) for key in COLUMNS))
    for name, incarnation in report["absent"].items():
        table.add_row(name, incarnation, "absent")
    console.print(table)
    for what, count in report["counts"].items():
        console.print(f"{what}: {count}", markup=False)


def _words(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)
