"""What the table of benchmarks says of its musts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import fidelity
from benchmarks.alternate import Figures, sides
from benchmarks.cases import CASES
from benchmarks.environment import Environment
from benchmarks.report import rows, table
from edri_sim import simulate
from edri_sim.demo import photos
from edri_sim.service import LogNormal, Service

PLACE = Environment(Path("python"), {"python": "3.13.0"})


def must(name: str, ours: Figures, theirs: float = 1.0) -> str:
    """The last column of a case's first row, with these figures of ours and the same of every peer."""
    case = CASES[name]
    way = case.ours[0]
    figures = {key: Figures([theirs]) for key in sides(case)} | {(way.side, way.case): ours}
    (line,) = [line for line in table(rows(case, figures, PLACE)).splitlines() if f"  {case.peers[0]}  " in line]
    return line.rpartition("   ")[2].strip()


@pytest.mark.parametrize(
    ("name", "runs", "said"),
    [
        ("notify-burst", [0, 0, 0, 0, 0], "0 lost of 20,000: met"),
        ("notify-burst", [0, 0, 0, 0, 3], "0 lost of 20,000: MISSED"),
        ("link-ready", [0.3, 0.4, 0.5, 0.6, 9], "1 s: met"),
        ("link-ready", [0.3, 0.4, 1.1, 1.2, 1.3], "1 s: MISSED"),
    ],
)
def test_a_bound_is_for_the_median_or_for_every_run_where_every_run_counts(
    name: str, runs: list[float], said: str
) -> None:
    assert must(name, Figures(runs)).endswith(said)


def test_what_has_no_figure_is_not_met() -> None:
    assert must("notify-burst", Figures([0.0], "it failed")).endswith("0 lost of 20,000: not known")


def test_every_way_but_one_has_a_must() -> None:
    ways = [way for case in CASES.values() for way in case.ours]
    without = [way.name for way in ways if not way.must and way.bound is None]
    assert without == ["the same, full trace, handlers that sleep"]  # it is there to show what the model costs


def test_a_simulation_of_what_was_fitted_is_as_the_run_that_it_was_fitted_to() -> None:
    asked = fidelity.scenario(10, workers=2, clients=4)
    known = {
        photos.Prepare: Service(wait=0.002),
        photos.Resize: Service(wait=LogNormal(0.06, 0.8), body="skip", result=fidelity.THUMBNAIL),
        photos.Describe: Service(wait=LogNormal(0.02, 0.3), body="skip", result=fidelity.DESCRIPTION),
    }
    run = simulate(replace(asked, duration=60, service=known))
    found = fidelity.ratios(fidelity.foretold(run, asked, fidelity.INSTEAD), run, fidelity.PREPARE)
    assert all(abs(found[name] - 1) < goal for name, goal in fidelity.GOALS.items()), found
    slower = simulate(
        replace(asked, duration=60, service={**known, photos.Resize: replace(known[photos.Resize], wait=0.07)})
    )
    assert fidelity.ratios(slower, run, fidelity.PREPARE)["per s"] < 1 - fidelity.GOALS["per s"]
