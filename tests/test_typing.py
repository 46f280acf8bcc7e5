"""Both type checkers accept what is right, and refuse exactly what is wrong."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GOOD = ROOT / "tests" / "typing" / "good.py"
BAD = ROOT / "tests" / "typing" / "bad.py"
FACE = ROOT / "tests" / "typing" / "face.py"
TUNNELS = ROOT / "tests" / "typing" / "tunnels.py"
FILES = (GOOD, BAD, FACE, TUNNELS)


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    return done.stdout + done.stderr


def mypy(cache: Path) -> str:
    options = ("--strict", "--follow-imports=silent", "--no-error-summary", f"--cache-dir={cache}", "--config-file=")
    return run("mypy", *options, *map(str, FILES))


def pyright() -> str:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    return run("pyright", "--pythonpath", sys.executable, *map(str, FILES))


def error_lines(output: str, path: Path) -> list[int]:
    found = re.findall(rf"{path.name}:(\d+)(?::\d+)?(?: -)?:? error", output)
    return list(dict.fromkeys(int(line) for line in found))


def expected_lines(path: Path) -> list[int]:
    return [number for number, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# error")]


def check(output: str) -> None:
    for path in FILES:
        assert sorted(error_lines(output, path)) == expected_lines(path), output


def test_mypy_agrees(tmp_path: Path) -> None:
    check(mypy(tmp_path))


def test_pyright_agrees() -> None:
    check(pyright())
