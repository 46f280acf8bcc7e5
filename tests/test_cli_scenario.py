"""``edri-sim simulate`` and ``edri-sim run``: what they print, and what they say of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edri_sim import Scenario, faults, load, simulate
from tests.lab import shop

ROOT = Path(__file__).parents[1]

orders = load.Poisson("tests.lab.shop:order", rate=20, node="door")
rush = Scenario(shop.street(), duration=1, load=[orders], faults=[faults.ConnectionReset("door", "hub", at=0.5)])
killed = Scenario(shop.street(), duration=1, load=[orders], faults=[faults.Kill("hub", at=0.5, restart_after=0.1)])
RUSH, KILLED = "tests.test_cli_scenario:rush", "tests.test_cli_scenario:killed"


def edri(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edri_sim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def test_the_command_line_and_a_script_give_the_same_digest(tmp_path: Path) -> None:
    path = tmp_path / "rush.toml"
    path.write_text(rush.to_toml(), encoding="utf-8")
    here = simulate(rush, seed=9)
    for target in (path, RUSH):
        done = edri("simulate", target, "--seed", "9", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert told["digest"] == here.digest
        assert told["figures"]["lab.Order p95"] == here.figures()["lab.Order p95"]
        assert told["load"][0]["offered"] == here.tallies[0].offered
        assert told["faults"] == [{"fault": "reset door-hub", "begin": 0.5, "end": 0.5}]


def test_a_person_gets_the_summary_and_a_file(tmp_path: Path) -> None:
    out = tmp_path / "run.csv"
    done = edri("simulate", RUSH, "--out", out)
    assert done.returncode == 0
    assert done.stdout == simulate(rush).summary() + "\n"
    assert len(out.read_text(encoding="utf-8").splitlines()) == len(simulate(rush).spans) + 1


def test_the_same_scenario_in_real_time(tmp_path: Path) -> None:
    done = edri("run", RUSH, "--json", "--out", tmp_path / "trace.json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["simulated"], told["seed"]) == (False, None)
    assert told["load"][0]["offered"] == told["load"][0]["ended"] > 0
    assert json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate",), "Missing argument 'SCENARIO'"),
        (("simulate", "nowhere.toml"), "nowhere.toml: cannot be read: No such file or directory"),
        (("simulate", "pyproject.toml"), "pyproject.toml: there is no table [scenario]"),
        (("simulate", "rush"), "'rush': expected MODULE:SCENARIO or FILE.py:SCENARIO, such as shop.rush:scenario"),
        (("simulate", "tests.test_cli_scenario:rash"), "has no 'rash': did you mean 'rush'?"),
        (("simulate", "tests.test_cli_scenario:orders"), "expected a Scenario, and this is of type Poisson"),
        (("simulate", RUSH, "--seed", "x"), "Invalid value for '--seed'"),
        (("simulate", RUSH, "--out", "run.txt"), "--out run.txt: expected a file that ends in .csv, .parquet, .json"),
        (("simulate", RUSH, "--out", "no/where/run.json"), "--out no/where/run.json: cannot be written: No such file"),
        (("run", KILLED, "--in-process"), "kill hub cannot be made to happen in real time"),
    ],
    ids=str,
)
def test_bad_usage_is_one_clear_line(arguments: tuple[str, ...], words: str) -> None:
    done = edri(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("edri-sim: ")
    assert words in line
