"""``make swarm`` runs the models of ``make test``, and tells which seed broke a rule and how to see it again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import swarm
from tests.links.flow_ledger import Violation

ROOT = Path(__file__).parents[1]


class Model:
    """A model of which one seed breaks a rule, and one the model."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.effects = {"cut": seed}

    def run(self) -> Model:
        if self.seed == 8:
            raise Violation("seed 8, t=1.000 s: an event came twice\n  t=0.500 s: cut r0-s0")
        if self.seed == 11:
            raise KeyError("r9")
        return self


def test_each_seed_that_breaks_a_rule_is_shown_with_the_command_that_shows_it_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert not swarm.run(swarm.Swarm("a model", __name__), range(6, 13), 1)
    said = capfd.readouterr().out
    assert "a model: Violation: seed 8, t=1.000 s: an event came twice\n  t=0.500 s: cut r0-s0\n" in said
    assert re.search(r"a model: 7 seeds from 6 in \d+ s, 2 broke a rule\n  took effect:\n    cut: 44\n", said)
    shown = re.findall(r"^  seed (\d+), again: \S*python\S* -m (\S+) (\d+)$", said, re.MULTILINE)
    assert shown == [("8", __name__, "8"), ("11", __name__, "11")]


def test_no_more_are_shown_whole_than_one_can_read(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarm, "SHOWN", 1)
    swarm.run(swarm.Swarm("a model", __name__), range(6, 13), 1)
    said = capfd.readouterr().out
    assert said.count("a model: Violation") == 1
    assert "a model: KeyError" not in said
    assert "seed 11, again: " in said


@pytest.mark.parametrize("model", [swarm.FLOWS, swarm.SYSTEMS], ids=lambda model: model.module)
def test_the_command_that_is_shown_shows_a_seed_again(model: swarm.Swarm) -> None:
    (outcome,) = model.run([3])
    assert not outcome.failure
    command = shlex.split(model.replay(3).replace(shlex.quote(sys.executable), sys.executable))
    done = subprocess.run([sys.executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("seed 3: ")
    assert str(outcome.effects)[1:-1] in done.stdout


@pytest.mark.parametrize("arguments", [["--flows", "many"], ["--systems", "-1"], ["--seeds", "3"]])
def test_bad_usage_is_one_line_and_exit_2(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        swarm.main(arguments)
    assert caught.value.code == 2
    assert "make swarm: error: " in capsys.readouterr().err


def test_a_small_swarm_of_both_models_keeps_every_rule(capfd: pytest.CaptureFixture[str]) -> None:
    assert swarm.main(["--flows", "2", "--systems", "1", "--first", "600", "--jobs", "1"]) == 0
    said = capfd.readouterr().out
    assert "flows alone: 2 seeds from 600 in " in said
    assert "the whole system: 1 seeds from 600 in " in said
    assert "broke a rule" in said
