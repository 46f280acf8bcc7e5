"""The README's examples are run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


HELLO, MACHINES = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def printed(example: str, tmp_path: Path) -> list[str]:
    """What an example prints; nothing else may come of it."""
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_example_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    lines = printed(HELLO, tmp_path)
    assert lines[:2] == ["Hello, guest 0! Hello, guest 7!"] * 2
    assert lines[2].startswith("simulated, seed 7: 0.200 s, 8 events")


def test_what_is_said_to_another_machine_arrives_across_an_outage(tmp_path: Path) -> None:
    assert printed(MACHINES, tmp_path) == ["True"]
