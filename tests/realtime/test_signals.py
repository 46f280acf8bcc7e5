"""What is done to a process from outside: it is held, goes on, and is killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edri_sim.realtime import signals
from tests.runtime.programs import line, program, wait_until

TICKS = """
number = 0
while True:
    number += 1
    print(number, flush=True)
    time.sleep(0.001)
"""


def state(process: subprocess.Popen[str]) -> str:
    """The letter that the kernel has for it, such as T for stopped; see proc(5)."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_paused_goes_on_where_it_was_and_is_killed(tmp_path: Path) -> None:
    with program(TICKS, tmp_path) as process:
        assert line(process) == "1"
        signals.pause(process.pid)
        assert wait_until(lambda: state(process) == "T")
        signals.resume(process.pid)
        assert wait_until(lambda: state(process) != "T")
        assert line(process) == "2"
        signals.pause(process.pid)
        signals.kill(process.pid)
        assert signals.describe_exit(process.wait(timeout=20)) == "was killed by SIGKILL"
        for act in (signals.kill, signals.pause, signals.resume):
            with pytest.raises(ProcessLookupError):
                act(process.pid)


def test_an_exit_code_is_said() -> None:
    assert signals.describe_exit(3) == "ended with exit code 3"
