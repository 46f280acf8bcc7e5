"""``edri-sim certs``: certificates for development."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def certs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write them to; made if it is missing.")],
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A node or switch, once for each [default: localhost].", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace certificates that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the names of the files as JSON.")] = False,
) -> None:
    """Make a certificate authority and certificates for TLS between nodes and switches, for development.

    An authority that is in DIR already signs again. Keys are not encrypted, and nothing is ever revoked: in
    production, use certificates of your own authority.
    """
    from edri_sim.realtime.certificates import AUTHORITY, make_certificates

    files = make_certificates(folder, name or ["localhost"], force=force)
    if as_json:
        print(
            json.dumps({owner: {"cert": str(cert), "key": str(key)} for owner, (cert, key) in files.items()}, indent=2)
        )
        return
    authority = files.pop(AUTHORITY)[0]
    for owner, (cert, key) in files.items():
        print(f"{owner}: EDRI_TLS_CERT={cert} EDRI_TLS_KEY={key} EDRI_TLS_CA={authority}")
    print("For development only: the keys are not encrypted, and who has the authority's can be any node.")
