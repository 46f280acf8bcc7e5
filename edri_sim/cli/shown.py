"""``--show-config``: each setting, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Shown = Mapping[str, Mapping[str, Any]]


def show_config(shown: Shown, *, as_json: bool) -> None:
    """Print settings as :meth:`~edri_sim.settings.Configuration.shown` gives them, for a person or a program."""
    if as_json:
        print(json.dumps(shown, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for name, setting in shown.items():
        table.add_row(name, Text(_words(setting["value"])), Text(setting["from"], style="dim"))
    Console(highlight=False).print(table)


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"
