"""The example of backbones: what is measured is what the distances say, and a cut cable loses nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "backbones"
IN_TOWN = 0.2
"""Milliseconds: from the central city to its hub, and from there to the archive."""


@pytest.mark.parametrize(("name", "first"), [
    ("geant", "geant: 37 cities, 58 cables; the archive is in de"),
    ("abilene", "abilene: 11 cities, 14 cables; the archive is in kansas-city"),
])  # fmt: skip
def test_a_backbone(name: str, first: str) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE / "simulate.py", name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    head, *cities, cable, account = done.stdout.splitlines()
    assert head == first
    for city in cities:
        kilometres, expected, measured = re.findall(r"[\d.]+", city.partition(":")[2])
        assert float(kilometres) / 200 == pytest.approx(float(expected), abs=0.01)
        assert float(measured) == pytest.approx(float(expected) + IN_TOWN, abs=0.011)
    assert re.match(r"outage \S+ for 10 s delayed \d+ cities: ", cable)
    owed, delivered, given_up, pending, held, _, _ = map(int, re.findall(r"\d+", account))
    assert owed == delivered > 500
    assert (given_up, pending) == (0, 0)
    assert held > 0
