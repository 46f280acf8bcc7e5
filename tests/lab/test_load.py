"""Loads as data: when their events come, and each message about one that could not be."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import load, service
from edri_sim.errors import DeclarationError
from edri_sim.load import Burst, Clients, Constant, OpenLoad, Poisson, Ramp, RecordedLoad
from tests.lab import shop


def times(given: OpenLoad, duration: float, seed: int = 1) -> list[float]:
    return list(given.arrivals(random.Random(seed), duration))


def test_constant_is_even_and_does_not_drift() -> None:
    assert times(Constant(shop.order, rate=4, node="door"), 1.0) == [0, 0.25, 0.5, 0.75]
    late = times(Constant(shop.order, rate=10, node="door", start=2), 1_000.0)
    assert len(late) == 9_980
    assert late[-1] == 2 + 9_979 / 10


def test_bursts_come_together() -> None:
    given = Burst(shop.order, size=2, every=1.5, node="door", start=1, until=4.5)
    assert times(given, 60.0) == [1, 1, 2.5, 2.5, 4, 4]


def test_recorded_times_are_kept_in_order() -> None:
    given = RecordedLoad(shop.order, times=[0.5, 0.1, 9], node="door", start=1)
    assert times(given, 5.0) == [1.1, 1.5]


def test_poisson_has_its_rate_and_no_memory() -> None:
    found = times(Poisson(shop.order, rate=50, node="door"), 400.0)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert len(found) == pytest.approx(20_000, rel=0.02)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.03)
    assert statistics.correlation(gaps[1:], gaps[:-1]) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("rate", "to_rate"), [(0, 100), (100, 0), (20, 80), (50, 50)])
def test_a_ramp_changes_its_rate_evenly(rate: float, to_rate: float) -> None:
    found = times(Ramp(shop.order, rate=rate, to_rate=to_rate, node="door", until=400), 1_000.0)
    for quarter in range(4):
        middle = rate + (to_rate - rate) * (quarter + 0.5) / 4
        count = sum(quarter * 100 <= at < quarter * 100 + 100 for at in found)
        assert abs(count - 100 * middle) < 4 * math.sqrt(100 * middle)
    assert found == sorted(found)


def test_the_same_seed_gives_the_same_times() -> None:
    given = Poisson(shop.order, rate=50, node="door")
    assert times(given, 10.0) == times(given, 10.0)
    assert times(given, 10.0) != times(given, 10.0, seed=2)


def test_clients_think_longer_after_a_failure() -> None:
    stream = random.Random(1)
    assert Clients(shop.order, count=1, node="door").pause(stream, failed=False) == 0
    assert Clients(shop.order, count=1, node="door").pause(stream, failed=True) == load.PAUSE
    assert Clients(shop.order, count=1, think=service.Constant(3), node="door").pause(stream, failed=True) == 3


def test_a_maker_may_be_named() -> None:
    given = Poisson("tests.lab.shop:order", rate=1, node="door")
    assert given.maker() is shop.order
    assert given.event_type() is shop.Order
    assert str(given) == "Poisson load on door"


def broken(number: int) -> shop.Order:
    raise ValueError(f"not {number}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Poisson(7, rate=1, node="door"), r"Poisson\(make=7\): expected a function, or 'module:name' of one"),
        (lambda: Poisson(shop.order, rate=0, node="door"), r"Poisson\(rate=0\): expected a number above 0"),
        (lambda: Poisson(shop.order, rate=math.nan, node="door"), r"Poisson\(rate=nan\): expected a number above 0"),
        (lambda: Constant(shop.order, rate=-1, node="door"), r"Constant\(rate=-1\): expected a number above 0"),
        (lambda: Constant(shop.order, rate=1, node="The Door"), r"node name 'The Door': expected 1 to 64 of"),
        (lambda: Constant(shop.order, rate=1, node="door", start=-1), r"Constant\(start=-1\): expected a number, 0 or"),
        (lambda: Constant(shop.order, rate=1, node="door", start=2, until=2), r"until=2\): expected more than start=2"),
        (
            lambda: Constant(shop.order, rate=1, node="door", timeout=0),
            r"Constant\(timeout=0\): expected a number abov",
        ),
        (lambda: Burst(shop.order, size=0, every=1, node="door"), r"Burst\(size=0\): expected a whole number, 1 or mo"),
        (lambda: Burst(shop.order, size=1, every=0, node="door"), r"Burst\(every=0\): expected a number above 0"),
        (lambda: Ramp(shop.order, rate=-1, to_rate=1, node="door"), r"Ramp\(rate=-1\): expected a number, 0 or more"),
        (lambda: Ramp(shop.order, rate=0, to_rate=0, node="door"), r"expected one of them above 0"),
        (lambda: RecordedLoad(shop.order, times=[-1], node="door"), r"RecordedLoad\(times: time=-1\): expected a numb"),
        (lambda: Clients(shop.order, count=0, node="door"), r"Clients\(count=0\): expected a whole number, 1 or more"),
        (lambda: Clients(shop.order, count=1, think=-1, node="door"), r"Clients\(think=-1\): expected a number, 0 or"),
        (
            lambda: Poisson("tests.lab.shop:ordr", rate=1, node="door").maker(),
            r"tests.lab.shop has no 'ordr': did you mean 'order'\?",
        ),
        (lambda: Poisson("tests.lab.shop:NO_PART", rate=1, node="door").maker(), r"is no function, but of type int"),
        (lambda: Poisson(broken, rate=1, node="door").event_type(), r"make\(0\) raised ValueError: not 0"),
        (
            lambda: Poisson(lambda i: i, rate=1, node="door").event_type(),
            r"Poisson load on door: make\(0\) returned 0: expected a Notification or a Request",
        ),
    ],
)
def test_what_could_not_be_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make()
