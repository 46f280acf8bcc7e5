"""The examples do what they say, in simulated and in real time."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.realtime.programs import ROOT, Program, environment, free_address

CONFIG = ROOT / "examples" / "shared_config"
CACHE = ROOT / "examples" / "cached_download"


def printed(program: Path, **more: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, program], env=environment(**more), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_configuration_is_shared_by_three_machines_of_which_one_loses_its_power() -> None:
    assert printed(CONFIG / "simulate.py") == [
        "after 20 changes by 20 clerks both gates show Limits(uploads=20, megabytes=15)",
        "while the shelf is without power, Sign(gate='south', limits=Limits(uploads=20, megabytes=15))",
        "and then it has Limits(uploads=20, megabytes=15)",
        "and both gates follow it again",
    ]


def test_configuration_is_shared_by_three_processes(tmp_path: Path) -> None:
    address = free_address()
    with Program("up", f"{CONFIG}/system.py:topology", "--switch", address, "--data", str(tmp_path)) as up:
        up.until("edri-sim | ready:")
        assert printed(CONFIG / "drive.py", EDRI_SWITCHES=address) == [
            "after 20 changes by 20 clerks both gates show Limits(uploads=20, megabytes=15)"
        ]
        up.send(signal.SIGINT)
        assert up.code() == 130
        lines = up.rest()
    assert not [line for line in lines if "Traceback" in line or "ERROR" in line]
    assert [found.name for found in tmp_path.rglob("*.sqlite")] == ["values.sqlite"]


def test_a_day_of_a_page_that_is_downloaded_every_hour() -> None:
    assert printed(CACHE / "simulate.py") == [
        "morning: 600 readings, 10 editions, 0 in vain",
        "the site is away: 300 readings, 2 editions, 120 in vain",
        "evening: 540 readings, 10 editions, 0 in vain",
        "the site has answered 21 times",
    ]


def test_some_hours_of_it_in_real_time() -> None:
    readings, answers = printed(CACHE / "hurry.py")
    assert re.fullmatch(r"100 readings, \d+ editions, 0 in vain", readings)
    found = re.fullmatch(r"the site has answered (\d+) times", answers)
    assert found is not None
    assert 2 <= int(found[1]) <= 50
