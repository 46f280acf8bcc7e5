"""Values that expire: by the wall clock, which may jump; once they were seen to be gone they stay so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from edri_sim import Simulation, Store, Topology, part
from edri_sim.service import Costs
from edri_sim.simulation.simulate import EPOCH
from edri_sim.storing import Changed, CompareAndSet, Entry, Get, ListEntries, Set, SetIfAbsent, pack
from tests.store.shelf import Listener, solo
from tests.worlds import World, until

ONE, TWO = pack(1), pack(2)


def test_a_value_expires_and_whoever_listens_is_told(world: World) -> None:
    listener = Listener()

    async def main() -> None:
        async with solo(lambda: listener) as node:
            store = Store.of(node)
            await store.set("stays", 1)
            await store.set("goes", 1, ttl=0.05)
            await store.set("goes later", 1, ttl=0.1)
            await until(lambda: len(listener.heard) == 5)
            assert [(change.key, change.version, change.cause) for change in listener.heard[3:]] == [
                ("goes", 4, "expired"), ("goes later", 5, "expired")]  # fmt: skip
            assert [item.key async for item in store.items()] == ["stays"]
            assert await store.get("goes") is None

    world.run(main)


def test_what_the_next_write_does_to_the_time(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            store = Store.of(node)
            await store.set("n", 1, ttl=3600)
            former = await store.item("n")
            await store.increment("n")
            kept = await store.item("n")
            assert former is not None
            assert kept is not None
            assert kept.expires == former.expires is not None
            await store.increment("n", ttl=7200)
            longer = await store.item("n")
            assert longer is not None
            assert longer.expires is not None
            assert longer.expires - former.expires >= timedelta(seconds=3600)
            await store.set("n", 1)
            for_good = await store.item("n")
            assert for_good is not None
            assert for_good.expires is None

    world.run(main)


def shelf(**costs: float) -> Topology:
    topology = Topology("shelf")
    topology.node("shelf", part(Store, storage="values"), costs=Costs(**costs))
    return topology


def test_it_is_there_until_the_very_instant_and_gone_from_then_on() -> None:
    async def main() -> None:
        node = simulation.node("shelf")
        await node.request(Set("a", ONE, ttl=10.0))
        await asyncio.sleep(9.999_999)
        assert await node.request(Get("a")) == Entry("a", ONE, 1, EPOCH + timedelta(seconds=10))
        await asyncio.sleep(0.000_001)
        assert await node.request(Get("a")) is None
        assert await node.request(SetIfAbsent("a", TWO)) == 3

    with Simulation(shelf()) as simulation:
        simulation.run(main())


def test_what_was_seen_to_be_gone_stays_gone_though_the_clock_goes_back_and_the_power_fails() -> None:
    """So nobody is told that it is gone before its removal is on the disk."""

    async def main() -> None:
        node = simulation.node("shelf")
        for key in "ab":
            await node.request(Set(key, ONE, ttl=10.0))
        node.host.jump_clock(3600)
        read = asyncio.ensure_future(node.request(Get("a")))
        listed = asyncio.ensure_future(node.request(ListEntries()))
        swapped = asyncio.ensure_future(node.request(CompareAndSet("b", TWO, 0)))
        await asyncio.sleep(0.4)
        assert not read.done()
        assert not listed.done()
        assert not swapped.done()
        assert await read is None
        node.host.jump_clock(-3600)
        assert (await listed).entries in ([], [Entry("b", TWO, await swapped)])
        node.host.crash()
        node.host.restart()
        assert await node.request(Get("a")) is None
        assert await node.request(Get("b")) == Entry("b", TWO, await swapped)

    with Simulation(shelf(commit=0.5)) as simulation:
        simulation.run(main())


def test_a_clock_that_goes_back_lets_it_live_longer() -> None:
    async def main() -> None:
        node = simulation.node("shelf")
        await node.request(Set("a", ONE, ttl=10.0))
        node.host.jump_clock(-3600)
        await asyncio.sleep(3609)
        assert await node.request(Get("a")) is not None
        await asyncio.sleep(1)
        assert await node.request(Get("a")) is None

    with Simulation(shelf()) as simulation:
        simulation.run(main())


def test_a_life_that_begins_later_removes_what_expired_meanwhile(tmp_path: Path) -> None:
    listener = Listener()
    topology = Topology("shelf")
    topology.node("shelf", part(Store, storage="values"), lambda: listener)

    async def main() -> None:
        node = simulation.node("shelf")
        await node.request(Set("a", ONE, ttl=10.0))
        node.host.crash()
        await asyncio.sleep(60)
        node.host.restart()
        await node.request(Get("other"))
        await until(lambda: len(listener.heard) == 2)
        assert listener.heard[1] == Changed("a", 2, None, "expired")

    with Simulation(topology) as simulation:
        simulation.run(main())


def test_one_timer_for_many_and_none_for_none() -> None:
    async def main() -> None:
        node = simulation.node("shelf")
        for number in range(100):
            await node.request(Set(f"{number}", ONE, ttl=100.0 + number))
            await node.request(Set("again", ONE, ttl=1_000.0 + number))
        assert sum(timer.waits for timer in node.host._wall_timers) == 1
        for number in range(100):
            await node.request(Set(f"{number}", ONE))
        await node.request(Set("again", ONE))
        assert sum(timer.waits for timer in node.host._wall_timers) == 0

    with Simulation(shelf()) as simulation:
        simulation.run(main())
        simulation.run()
        assert simulation.now < 10, "nothing is left that could make time move"
