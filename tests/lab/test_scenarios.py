"""Scenarios in simulated time: what happens, when, and what the run says of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Run, faults, load, service
from edri_sim.errors import DeclarationError, NoRoute
from edri_sim.scenario import Scenario
from edri_sim.service import Service
from edri_sim.simulation.scenarios import simulate, simulate_async
from tests.lab import shop


def street(**given: Any) -> Scenario:
    """Orders at a door, 20 a second for 10 s, and a sale a second at the shop."""
    orders = load.Poisson("tests.lab.shop:order", rate=20, node="door")
    sales = load.Constant(shop.sold, rate=1, node="shop")
    return Scenario(shop.street(), **{"duration": 10.0, "load": [orders, sales], **given})


BUSY = {
    "faults": [faults.Outage("shop", "hub", at=3, duration=1), faults.Kill("hub", at=6, restart_after=0.5)],
    "service": {shop.Order: Service(cpu=service.LogNormal(mean=0.05, cv=0.4), wait=0.01), shop.Sold: 0.001},
}


def test_the_load_arrives_and_is_counted() -> None:
    run = simulate(street(service={shop.Order: Service(wait=0.05)}))
    orders, sales = run.tallies
    assert 150 < orders.offered == orders.ended == run.count("lab.Order", "replied") < 250
    assert sales.offered == sales.ended == run.count("lab.Sold", "handled") == 10
    assert [round(at, 9) for at in run.arrivals("lab.Sold")] == list(range(10))
    assert run.utilisation()["shop/Shop.sellers"] == pytest.approx(orders.offered * 0.05 / 2 / 10, rel=0.02)


def test_nothing_is_published_before_those_who_take_it_are_known() -> None:
    run = simulate(street(load=[load.Burst(shop.sold, size=3, every=100, node="door")]))
    assert run.count("lab.Sold", "handled") == 3
    assert run.began > 0


def test_who_cannot_be_reached_fails_the_run_before_it_begins() -> None:
    scenario = street(faults=[])
    scenario.topology.node("cut-off", shop.Books, switch="hub", link=False)
    scenario.topology.link("cut-off", "office")
    scenario.topology.node("lost", shop.Books, switch="hub", link=False)
    scenario.topology.node("also-lost", shop.Books, switch="hub", link=False)
    scenario.topology.link("lost", "also-lost")
    with pytest.raises(NoRoute, match=r"lab.Sold: .*office.* wants? it after 60 s, and 4 should"):
        simulate(scenario)


def test_faults_happen_at_their_times_and_what_they_held_up_arrives() -> None:
    run = simulate(street(**BUSY))
    assert all(tally.offered == tally.ended for tally in run.tallies)
    listed = run.faults()
    assert list(listed["fault"]) == ["outage shop-hub", "kill hub"]
    assert list(listed["begin"].round(9)) == [3, 6]
    assert list(listed["end"].round(9)) == [4, 6.5]
    account = run.account("door", "shop")
    assert account.owed == account.delivered == run.tallies[0].offered
    assert account.resent > 0


def test_events_at_a_node_that_is_down_are_missed() -> None:
    run = simulate(street(faults=[faults.Crash("door", at=2, restart_after=3)], service={shop.Order: 0.001}))
    orders = run.tallies[0]
    assert 40 < orders.missed < 80
    assert orders.offered == orders.ended + orders.missed
    assert f"{orders.missed} missed" in run.summary()


def test_the_warm_up_counts_in_no_figure() -> None:
    run = simulate(street(warm_up=4, service={shop.Order: 0.05}))
    whole = simulate(street(service={shop.Order: 0.05}))
    assert run.digest == whole.digest
    assert len(run.spans) == len(whole.spans)
    assert run.count("lab.Sold", "handled") == 6
    assert run.throughput("lab.Sold") == 1
    assert 0 < run.utilisation()["shop/Shop.sellers"] < 1


def test_closed_loops_wait_for_their_answers() -> None:
    clients = load.Clients(shop.order, count=3, think=0.1, node="door")
    run = simulate(street(load=[clients], service={shop.Order: Service(wait=0.4)}))
    # Two sellers serve three clients: 5 requests a second at most.
    assert 45 <= run.tallies[0].offered <= 51
    assert run.tallies[0].offered == run.tallies[0].ended


def test_what_does_not_end_in_time_stays_open() -> None:
    flood = load.Constant(shop.order, rate=100, node="door", timeout=100)
    run = simulate(street(load=[flood], drain=1, service={shop.Order: Service(wait=0.5)}))
    tally = run.tallies[0]
    assert tally.offered == 1_000
    assert tally.ended == 42
    assert tally.open == 958
    assert run.throughput("lab.Order") == pytest.approx(3.8)


def test_a_maker_that_raises_fails_the_run() -> None:
    def make(number: int) -> shop.Order:
        if number == 5:
            raise ValueError("no more")
        return shop.Order(number)

    with pytest.raises(ValueError, match="no more"):
        simulate(street(load=[load.Constant(make, rate=10, node="door")]))


def test_only_scenarios_are_simulated() -> None:
    with pytest.raises(DeclarationError, match=r"simulate\(7\): expected a Scenario"):
        simulate(7)  # type: ignore[arg-type]


# One seed, one digest


def digest(seed: int = 7, **given: Any) -> str:
    return simulate(street(**given), seed=seed).digest


def test_a_seed_is_a_run() -> None:
    first = digest(**BUSY)
    assert digest(**BUSY) == first
    assert digest(8, **BUSY) != first


async def test_in_a_running_loop_it_is_the_same_run() -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.get_running_loop().create_task(beat())
    run = await simulate_async(street(**BUSY))
    beating.cancel()
    assert run.digest == digest(**BUSY)
    assert beats > 5


def test_a_scenario_from_a_file_is_the_same_run(tmp_path: Path) -> None:
    scenario = street(warm_up=1, drain=5, **BUSY)
    path = tmp_path / "street.toml"
    path.write_text(scenario.to_toml(), encoding="utf-8")
    again = Scenario.from_toml(path)
    assert again.to_toml() == scenario.to_toml()
    assert again.load[1].maker() is shop.sold
    assert (again.load[0], again.faults, again.service) == (scenario.load[0], scenario.faults, scenario.service)
    assert simulate(again).digest == simulate(scenario).digest


def test_a_file_may_have_its_topology_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "street.toml").write_text(shop.street().to_toml(), encoding="utf-8")
    path = tmp_path / "quiet.toml"
    path.write_text('[scenario]\ntopology = "street.toml"\nduration = 3\n', encoding="utf-8")
    scenario = Scenario.from_toml(path)
    assert scenario.topology.to_toml() == shop.street().to_toml()
    assert simulate(scenario).duration == 3


# What a run says


def parts_of(run: Run) -> dict[str, list[float]]:
    frame = run.parts()
    return {name: list(frame[name]) for name in ("latency", "queue", "network", "recovery", "service")}


def test_the_parts_of_latency_add_up() -> None:
    parts = parts_of(simulate(street(**BUSY)))
    for latency, *shares in zip(*parts.values(), strict=True):
        assert sum(shares) == pytest.approx(latency, abs=1e-12)
        assert min(shares) >= 0


def test_each_part_is_what_it_should_be() -> None:
    orders = load.Burst(shop.order, size=4, every=100, node="door")
    parts = parts_of(simulate(street(load=[orders], service={shop.Order: Service(wait=0.1)})))
    assert parts["service"] == pytest.approx([0.1] * 4)
    assert sorted(parts["queue"]) == pytest.approx([0, 0, 0.1, 0.1])
    assert parts["network"] == pytest.approx([2 * (0.0005 + 0.002)] * 4)
    assert parts["recovery"] == [0] * 4


def test_recovery_is_what_an_outage_costs() -> None:
    orders = load.Burst(shop.order, size=1, every=2, node="door", until=3)
    outage = faults.Outage("door", "hub", at=1.9, duration=1)
    run = simulate(street(load=[orders], faults=[outage], service={shop.Order: 0.01}))
    parts = parts_of(run)
    assert parts["recovery"][0] == 0
    assert 0.8 < parts["recovery"][1] <= parts["latency"][1]
    assert "recovery" in run.summary()


def test_the_backlog_rises_and_falls() -> None:
    run = simulate(street(load=[load.Constant(shop.sold, rate=10, node="shop")], faults=BUSY["faults"]))
    frame = run.backlog()
    assert set(zip(frame["source"], frame["target"], strict=True)) == {("shop", "office")}
    during = frame[(frame["time"] > 3) & (frame["time"] < 4)]
    assert during["waiting"].max() == 10
    assert frame["waiting"].iloc[-1] == 0
    assert frame["time"].is_monotonic_increasing


def test_every_fault_and_every_load_has_its_form_in_a_file(tmp_path: Path) -> None:
    listed: list[Any] = [
        faults.Outage("shop", "hub", at=1, duration=1), faults.OneWay("hub", "shop", at=2, duration=1),
        faults.AddedLatency("shop", "hub", at=1, duration=1, latency=0.1, jitter=0.05),
        faults.Bandwidth("shop", "hub", at=1, duration=1, rate=1e3), faults.ConnectionReset("shop", "hub", at=1),
        faults.Kill("hub", at=3), faults.Crash("door", at=3, restart_after=1), faults.Pause("office", at=3, duration=1),
        faults.WorkerCrash("press", at=1, pool="Press.printers", index=1),
        faults.SlowConsumer("office", at=1, duration=1, delay=1), faults.ClockJump("office", at=1, seconds=-5),
        faults.SlowDisk("office", at=1, duration=1, delay=1), faults.DiskFull("office", at=1, duration=1),
    ]  # fmt: skip
    options: dict[str, Any] = {"node": "door", "start": 1.0, "until": 9.0, "timeout": 2.0}
    loads: list[load.Load] = [
        load.Poisson(shop.order, rate=2, **options), load.Constant(shop.order, rate=2, **options),
        load.Burst(shop.order, size=2, every=3, **options), load.Ramp(shop.order, rate=0, to_rate=2, **options),
        load.RecordedLoad(shop.order, times=[1, 2.5], **options),
        load.Clients(shop.order, count=2, think=service.Empirical([0.5, 1]), **options),
    ]  # fmt: skip
    topology = shop.street()
    topology.node("press", shop.Press, switch="hub")
    scenario = Scenario(topology, duration=10, faults=listed, load=loads)
    assert {type(fault).__name__ for fault in listed} == set(faults.KINDS)
    assert {type(each).__name__ for each in loads} == set(load.KINDS)
    path = tmp_path / "street.toml"
    path.write_text(scenario.to_toml(), encoding="utf-8")
    again = Scenario.from_toml(path)
    assert again.to_toml() == scenario.to_toml()
    assert again.faults == scenario.faults
    assert [each.maker() for each in again.load] == [shop.order] * 6
