"""The example of an upload does what it says, in simulated and in real time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "upload"


def printed(name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, EXAMPLE / name], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_an_upload_over_a_line_that_is_cut() -> None:
    *told, end = printed("simulate.py")
    assert end == "whole"
    assert [line.partition(": ")[2] for line in told] == [f"{256 * count} KiB" for count in [*range(1, 9), 8]]
    assert all(float(line[2:].partition(" ")[0]) > 2.4 for line in told[1:]), "the line was cut until then"


def test_an_upload_to_a_process() -> None:
    assert printed("run.py") == ["told 9 times, 2048 KiB at last", "whole"]
