"""Scenarios in real time: the same objects, real connections, and faults where there can be some."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from edri_sim import Manager, Pool, Request, Run, Scheduler, Topology, Worker, event, faults, handles, load
from edri_sim.errors import DeclarationError, UnsupportedFault
from edri_sim.realtime.scenarios import run_real
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from edri_sim.simulation.scenarios import simulate
from tests.lab import shop

SECONDS = 1.5


@event(name="real_scenarios.Work")
class Work(Request[int]):
    number: int


class Hand(Worker):
    @handles
    async def work(self, event: Work) -> int:
        await asyncio.sleep(0.05)
        return event.number


class Factory(Manager):
    hands = Pool(Hand, mode="process", size=1)


def street(**given: Any) -> Scenario:
    orders = load.Constant(shop.order, rate=40, node="door")
    sales = load.Constant(shop.sold, rate=40, node="shop")
    return Scenario(shop.street(), **{"duration": SECONDS, "load": [orders, sales], "drain": 20, **given})


async def run_here(scenario: Scenario, **given: Any) -> Run:
    return await run_real(scenario, in_process=True, **given)


def owed(run: Run) -> dict[tuple[str, str], tuple[int, int]]:
    accounts = {pair: run.account(*pair) for pair in run.traffic.pairs}
    return {pair: (account.owed, account.delivered) for pair, account in accounts.items()}


@pytest.mark.parametrize("in_process", [True, False])
async def test_the_same_scenario_on_both_loops_has_the_same_counts(in_process: bool) -> None:
    outage = faults.Outage("shop", "hub", at=0.4, duration=0.4)
    scenario = street(faults=[outage, faults.ConnectionReset("door", "hub", at=1)], service={shop.Order: 0.001})
    real = await run_real(scenario, in_process=in_process)
    simulated = await asyncio.to_thread(simulate, scenario)
    assert not real.simulated
    assert real.duration == simulated.duration == SECONDS
    for run in (real, simulated):
        assert [tally.offered for tally in run.tallies] == [60, 60]
        assert [tally.ended for tally in run.tallies] == [60, 60]
        assert owed(run) == {("door", "shop"): (60, 60), ("shop", "office"): (60, 60)}
        assert list(run.faults()["fault"]) == ["outage shop-hub", "reset door-hub"]
    listed = real.faults()
    assert list(listed["begin"].round(1)) == [0.4, 1]
    assert listed["end"].iloc[0] == pytest.approx(0.8, abs=0.1)
    assert set(real.rows()["node"]) == {"door", "shop", "office", "main"}


@pytest.mark.parametrize(
    ("fault", "pair", "least"),
    [
        (faults.OneWay("hub", "door", at=0.3, duration=0.5), "door", 0.3),
        (faults.OneWay("door", "hub", at=0.3, duration=0.5), "door", 0.3),
        (faults.AddedLatency("door", "hub", at=0.3, duration=0.5, latency=0.2), "door", 0.4),
        (faults.Bandwidth("door", "hub", at=0.3, duration=0.5, rate=500), "door", 0.1),
    ],
    ids=str,
)
async def test_faults_of_links_are_felt_and_nothing_is_lost(fault: Any, pair: str, least: float) -> None:
    run = await run_here(street(faults=[fault]))
    assert run.tallies[0].ended == 60
    quick = [span.latency for span in run.spans if span.type == "lab.Order" and span.created < run.began + 0.2e9]
    assert max(latency for latency in quick if latency is not None) < least
    assert max(run.latencies("lab.Order")) > least


async def test_a_worker_is_killed_and_replaced() -> None:
    topology = Topology("factory")
    topology.node("works", Factory)
    crash = faults.WorkerCrash("works", at=0.5, pool="Factory.hands")
    clients = load.Clients(Work, count=1, node="works")
    run = await run_here(Scenario(topology, duration=SECONDS, load=[clients], faults=[crash], drain=20))
    tally = run.tallies[0]
    assert tally.failed == {"provider_lost": 1}
    assert tally.offered == tally.ended + 1
    later = [span for span in run.spans if span.outcome == "replied" and span.created > run.began + 0.5e9]
    assert later


async def test_what_is_durable_has_a_folder_for_the_run() -> None:
    topology = Topology("durable")
    topology.switch("hub")
    topology.node("door", Scheduler, switch="hub", durable=True)
    topology.node("shop", shop.Shop, switch="hub")
    run = await run_here(
        Scenario(topology, duration=0.3, load=[load.Burst(shop.order, size=5, every=9, node="door")]),
        settings=Settings(request_timeout=5),
    )
    assert run.tallies[0].ended == 5


# What cannot act says so before anything starts

UNSUPPORTED = [
    (faults.Kill("hub", at=1), "kill hub cannot be made to happen in real time, where all machines are in one program"),
    (faults.Crash("shop", at=1), "crash shop cannot be made to happen"),
    (faults.Pause("shop", at=1, duration=0.1), "pause shop cannot be made to happen"),
    (faults.SlowConsumer("shop", at=1, duration=0.1, delay=1), "slow consumer shop cannot be made to happen"),
    (faults.ClockJump("shop", at=1, seconds=1), "clock jump shop by +1 s cannot be made to happen"),
    (faults.SlowDisk("shop", at=1, duration=0.1, delay=1), "slow disk shop cannot be made to happen"),
    (faults.DiskFull("shop", at=1, duration=0.1), "disk full shop cannot be made to happen"),
    (faults.Outage("shop", "office", at=1, duration=0.1), "outage shop-office cannot be made to happen"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), UNSUPPORTED)
async def test_what_cannot_act_in_real_time_is_refused(fault: faults.Fault, words: str) -> None:
    class Never(Manager):
        def __init__(self) -> None:
            raise AssertionError("nothing may start")

    topology = shop.street()
    topology.link("shop", "office")
    topology.node("never", Never, switch="hub")
    with pytest.raises(UnsupportedFault, match=re.escape(words)):
        await run_here(Scenario(topology, duration=2, faults=[fault]))


async def test_only_scenarios_are_run() -> None:
    with pytest.raises(DeclarationError, match=r"run_real\(7\): expected a Scenario"):
        await run_real(7)  # type: ignore[arg-type]


async def test_a_maker_that_raises_ends_the_run_and_leaves_nothing() -> None:
    def make(number: int) -> shop.Order:
        if number:
            raise ValueError("no more")
        return shop.Order(number)

    with pytest.raises(ValueError, match="no more"):
        await run_here(street(load=[load.Constant(make, rate=40, node="door")]))
