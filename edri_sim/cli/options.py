"""Options that several commands have, and how what is given becomes settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from edri_sim.settings import Configuration

S = TypeVar("S", bound=Configuration)

Target = Annotated[str, typer.Argument(metavar="MODULE:TOPOLOGY", help="Or FILE.py:TOPOLOGY.", show_default=False)]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A TOML file: [edri] is for nodes, [switch] for switches."),
]
Switches = Annotated[
    list[str] | None,
    typer.Option("--switch", metavar="HOST:PORT", help="Where a switch listens, once for each [default: as declared]."),
]
Token = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", help="The shared secret; others can see it in the process list, EDRI_TOKEN not."),
]
Cert = Annotated[str | None, typer.Option("--cert", metavar="FILE", help="A certificate of one's own, PEM.")]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its private key, PEM.")]
CA = Annotated[str | None, typer.Option("--ca", metavar="FILE", help="Who may sign the others' certificates, PEM.")]
Allow = Annotated[
    str | None, typer.Option(metavar="FILE", help="Who may publish and subscribe to what: TOML, [allow.NODE].")
]
Insecure = Annotated[
    bool | None, typer.Option("--insecure", help="Talk to other machines without certificates.", show_default=False)
]
Data = Annotated[str | None, typer.Option("--data", metavar="DIR", help="A folder for what must outlive the program.")]
ShowConfig = Annotated[bool, typer.Option("--show-config", help="Print each setting and where it came from, and exit.")]
Level = Annotated[str, typer.Option("--log", metavar="LEVEL", help="debug, info, warning or error.")]
Reload = Annotated[
    bool, typer.Option("--reload", help="In development: put changed code in the place of what runs (extra 'reload').")
]
AsLifeline = Annotated[int | None, typer.Option("--lifeline", hidden=True)]


def load(kind: type[S], config: Path | None, **given: Any) -> S:
    """Settings from what was given on the command line (None is not given), the environment and a file.

    Raises SettingsError.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    return kind.load(toml=config, environment=os.environ, **arguments)


def joined(switches: list[str] | None) -> str | None:
    """The setting ``switches`` of addresses that were given one by one."""
    return ",".join(switches) if switches else None
