"""The example of nightly backups does what it says, in simulated and in real time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "backups"


def printed(name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, EXAMPLE / name], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_year_of_backups_with_a_power_cut() -> None:
    assert printed("simulate.py") == [
        "monthly: 0 4 * * SUN#1 in Europe/Prague, next at 2026-01-04 03:00 UTC",
        "nightly: 30 2 * * * in Europe/Prague, next at 2026-01-01 01:30 UTC",
        # Three nights were missed, and one copy made up for them.
        "after a year, three days of it without power: {'orders': 363, 'archive': 12}",
    ]


def test_ten_nights_in_real_time() -> None:
    (line,) = printed("hurry.py")
    found = re.fullmatch(r"after ten nights: {'orders': (\d+)}", line)
    assert found is not None
    assert int(found[1]) >= 1
