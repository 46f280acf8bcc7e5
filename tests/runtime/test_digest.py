"""One seed, one digest: twice here, under other hash seeds, with other imports, and on other Pythons."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime import digests

PROGRAM = Path(digests.__file__)
NEEDS = "import cloudpickle, greenlet, msgspec, simpy"


def printed(python: str, *imports: str, **environment: str) -> str:
    """What the program prints as the digest, in a process of its own."""
    done = subprocess.run(
        [python, str(PROGRAM), *imports],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.strip()


def test_two_runs_have_one_digest() -> None:
    assert digests.digest() == digests.digest()


def test_the_run_uses_all_that_it_should() -> None:
    """A digest of nothing would be equal too."""
    rows = int(digests.digest().split()[1])
    assert rows > 500


def test_another_seed_has_another_digest() -> None:
    assert digests.digest(seed=1) != digests.digest(seed=2)


def test_shuffled_ties_are_the_same_for_one_seed() -> None:
    assert digests.digest(seed=4) == digests.digest(seed=4)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_hash_seeds_do_not_count(seed: str) -> None:
    assert printed(sys.executable, PYTHONHASHSEED=seed) == digests.digest()


def test_unrelated_imports_do_not_count() -> None:
    assert printed(sys.executable, "sqlite3", "decimal", "http.client", "xml.dom", "ctypes") == digests.digest()


def other_python(version: str) -> str | None:
    """An interpreter of this version that has what the package needs, by name."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    listed = os.environ.get("EDRI_TEST_PYTHONS", "").split(os.pathsep)
    for python in [*listed, shutil.which(f"python{version}")]:
        if python and _fits(python, version):
            return python
    return None


def _fits(python: str, version: str) -> bool:
    check = f"import sys; assert '%d.%d' % sys.version_info[:2] == '{version}'; {NEEDS}"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_other_pythons_have_the_same_digest(version: str) -> None:
    python = other_python(version)
    if python is None:
        pytest.skip(f"no python{version} on PATH, or in EDRI_TEST_PYTHONS, that has the dependencies")
    assert printed(python) == digests.digest()
