"""The example of the press that breaks does what it says, in simulated and in real time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "supervised"


def printed(name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, EXAMPLE / name], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["simulate.py", "hurry.py"])
def test_all_parts_are_pressed_by_a_press_that_breaks_fails_and_recovers(name: str) -> None:
    ordered, audited, states, end = printed(name)[:4]
    assert ordered == "200 parts were ordered, and all of them pressed, with 8 dies"
    assert audited.startswith("the auditor has seen 200 orders end well, and failed attempts: {")
    assert "NoRoute" in audited
    assert states.startswith("the presses were failed, then degraded")
    assert states.endswith("then ok; 7 were replaced")
    assert end == "in the end the node is ok"
