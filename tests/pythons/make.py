"""Makes environments for the other Pythons on this machine: `python tests/pythons/make.py FOLDER`.

The digest must be the same on every Python that the library supports. For each version that is found, FOLDER gets an
environment of that name with the core dependencies alone; what is not found is left out, and its test is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")
ROOT = Path(__file__).resolve().parents[2]


def runs(python: str, version: str) -> bool:
    """Whether it is a Python of this version that works and can make environments; shims may stand for nothing."""
    check = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def find(version: str) -> str | None:
    """The interpreter of a version: on PATH, or among those that pyenv has installed."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    candidates = [shutil.which(f"python{version}"), *map(str, installed)]
    return next((python for python in candidates if python and runs(python, version)), None)


def make(python: str, folder: Path) -> None:
    """An environment with what the library needs at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), *project["dependencies"]], check=True)


def main(target: Path) -> None:
    for version in VERSIONS:
        if sys.version_info[:2] == tuple(map(int, version.split("."))):
            continue
        python = find(version)
        if python is None:
            print(f"python{version} was not found: what compares digests with it is skipped")
        else:
            make(python, target / version)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
