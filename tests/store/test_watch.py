"""Who listens hears of every change, in order, once it is committed, on other nodes as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edri_sim import Manager, Simulation, Store, Topology, handles, part
from edri_sim.service import Costs
from edri_sim.storing import Changed, Opened, Set, announcer, pack
from tests.links.cluster import Cluster
from tests.store.shelf import Listener, solo
from tests.worlds import World, quick, records, turns, until


def test_every_change_is_heard_in_order_here_and_elsewhere(world: World) -> None:
    here, there = Listener(), Listener()

    async def main() -> None:
        async with (
            Cluster() as cluster,
            cluster.node("shelf", Store, lambda: here) as shelf,
            cluster.node("far", lambda: there) as far,
        ):
            await shelf.subscribed(Changed, 2)
            store = Store.of(far)
            await asyncio.gather(*[store.set(f"{number % 3}", number) for number in range(20)])
            await store.delete("1")
            await store.increment("count", 7)
            await until(lambda: len(here.heard) == len(there.heard) == 22)

    world.run(main)
    assert here.heard == there.heard
    assert [change.version for change in here.heard] == list(range(1, 23))
    assert here.heard[20] == Changed("1", 21, None, "deleted")
    assert here.heard[21] == Changed("count", 22, pack(7), "set")


def test_nothing_is_heard_before_it_is_committed() -> None:
    listener = Listener()
    topology = Topology("shelf")
    topology.node("shelf", part(Store, storage="values"), lambda: listener, costs=Costs(commit=1.0))

    async def main() -> None:
        node = simulation.node("shelf")
        write = asyncio.ensure_future(node.request(Set("a", pack(1))))
        await asyncio.sleep(1.5)  # In the first second its tables are made.
        assert not write.done()
        assert listener.heard == []
        await write
        await until(lambda: listener.heard)

    with Simulation(topology) as simulation:
        simulation.run(main())


def test_a_store_says_that_it_is_there_once_those_who_want_to_know_are(world: World, tmp_path: Path) -> None:
    listener = Listener()

    async def main() -> None:
        async with solo(data=tmp_path) as node:
            await Store.of(node).set("a", 1)
        async with solo(lambda: listener, data=tmp_path):
            await until(lambda: listener.opened)

    world.run(main)
    assert listener.opened == [Opened("solo", 1)]


def test_two_stores_are_noticed(world: World) -> None:
    async def main() -> None:
        with records() as kept:
            settings = quick(route_grace=0.3)
            async with Cluster() as cluster, cluster.node("a", Store, **settings), cluster.node("b", Store, **settings):
                await until(lambda: len(kept.at("ERROR")) == 2)
        assert sorted(record.getMessage() for record in kept.at("ERROR")) == [
            "nodes a and b both run a Store, so what one of them is told the other does not know: stop one",
            "nodes b and a both run a Store, so what one of them is told the other does not know: stop one",
        ]

    world.run(main)


class Slow(Manager):
    """Takes its time with each change; so few of them may wait."""

    concurrency = 1
    queue = 1

    def __init__(self) -> None:
        self.heard: list[Changed] = []
        self.go_on = asyncio.Event()

    @handles
    async def on_changed(self, event: Changed) -> None:
        await self.go_on.wait()
        self.heard.append(event)


def test_who_is_slow_to_listen_holds_the_writers_up_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcer, "BEHIND", 5)
    slow: list[Slow] = []

    def made() -> Slow:
        slow.append(Slow())
        return slow[0]

    async def main() -> None:
        async with solo(made) as node:
            store = Store.of(node)
            writes: list[asyncio.Task[int]] = []
            for number in range(30):
                writes.append(asyncio.ensure_future(store.set("a", number)))
                await turns(100)
            assert 5 < sum(write.done() for write in writes) < 15
            slow[0].go_on.set()
            await asyncio.gather(*writes)
            await until(lambda: len(slow[0].heard) == 30)
        assert [change.version for change in slow[0].heard] == list(range(1, 31))

    world.run(main)


def test_a_node_that_stops_tells_of_all_changes_first(world: World) -> None:
    slow = Slow()

    async def main() -> None:
        async with solo(lambda: slow) as node:
            await asyncio.gather(*[Store.of(node).set("a", number) for number in range(50)])
            asyncio.get_running_loop().call_later(0.02, slow.go_on.set)

    world.run(main)
    assert len(slow.heard) == 50
