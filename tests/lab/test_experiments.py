"""Replications: the same scenario with several seeds, and how sure their means are."""

from __future__ import annotations

import pytest

from edri_sim import Run, load
from edri_sim.errors import DeclarationError
from edri_sim.scenario import Scenario
from edri_sim.service import Exponential, Service
from edri_sim.simulation.experiments import replicate
from edri_sim.simulation.scenarios import simulate
from tests.lab import shop


def street() -> Scenario:
    orders = load.Poisson(shop.order, rate=10, node="door")
    return Scenario(
        shop.street(), duration=20, warm_up=2, load=[orders], service={shop.Order: Service(wait=Exponential(0.1))}
    )


def test_each_seed_is_the_run_that_it_is_alone() -> None:
    scenario = street()
    found = replicate(scenario, range(5))
    assert found.seeds == (0, 1, 2, 3, 4)
    assert found.figures[3] == simulate(scenario, seed=3).figures()


def test_means_have_intervals_that_narrow() -> None:
    few, many = replicate(street(), range(4)), replicate(street(), range(16))
    figure = "lab.Order service"
    assert many.interval(figure).holds(0.1)
    assert many.interval(figure).half_width < few.interval(figure).half_width
    assert many.interval(figure).runs == 16
    line = next(line for line in str(many).splitlines() if line.startswith(figure))
    assert line.split()[2:] == [f"{many.interval(figure).mean:.4g}", f"{many.interval(figure).half_width:.2g}", "16"]


def test_figures_of_ones_own() -> None:
    def longest(run: Run) -> dict[str, float]:
        return {"longest": max(run.latencies())}

    found = replicate(street(), [3, 1, 2], measure=longest, level=0.5)
    assert found.names == ["longest"]
    assert found.values("longest")[0] == max(simulate(street(), seed=3).latencies())


@pytest.mark.parametrize("seeds", [[], [1], [1, 2, 1]])
def test_seeds_are_several_and_each_once(seeds: list[int]) -> None:
    with pytest.raises(DeclarationError, match="expected two or more, each once"):
        replicate(street(), seeds)


def test_a_figure_that_one_run_alone_has_has_no_interval() -> None:
    found = replicate(street(), [1, 2], measure=lambda run: {"odd": 1.0} if run.seed == 1 else {})
    assert found.values("odd") == [1]
    with pytest.raises(DeclarationError, match="interval of 1 values"):
        found.interval("odd")
    assert "odd" not in str(found)
