"""The walls of the house fall when they are broken: each guard is shown a copy of the package with a fault planted."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent

BANNED = """
import datetime
import asyncio
import time
import random
import uuid
import secrets
import socket
import threading
import multiprocessing
import tempfile
from os import urandom
from time import monotonic
from multiprocessing.pool import Pool

NUMBERS = [
    datetime.datetime.now(),
    datetime.datetime.utcnow(),
    datetime.datetime.today(),
    datetime.date.today(),
    asyncio.as_completed,
    asyncio.wait,
    asyncio.wait_for,
]
"""

ALLOWED = ("\n", "import datetime\n", "import asyncio\n", "NUMBERS = [\n", "]\n")

UNSTABLE = ("id", "hash")

FREE = {"realtime", "simulation", "viz", "testing.py", "cli"}
COMPONENTS = [
    path
    for path in sorted((ROOT / "edri_sim").rglob("*.py"))
    if path.relative_to(ROOT / "edri_sim").parts[0] not in FREE
]

OUTSIDE_THE_WALL = ["realtime/planted.py", "simulation/planted.py", "viz/planted.py", "testing.py", "cli/planted.py"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its settings, to break."""
    shutil.copytree(ROOT / "edri_sim", tmp_path / "edri_sim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, place: str, source: str) -> Path:
    """Add source to a module of the copy, which need not exist."""
    path = copy / "edri_sim" / place
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(source)
    return path


def run(copy: Path, tool: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in the copy."""
    return subprocess.run([TOOLS / tool, *args], cwd=copy, capture_output=True, text=True, timeout=120, check=False)


def banned_lines(copy: Path, path: Path) -> list[int]:
    """The lines of a file where the banned-name rule fires."""
    done = run(copy, "ruff", "check", "--no-cache", "--select=TID251", "--output-format=concise", str(path))
    assert done.returncode in {0, 1}, done.stderr
    return [int(line.split(":")[1]) for line in done.stdout.splitlines() if " TID251 " in line]


def imports(copy: Path) -> subprocess.CompletedProcess[str]:
    return run(copy, "lint-imports", "--no-cache", "--no-logo")


def broken_contracts(copy: Path) -> str:
    """The report on contracts that must be broken."""
    done = imports(copy)
    assert done.returncode == 1
    return done.stdout


def unstable_calls(source: str) -> list[int]:
    """The lines that call what differs from run to run."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id in UNSTABLE]


def test_each_banned_name_is_found_inside_the_wall(copy: Path) -> None:
    planted = plant(copy, "routing/planted.py", BANNED)
    expected = [at for at, line in enumerate(BANNED.splitlines(keepends=True), start=1) if line not in ALLOWED]
    assert banned_lines(copy, planted) == expected


@pytest.mark.parametrize("place", OUTSIDE_THE_WALL)
def test_banned_names_are_free_where_the_world_is_met(copy: Path, place: str) -> None:
    (copy / "edri_sim" / place).unlink(missing_ok=True)
    assert banned_lines(copy, plant(copy, place, BANNED)) == []


def test_the_contracts_hold(copy: Path) -> None:
    done = imports(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("realtime.planted", "simulation"),
        ("simulation.planted", "realtime"),
        ("routing.planted", "managers"),
        ("errors", "events"),
    ],
)
def test_an_import_over_a_wall_is_named(copy: Path, importer: str, imported: str) -> None:
    plant(copy, f"{importer.replace('.', '/')}.py", f"import edri_sim.{imported}\n")
    assert f"- edri_sim.{importer} -> edri_sim.{imported} (l." in broken_contracts(copy)


def test_a_use_of_the_public_face_from_inside_is_named(copy: Path) -> None:
    plant(copy, "routing/planted.py", "from edri_sim import __version__\n")
    assert "edri_sim.routing.planted is not allowed to import edri_sim:" in broken_contracts(copy)


def test_a_module_without_a_place_is_named(copy: Path) -> None:
    plant(copy, "unplanned.py", "")
    assert "not listed as layers:\n\n- edri_sim.unplanned" in broken_contracts(copy)


def test_no_component_asks_for_an_address_or_a_hash() -> None:
    assert [(path.name, found) for path in COMPONENTS if (found := unstable_calls(path.read_text()))] == []


@pytest.mark.parametrize("name", UNSTABLE)
def test_a_component_that_asks_for_one_is_found(name: str) -> None:
    assert unstable_calls(f"def key(thing):\n    return {name}(thing)\n") == [2]
