"""What simulated managers and workers do is what queueing theory says: mean waits, and how many are there.

All intervals of one load together hold what theory says with 99 %: each has its share of the 1 % (Bonferroni).
``make theory`` adds a utilisation of 0.95, which takes minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest

from edri_sim import service
from edri_sim.run.intervals import Interval, interval
from tests.lab.theory import Network, Outcome, Station, estimate, mg1, mmc, rates, replications, together

LOADS = [0.5, 0.8, *([0.95] if os.environ.get("EDRI_THEORY") else [])]
HALF_WIDTH = {0.5: 0.03, 0.8: 0.03, 0.95: 0.05}
"""Of the interval, as a share of the mean, at most."""
WARM_UP = {0.5: 100.0, 0.8: 500.0, 0.95: 6_000.0}
"""Seconds: ten times what a queue takes to forget how it began, about 1 / (1 - load)^2."""
AT_THE_BRINK = 10.0
"""How much longer a run at 0.95 has to be than one at 0.8, for an interval that may be wider."""
FAMILY = 0.99


@dataclass(frozen=True)
class Case:
    """A model at one load: how it is built, and the mean wait in each station by its utilisation."""

    build: Callable[[float], tuple[Station, ...]]
    lengths: tuple[float, float]
    """Seconds of each run at the two lower loads: as many as make the intervals narrow enough, and a few more."""
    wait: Callable[[float, int], float] = mmc

    def network(self, load: float) -> Network:
        low, high = self.lengths
        length = {0.5: low, 0.8: high, 0.95: AT_THE_BRINK * high}[load]
        return Network(self.build(load), length, WARM_UP[load])


def jackson(load: float) -> tuple[Station, ...]:
    """Three stations, with ways back: the first is the busiest one, with ``load``."""
    stations = (
        Station(rate=0.6, ways=(0, 0.4, 0.3)),
        Station(rate=0.1, ways=(0.2, 0, 0.2)),
        Station(rate=0.1, servers=2, ways=(0.1,)),
    )
    busiest = rates(stations)[0]
    return tuple(replace(station, rate=station.rate * load / busiest) for station in stations)


CASES = {
    "M/M/1": Case(lambda load: (Station(load),), (3_700, 6_800)),
    "M/M/1 on a core": Case(lambda load: (Station(load, on_cores=True),), (2_800, 6_000)),
    "M/M/2": Case(lambda load: (Station(2 * load, servers=2),), (3_300, 4_800)),
    "M/D/1": Case(
        lambda load: (Station(load, service=service.Constant(1)),), (2_300, 5_400), lambda load, _: mg1(load, 0)
    ),
    "M/G/1": Case(
        lambda load: (Station(load, service=service.LogNormal(1, cv=0.5)),), (2_900, 5_000),
        lambda load, _: mg1(load, 0.5),
    ),
    "tandem": Case(lambda load: (Station(load, ways=(0, 1)), Station(0)), (3_700, 5_200)),
    "Jackson": Case(jackson, (2_800, 5_900)),
}  # fmt: skip
COSTLY = "M/M/1 on a core"
"""It takes more than twice the time for each event, and is left to the lowest load."""


def cases(load: float) -> list[str]:
    return [name for name in CASES if load == LOADS[0] or name != COSTLY]


@cache
def seen(load: float) -> dict[str, list[Outcome]]:
    """What all runs of all models saw at one load: they are run together, on all cores."""
    names = cases(load)
    return dict(zip(names, replications([CASES[name].network(load) for name in names]), strict=True))


LEVEL = 1 - (1 - FAMILY) / (3 * sum(len(cases(load)) for load in LOADS))


def estimates(runs: list[Outcome]) -> tuple[Interval, ...]:
    """How many wait, how many are there, and how many are served, in the mean; the first is a mean wait times a rate.

    The last is an estimate without control variates, so that no mistake in what is drawn is taken for chance.
    """
    return (
        estimate(runs, lambda one: one.waiting, LEVEL),
        estimate(runs, lambda one: one.number, LEVEL),
        interval([together(one.stations).busy for one in runs], LEVEL),
    )  # fmt: skip


def expected(case: Case, network: Network) -> tuple[float, ...]:
    """What theory says of the same."""
    each = list(zip(rates(network.stations), network.stations, strict=True))
    waiting = sum(rate * case.wait(rate / station.servers, station.servers) for rate, station in each)
    served = sum(rate for rate, _ in each)
    return waiting, waiting + served, served


@pytest.mark.parametrize(("load", "name"), [(load, name) for load in LOADS for name in cases(load)])
def test_means_are_what_theory_says(load: float, name: str) -> None:
    case = CASES[name]
    network = case.network(load)
    for found, true in zip(estimates(seen(load)[name]), expected(case, network), strict=True):
        assert found.relative <= HALF_WIDTH[load], f"{found}: expected a narrower one around {true:.4g}"
        assert found.holds(true), f"{found} does not hold {true:.4g}"


@pytest.mark.parametrize("load", LOADS)
def test_littles_law_holds_in_every_run(load: float) -> None:
    for name, runs in seen(load).items():
        for one in runs:
            for station in one.stations:
                # Who is there as it begins, or as it ends, counts on one side only.
                assert station.little == pytest.approx(station.number, rel=0.05), name


@pytest.mark.parametrize("load", LOADS)
def test_the_control_variates_have_a_mean_of_zero(load: float) -> None:
    for name, runs in seen(load).items():
        for number, values in enumerate(zip(*[one.controls for one in runs], strict=True)):
            assert interval(values, 0.9999).holds(0), f"{name}: control variate {number}"


def test_service_times_that_are_a_tenth_too_long_are_found_out() -> None:
    network = CASES["M/M/1"].network(0.5)
    (runs,) = replications([replace(network, slower=1.1)])
    # Each of them says so: the control variates have not taken the mistake for chance.
    for found, true in zip(estimates(runs), expected(CASES["M/M/1"], network), strict=True):
        assert not found.holds(true), f"{found} holds {true:.4g}"
