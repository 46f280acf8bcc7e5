"""Durable nodes: what was accepted outlives the life that accepted it, and a disk that refuses is named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edri_sim import (
    Settings,
    Simulation,
    Topology,
    part,
)
from edri_sim.faults import Crash, Fault, OneWay
from edri_sim.host import current_host
from edri_sim.links.outbox import DurableOutbox
from edri_sim.managers.worker import Delivery
from edri_sim.service import Costs
from tests.links.durable_pair import MANY, Double, Ear, Note, Pair, publish
from tests.worlds import World, turns, until


def test_what_a_life_could_not_send_the_next_one_does_in_order_and_once(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.b():
            async with pair.a() as a:
                await a.subscribed(Note)
                await a.notify(Note(0))
                await a.settled()
                pair.cut()
                await publish(a, MANY)
            pair.heal()
            assert pair.numbers == [0]
            async with pair.a() as a:
                await a.subscribed(Note)
                await a.notify(Note(101))
                await a.settled()
                await until(lambda: len(pair.heard) == 102)
        assert pair.numbers == [0, *MANY, 101]
        ids = [delivery.event_id for _, delivery in pair.heard]
        assert len(dict.fromkeys(ids)) == 102
        assert not pair.reports.letters
        assert pair.outboxes[0].incarnation < pair.outboxes[1].incarnation
        assert pair.outboxes[0].identity == pair.outboxes[1].identity

    world.run(main)


def test_many_publications_share_few_commits(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0
    commit = DurableOutbox._commit

    async def counted(outbox: DurableOutbox, changes: Any) -> None:
        nonlocal commits
        commits += 1
        await commit(outbox, changes)

    monkeypatch.setattr(DurableOutbox, "_commit", counted)

    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.b(), pair.a() as a:
            await a.subscribed(Note)
            await publish(a, MANY)
            assert commits <= 5
            await until(lambda: pair.numbers == MANY)

    world.run(main)


def test_nobody_waits_for_more_than_the_commit_under_way_and_the_next_one() -> None:
    cost = 0.01
    topology = Topology("busy")
    topology.switch("hub")
    topology.node("a", switch="hub", durable=True, costs=Costs(commit=cost))
    heard: list[tuple[int, Delivery]] = []
    topology.node("b", part(Ear, heard), switch="hub")
    waits: list[float] = []

    async def one(simulation: Simulation, number: int) -> None:
        begin = simulation.now
        await simulation.node("a").notify(Note(number))
        waits.append(simulation.now - begin)

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Note)
        async with asyncio.TaskGroup() as group:
            for number in range(1_000):
                group.create_task(one(simulation, number))
                await asyncio.sleep(cost / 10)
        await asyncio.sleep(5)

    with Simulation(topology) as simulation:
        simulation.run(main(simulation))
    assert max(waits) <= 2 * cost + 1e-6
    assert [number for number, _ in heard] == list(range(1_000))


def test_nothing_is_sent_before_it_is_on_the_disk() -> None:
    topology = Topology("slow")
    topology.switch("hub")
    topology.node("a", switch="hub", durable=True, costs=Costs(commit=1.0))
    heard: list[tuple[int, Delivery]] = []
    topology.node("b", part(Ear, heard), switch="hub")

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Note, timeout=30)
        await asyncio.sleep(10)
        publishing = asyncio.ensure_future(simulation.node("a").notify(Note(1)))
        await asyncio.sleep(0.9)
        assert not publishing.done()
        assert heard == []
        await publishing
        await asyncio.sleep(0.1)
        assert len(heard) == 1

    with Simulation(topology) as simulation:
        simulation.run(main(simulation))


# Requests


def test_durable_nodes_ask_others_and_a_new_life_asks_nothing_that_nobody_waits_for(
    world: World, tmp_path: Path
) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        async with pair.b():
            async with pair.a() as a:
                assert await a.request(Double(2), timeout=5) == 4
                pair.cut()
            pair.heal()
            async with pair.a() as a:
                assert await a.request(Double(3), timeout=5) == 6

    world.run(main)


# Lives


def test_the_number_of_a_life_rises_though_the_clock_was_set_back(world: World, tmp_path: Path) -> None:
    async def life(clock: int, renumbered: int = 0) -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        outbox = DurableOutbox(current_host(loop, Settings(data=str(tmp_path))), "a", loop)
        await outbox.open(clock)
        number = outbox.incarnation
        if renumbered:
            outbox.renumber(renumbered)
        await outbox.close()
        return number, outbox.identity

    async def main() -> None:
        assert await life(1_000) == (1_000, 1_000)
        assert await life(10) == (1_001, 1_000)
        assert await life(20, renumbered=5_000) == (1_002, 1_000)
        assert await life(30) == (5_001, 1_000)
        assert await life(9_000) == (9_000, 1_000)

    world.run(main)


def test_what_is_written_after_the_end_is_left(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        outbox = DurableOutbox(current_host(loop, Settings(data=str(tmp_path))), "a", loop)
        await outbox.open(1)
        await outbox.close()
        outbox.renumber(7)
        assert not outbox.busy

    world.run(main)


def test_what_an_earlier_life_left_is_reported_under_its_own_id_when_it_is_given_up(
    world: World, tmp_path: Path
) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        b = pair.b()
        await b.start()
        async with pair.a() as a:
            await a.subscribed(Note)
            pair.cut()
            await publish(a, [1, 2])
        former = pair.outboxes[0].incarnation
        line = pair.line
        assert line is not None
        async with pair.a() as a:
            line.passes = lambda *_: False
            await turns(20)
            a_connector: Any = a._running[0]
            a_connector.on_down("b", True)
            await until(lambda: len(pair.reports.letters) == len(pair.reports.gaps) == 2)
        await b.stop()
        letters, gaps = pair.reports.letters, pair.reports.gaps
        assert [letter.event_id.split("/")[:2] for letter in letters] == [["a", f"{former:x}"]] * 2
        assert {letter.reason for letter in letters} == {"given up for b: node 'b' has left"}
        assert [(gap.node, gap.source, gap.target, gap.first, gap.last) for gap in gaps] == [
            ("a", "a", "b", 1, 1),
            ("a", "a", "b", 2, 2),
        ]

    world.run(main)


@pytest.mark.parametrize(("both", "redelivered"), [(False, []), (True, [True] * 5)])
def test_a_new_life_sends_what_may_have_arrived_again_and_it_counts_once_in_one_life_of_the_receiver(
    both: bool, redelivered: list[bool]
) -> None:
    heard: list[tuple[int, Delivery]] = []
    topology = Topology("two")
    topology.switch("hub")
    topology.node("a", switch="hub", durable=True)
    topology.node("b", part(Ear, heard), switch="hub")

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Note)
        await asyncio.sleep(1 - simulation.now)
        for number in range(5):
            await simulation.node("a").notify(Note(number))
        await asyncio.sleep(30)
        assert [number for number, _ in heard] == [*range(5)] * (2 if both else 1)
        assert [delivery.redelivered for _, delivery in heard] == [False] * 5 + redelivered
        assert len(dict.fromkeys(delivery.event_id for _, delivery in heard)) == 5

    faults: list[Fault] = [OneWay("b", "hub", at=0.9, duration=2), Crash("a", at=1.5, restart_after=3)]
    faults += [Crash("b", at=1.6, restart_after=3)] if both else []
    with Simulation(topology, seed=7, faults=faults) as simulation:
        simulation.run(main(simulation))


def test_a_node_may_be_durable_then_not_and_durable_again(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        pair = Pair(tmp_path)
        number = 0
        async with pair.b():
            for durable in (True, False, True, True, False, True):
                async with pair.a(durable=durable) as a:
                    await a.subscribed(Note)
                    await publish(a, [number + 1, number + 2])
                    await a.settled()
                    number += 2
                    if durable:
                        pair.cut()
                        number += 1
                        await a.notify(Note(number))
                if durable:
                    pair.heal()
            async with pair.a() as a:
                await a.subscribed(Note)
                await until(lambda: len(pair.heard) == number)
        assert sorted(pair.numbers) == list(range(1, number + 1))
        assert not pair.reports.letters

    world.run(main)
