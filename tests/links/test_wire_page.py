"""The page about the wire says what is so."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from edri_sim.links import frames
from edri_sim.links.switch import SwitchConfig

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")


def value(where: str) -> Any:
    module, _, name = where.rpartition(".")
    if module == "switch.SwitchConfig":
        return getattr(SwitchConfig(), name)
    return getattr(import_module(f"edri_sim.links.{module}"), name)


def test_the_limits_are_those_of_the_code() -> None:
    table = PAGE.partition("## Limits")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in table.splitlines()[2:]]
    assert len(rows) > 20
    assert [(where, said) for _, said, where in rows] == [(where, str(value(where.strip("`")))) for _, _, where in rows]


def test_every_frame_is_named() -> None:
    names = {cls.__name__ for cls in frames._TYPES}
    named = reduce(set.union, ({*re.findall(r"\b[A-Z][A-Za-z]+\b", row)} for row in PAGE.splitlines()))
    assert names <= named
