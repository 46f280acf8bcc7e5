"""Sweeps: the same results in any order and on one core or two; stopped, gone on with, and refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Run, load
from edri_sim.errors import DeclarationError, SimulationError
from edri_sim.scenario import Scenario
from edri_sim.service import Service
from edri_sim.simulation.scenarios import simulate
from edri_sim.simulation.sweeping import Sweep, points_of, sweep
from tests.lab import shop

SEEDS = (1, 2)
GRID: dict[str, list[Any]] = {"rate": [5, 10, 20], "sellers": [0.02, 0.05]}


def street(rate: float, sellers: float = 0.02) -> Scenario:
    orders = load.Poisson(shop.order, rate=rate, node="door")
    return Scenario(shop.street(), duration=2, load=[orders], service={shop.Order: Service(wait=sellers)})


def lines(found: Sweep) -> list[dict[str, Any]]:
    return [dict(line) for line in found.table().fillna(-1).to_dict("records")]


@pytest.fixture(scope="module")
def whole() -> Sweep:
    return sweep(street, GRID, SEEDS, processes=2)


def test_every_point_has_every_seed(whole: Sweep) -> None:
    assert len(whole.points) == 6
    assert whole.points[1] == {"rate": 5, "sellers": 0.05}
    assert repr(whole) == "<Sweep of rate (3), sellers (2): 6 points, 2 seeds>"
    alone = simulate(street(10, 0.05), seed=2).figures()
    kept = whole.at(rate=10, sellers=0.05).figures[1]
    assert kept == {name: value for name, value in alone.items() if not math.isnan(value)}
    assert whole.at(rate=20, sellers=0.02).interval("lab.Order count").mean > 30
    assert [(line["rate"], line["seed"]) for line in lines(whole)][:3] == [(5, 1), (5, 2), (5, 1)]


def test_one_process_and_another_order_give_the_same(whole: Sweep) -> None:
    reverse = {name: values[::-1] for name, values in reversed(GRID.items())}
    other = sweep(street, reverse, SEEDS[::-1], processes=1)
    columns = list(lines(whole)[0])
    by_run = {(line["rate"], line["sellers"], line["seed"]): line for line in lines(other)}
    for line in lines(whole):
        same = by_run[line["rate"], line["sellers"], line["seed"]]
        assert {name: same[name] for name in columns} == line


def test_names_of_a_grid_lead_into_a_scenario() -> None:
    found = sweep(street(5), {"load.0.rate": [5, 50], "duration": [1.0]}, [1], processes=1)
    few, many = (found.at(**point).figures[0]["lab.Order count"] for point in found.points)
    assert few < many
    assert few == simulate(Scenario(shop.street(), duration=1, load=street(5).load), seed=1).count(
        "lab.Order", "replied"
    )


def longest(run: Run) -> Mapping[str, float]:
    return {"longest": max(run.latencies())}


def test_what_is_stopped_is_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    told: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(street, GRID, SEEDS, measure=longest, file=file, processes=2, advance=interrupt)
    assert told == [(1, 12), (2, 12), (3, 12)]
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    told.clear()
    found = sweep(
        street, GRID, SEEDS, measure=longest, file=file, processes=2, advance=lambda *done: told.append(done)
    )  # fmt: skip
    assert told[0] == (4, 12)
    assert told[-1] == (12, 12)
    assert lines(found) == lines(sweep(street, GRID, SEEDS, measure=longest, processes=2))
    # All is there: nothing runs again.
    again = sweep(street, GRID, SEEDS, measure=longest, file=file, advance=lambda *_: pytest.fail("it ran again"))
    assert lines(again) == lines(found)
    assert [json.loads(line)["run"] for line in file.read_text(encoding="utf-8").splitlines()]


def failing(rate: float) -> Scenario:
    def make(number: int) -> shop.Order:
        if rate == 20 and number > 3:
            raise ValueError("no more")
        return shop.Order(number)

    return Scenario(shop.street(), duration=2, load=[load.Constant(make, rate=rate, node="door")])


def test_a_run_that_fails_names_its_point_and_seed(tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    with pytest.raises(SimulationError, match=r"sweep at {'rate': 20}, seed 1: ValueError: no more"):
        sweep(failing, {"rate": [5, 20]}, [1], file=file, processes=1)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1


def deadly(run: Run) -> Mapping[str, float]:
    import os

    os._exit(3)


def test_a_process_that_dies_ends_the_sweep() -> None:
    with pytest.raises(SimulationError, match="a child process died"):
        sweep(street, {"rate": [5]}, [1], measure=deadly, processes=1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"grid": {}}, r"sweep\(grid={}\): expected a list of values for each name"),
        ({"grid": {"rate": []}}, r"expected a list of values for each name"),
        ({"grid": {"rate": 5}}, r"expected a list of values for each name"),
        ({"grid": {"rate": "abc"}}, r"expected a list of values for each name"),
        ({"seeds": []}, r"sweep\(seeds=\[\]\): expected one or more, each once"),
        ({"seeds": [1, 1]}, r"sweep\(seeds=\[1, 1\]\): expected one or more, each once"),
        ({"processes": 0}, r"sweep\(processes=0\): expected 1 or more"),
        ({"grid": {"rate": [5, 0]}}, r"Poisson\(rate=0\): expected a number above 0"),
        ({"scenario": lambda rate: rate}, r"sweep at {'rate': 5}: expected a function that returns a Scenario, got 5"),
        ({"scenario": street(5), "grid": {"load.1.rate": [5]}}, r"grid name 'load.1.rate': tuple has no '1'"),
        ({"scenario": street(5), "grid": {"laod": [5]}}, r"grid name 'laod': Scenario has no 'laod'"),
    ],
)
def test_what_could_not_be_is_refused_before_anything_runs(given: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        sweep(**{"scenario": street, "grid": {"rate": [5]}, "seeds": [1], **given})


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("buy milk\n", encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"notes.txt:1: expected the results of a sweep, or no such file"):
        sweep(street, {"rate": [5]}, [1], file=file)


def test_points_are_in_the_order_of_the_grid() -> None:
    assert points_of({"a": [1, 2], "b": "xy"}) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"},
    ]  # fmt: skip
