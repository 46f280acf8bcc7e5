"""Services fitted to runs: those of simulated runs are known, so that what is found can be held against them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Manager, Pool, Request, Run, Topology, Worker, event, handles, load, simulate
from edri_sim.errors import DeclarationError
from edri_sim.realtime.scenarios import run_real
from edri_sim.scenario import Scenario
from edri_sim.service import Constant, Costs, Empirical, Exponential, LogNormal, Service, calibrate, fit
from edri_sim.trace import Recorder

SURE = 0.9999
"""Of each interval: several hundred true services would be missed once."""


@event(name="fitting.Order")
class Order(Request[int]):
    number: int = 0


@event(name="fitting.Bake")
class Bake(Request[int]):
    number: int = 0


@event(name="fitting.Letter")
class Letter(Request[bytes]):
    text: bytes


@event(name="fitting.Parcel")
class Parcel(Request[bytes]):
    text: bytes


class Baker(Worker):
    @handles
    def bake(self, event: Bake) -> int:
        return event.number


class Napper(Worker):
    @handles
    async def bake(self, event: Bake) -> int:
        await asyncio.sleep(0.02)
        return event.number


class Echo(Worker):
    @handles
    def letter(self, event: Letter) -> bytes:
        return event.text

    @handles
    def parcel(self, event: Parcel) -> bytes:
        return event.text


class Bakery(Manager):
    ovens = Pool(Baker, mode="process", size=3)

    @handles
    async def order(self, event: Order) -> int:
        first = await self.request(Bake(event.number))
        return first + await self.request(Bake(event.number))


class Kitchen(Manager):
    cooks = Pool(Baker, mode="thread", size=2)


class Camp(Manager):
    tents = Pool(Napper, size=2)


class Post(Manager):
    desks = Pool(Echo, mode="process", size=1)


def town(*parts: Any, costs: Costs | None = None) -> Topology:
    topology = Topology("town")
    topology.node("town", *parts, cores=8, costs=costs)
    return topology


def bakery(seed: int, service: dict[Any, Any], duration: float = 200) -> Run:
    orders = load.Poisson(Order, rate=12, node="town")
    return simulate(Scenario(town(Bakery), duration=duration, load=[orders], service=service), seed)


@pytest.mark.parametrize("seed", range(4))
def test_known_services_are_found_in_a_run_of_them(seed: int) -> None:
    known: dict[Any, LogNormal | Exponential] = {
        Order: LogNormal(mean=0.002 * (1 + seed), cv=0.5),
        Bake: Exponential(0.02 * (1 + seed)),
    }
    found = fit(bakery(seed, known))
    assert list(found.services) == [Order, Bake]
    for key, truth in known.items():
        measured = found.measured[key]
        assert measured.count > 2_000
        assert abs(measured.mean - truth.mean) < measured.half_width(SURE)
        assert found.services[key].cpu.mean == pytest.approx(measured.mean)  # type: ignore[union-attr]
    order, bake = (found.services[key].cpu for key in known)
    assert isinstance(order, LogNormal)
    assert isinstance(bake, LogNormal)
    assert order.cv == pytest.approx(0.5, rel=0.15)
    assert bake.cv == pytest.approx(1.0, rel=0.15)
    assert str(found).startswith("Order: ")


def test_a_service_that_is_ten_percent_off_is_seen() -> None:
    found = fit(bakery(1, {Bake: Exponential(0.022)}))
    assert abs(found.measured[Bake].mean - 0.02) > found.measured[Bake].half_width(SURE)


def test_the_simulation_of_what_was_fitted_is_as_the_run() -> None:
    run = bakery(2, {Order: Service(wait=0.003), Bake: Exponential(0.05)})
    again = bakery(3, fit(run, shape="empirical").services)
    assert again.throughput("fitting.Order") == pytest.approx(run.throughput("fitting.Order"), rel=0.1)
    for level, value in run.percentiles("fitting.Order", q=(50, 95)).items():
        assert again.percentiles("fitting.Order", q=[level])[level] == pytest.approx(value, rel=0.12)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_share_of_the_gil_is_found_where_two_threads_work(share: float) -> None:
    topology = town(Kitchen)
    service = {Bake: Service(cpu=Exponential(0.02), gil=share)}
    one, two = (load.Clients(Bake, count=count, think=Exponential(0.02), node="town") for count in (1, 2))
    alone = simulate(Scenario(topology, duration=150, load=[one], service=service), seed=3)
    crowded = simulate(Scenario(topology, duration=150, load=[two], service=service), seed=4)
    found = fit(crowded, topology, by="worker", alone=alone)
    assert found.services[Baker].gil == pytest.approx(share, abs=0.15)
    assert abs(found.measured[Baker].mean - 0.02) < found.measured[Baker].half_width(SURE)
    assert fit(alone, alone=alone).services[Bake].gil == 1.0  # Nothing is to be seen of it.


def test_there_may_be_a_service_of_each_handler_or_worker() -> None:
    run = bakery(1, {Bake: 0.02}, duration=5)
    handlers = fit(run, town(Bakery), by="handler", holds="wait").services
    assert handlers.keys() == {Bakery.order, Baker.bake}
    assert handlers[Baker.bake] == Service(wait=Constant(0.02))
    assert fit(run, town(Bakery), by="worker").services.keys() == {Bakery, Baker}


@pytest.mark.parametrize("shape", ["log-normal", "empirical"])
def test_what_was_fitted_goes_to_a_file_and_back(shape: str, tmp_path: Path) -> None:
    found = fit(
        bakery(1, {Order: 0.001, Bake: Exponential(0.02)}, duration=20), town(Bakery), by="handler", shape=shape
    )
    scenario = Scenario(town(Bakery, costs=Costs(event=1e-5)), duration=1, service=found.services)
    path = tmp_path / "fitted.toml"
    path.write_text(scenario.to_toml(), encoding="utf-8")
    back = Scenario.from_toml(path)
    assert back.service == scenario.service
    assert back.topology.nodes["town"].costs == Costs(event=1e-5)
    kind = back.service[Baker.bake].cpu
    assert isinstance(kind, LogNormal if shape == "log-normal" else Empirical)


async def test_a_real_run_is_fitted() -> None:
    naps = load.Constant(Bake, rate=25, node="town")
    run = await run_real(Scenario(town(Camp), duration=1, load=[naps]), in_process=True)
    found = fit(run, holds="wait")
    assert found.measured[Bake].count == 25
    assert 0.0199 < found.measured[Bake].mean < 0.2


# Costs


def test_costs_of_events_and_bytes_are_found() -> None:
    costs = Costs(byte=2e-8)
    client = load.Clients(lambda i: (Letter, Parcel)[i % 2](b"x" * (100, 60_000)[i % 2]), count=1, node="town")
    run = simulate(Scenario(town(Post, costs=costs), duration=5, load=[client]))
    sizes = {cls: 2.0 * len(cls(b"x" * size).text) for cls, size in ((Letter, 100), (Parcel, 60_000))}
    found = calibrate(run, sizes)
    assert found.byte == pytest.approx(costs.byte, rel=0.01)
    assert calibrate(run) == Costs()
    quick = load.Clients(Bake, count=1, node="town")
    plain = simulate(Scenario(town(Kitchen, costs=Costs(event=0.0004)), duration=5, load=[quick]))
    assert calibrate(plain).event == pytest.approx(0.0004, rel=0.05)


# Bad input


def counted_only() -> Run:
    orders = load.Constant(Order, rate=10, node="town")
    return simulate(Scenario(town(Bakery), duration=1, load=[orders]), trace="counters", rules=None)


def unheard() -> Run:
    return simulate(Scenario(town(Bakery), duration=1, load=[load.Constant(Order, rate=1, node="town", start=0.5)]))


BAD: list[tuple[Any, dict[str, Any], str]] = [
    (counted_only, {}, "the trace has no rows: expected a run that was traced in full"),
    (lambda: Run(Recorder(), simulated=True), {}, "the trace has no rows"),
    (lambda: 7, {}, "fit(7): expected a Run"),
    (unheard, {"by": "worker"}, "fit(by='worker'): expected the run's topology too"),
    (unheard, {"by": "colour"}, "fit(by='colour'): expected one of event, handler, worker"),
    (unheard, {"shape": "round"}, "fit(shape='round'): expected one of log-normal, empirical"),
    (unheard, {"holds": "breath"}, "fit(holds='breath'): expected one of cpu, wait"),
    (unheard, {"by": "handler", "topology": town(Kitchen)}, "town/Bakery is not in the topology, whose managers"),
]


@pytest.mark.parametrize(("make", "given", "words"), BAD)
def test_what_cannot_be_fitted_is_refused(make: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(words)):
        fit(make(), **given)


def test_costs_need_one_client_and_two_sizes() -> None:
    two = load.Clients(Order, count=2, node="town")
    crowded = simulate(Scenario(town(Bakery), duration=1, load=[two], service={Bake: 0.02}))
    with pytest.raises(DeclarationError, match="expected a run of one client"):
        calibrate(crowded)
    one = simulate(
        Scenario(town(Bakery), duration=1, load=[load.Clients(Order, count=1, node="town")], service={Bake: 0.02})
    )
    with pytest.raises(DeclarationError, match="expected events of at least two sizes"):
        calibrate(one, {Bake: 12})
    with pytest.raises(DeclarationError, match=re.escape("calibrate(sizes: Bake=-1): expected a number, 0 or more")):
        calibrate(one, {Bake: -1})
    assert calibrate(one).event == 0
