"""A watch tells what there is, then what changes, as fast as the watcher takes it; and it ends with clear words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edri_sim import Manager, Node, Request, Simulation, Store, Topology, Worker, event, handles, part
from edri_sim.errors import BadEvent, CodecError, NodeStopped, NoRoute, ProviderLost, TunnelClosed, TunnelLost
from edri_sim.faults import Crash, Fault, Kill, Outage
from edri_sim.service import Costs
from edri_sim.simulation.simulate import SimulatedNode
from edri_sim.storing import (
    BadArgument,
    Changed,
    Set,
    TooManyWatches,
    Update,
    Watch,
    WatchEnded,
    pack,
    unpack,
    watching,
)
from tests.links.cluster import Cluster
from tests.store.shelf import Config, solo
from tests.worlds import World, pool_of, quick, turns, until


@asynccontextmanager
async def shelf(**arguments: Any) -> AsyncIterator[tuple[Node, Store]]:
    """A node with a store, and that store."""
    stores: list[Store] = []

    def made() -> Store:
        stores.append(Store(**arguments))
        return stores[0]

    async with Node("shelf", made, **quick()) as node:
        yield node, stores[0]


async def first_of(node: Node) -> Update[Any]:
    """What a watch tells first."""
    async with Store.watch(node) as updates:
        return await anext(updates)


def waiting(store: Store) -> int:
    """How many changes wait for the one watcher."""
    [watch] = store.watches._open
    return len(watch._waiting)


def test_first_what_there_is_and_then_each_change_in_order_with_its_version(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            store = Store.of(node)
            for key in ("n/b", "m", "n/a"):
                await store.set(key, key)
            async with node.open(Watch("n/")) as tunnel:
                assert await tunnel.receive() == Changed("n/a", 3, pack("n/a"), "set")
                assert await tunnel.receive() == Changed("n/b", 1, pack("n/b"), "set")
                await asyncio.gather(*[store.set(f"n/{number % 3}", number) for number in range(50)])
                await store.set("o", "elsewhere")
                await store.delete("n/a")
                await store.set("n/0", "last")
                changes = [await tunnel.receive() for _ in range(52)]
        assert [change.version for change in changes] == [*range(4, 54), 55, 56]
        assert changes[4] == Changed("n/1", 8, pack(4), "set")
        assert changes[50] == Changed("n/a", 55, None, "deleted")

    world.run(main)


def test_values_come_in_their_type_and_one_of_another_ends_nothing(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            store = Store.of(node)
            await store.set("config", Config(1))
            async with Store.watch(node, "con", Config) as updates:
                assert await anext(updates) == Update("config", Config(1), 1, "set", None)
                await store.set("config", "no config")
                with pytest.raises(CodecError, match="key 'config', version 2: Config: "):
                    await anext(updates)
                await store.set("config", Config(2), ttl=0.05)
                update = await anext(updates)
                assert (update.value, update.version) == (Config(2), 3)
                assert update.expires is not None
                assert await anext(updates) == Update("config", None, 4, "expired", None)

    world.run(main)


def test_what_has_expired_is_not_told_as_there() -> None:
    """Its timer rings late, for the disk is busy when it does."""
    topology = Topology("shelf")
    topology.node("shelf", part(Store, storage="values"), Watcher, costs=Costs(commit=1.0))

    async def main() -> None:
        node = simulation.node("shelf")
        await node.request(Set("fleeting", pack(1), ttl=1.5))
        busy = asyncio.ensure_future(node.request(Set("other", pack(2))))
        await asyncio.sleep(1.6)
        assert await node.request(Seen()) == ["other"]
        await busy

    with Simulation(topology) as simulation:
        simulation.run(main())


@event(name="watching.Seen")
class Seen(Request[list[str]]):
    """The keys that a watch tells of within 3 s."""


class Watcher(Manager):
    """Watches for others."""

    @handles
    async def seen(self, event: Seen) -> list[str]:
        keys: list[str] = []
        async with Store.watch(self) as updates:
            try:
                async with asyncio.timeout(3):
                    async for update in updates:
                        keys.append(update.key)
            except TimeoutError:
                pass
        return keys


def test_nothing_is_told_before_it_is_committed() -> None:
    topology = Topology("shelf")
    topology.node("shelf", part(Store, storage="values"), Watcher, costs=Costs(commit=4.0))

    async def main() -> None:
        node = simulation.node("shelf")
        write = asyncio.ensure_future(node.request(Set("a", pack(1))))
        await asyncio.sleep(4.5)  # In the first four its tables are made.
        assert await node.request(Seen()) == []
        assert not write.done()
        assert await node.request(Seen()) == ["a"]

    with Simulation(topology) as simulation:
        simulation.run(main())


@event(name="watching.Read")
class Read(Request[list[Changed]]):
    """What a watch tells first."""

    count: int


class Reader(Worker):
    """Watches in plain functions, which in a process means that all it is told was encoded."""

    @handles
    def read(self, event: Read) -> list[Changed]:
        with self.blocking.open(Watch("w")) as tunnel:
            return [tunnel.receive() for _ in range(event.count)]


def test_workers_watch_as_well(world: World, mode: str) -> None:
    async def main() -> None:
        async with solo(pool_of(Reader, mode)) as node:
            store = Store.of(node)
            await store.set("w/1", Config(1, ("a",)), ttl=3600)
            await store.set("w/2", None)
            first, second = await node.request(Read(2), timeout=10)
            assert first.expires is not None
            assert (unpack(first.value or b"", Config), first.version, first.cause) == (Config(1, ("a",)), 1, "set")
            assert second == Changed("w/2", 2, pack(None), "set")

    world.run(main)


# From another node


def test_a_watch_on_another_node_tells_the_same(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("shelf", Store) as here, cluster.node("far") as far:
            await far.subscribed(Watch)
            store = Store.of(far)
            await store.set("n/a", 1, ttl=3600)
            async with Store.watch(far, "n/", int) as there, Store.watch(here, "n/", int) as near:
                assert await anext(there) == await anext(near)
                await asyncio.gather(*[store.set(f"n/{number % 3}", number) for number in range(500)])
                await store.delete("n/a")
                told = [await anext(there) for _ in range(501)]
                assert told == [await anext(near) for _ in range(501)]
                assert [update.version for update in told] == list(range(2, 503))

    world.run(main)


def test_a_store_on_another_node_that_stops_ends_it_with_its_word(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("far") as far:
            async with cluster.node("shelf", Store) as shelf:
                await far.subscribed(Watch)
                watch = asyncio.ensure_future(count(far, 10))
                await Store.of(far).set("a", 1)
                await until(lambda: busy(shelf))
            with pytest.raises(WatchEnded):
                await watch

    world.run(main)


def busy(node: Node) -> bool:
    return any(part.busy for part in node._running)


@pytest.mark.parametrize("fault", [Kill("shelf", 2.0, 1.0), Crash("shelf", 2.0, 1.0)], ids=repr)
def test_a_store_on_another_node_that_dies_loses_its_watches_and_a_new_one_has_it_all(fault: Fault) -> None:
    async def main() -> list[Update[int]]:
        desk = simulation.node("desk")
        store = Store.of(desk)
        await store.set("a", 1)
        told: list[Update[int]] = []
        with pytest.raises((ProviderLost, TunnelLost)):
            await follow(desk, told)
        await store.set("b", 2)
        async with Store.watch(desk, "", int) as updates:
            return [*told, await anext(updates), await anext(updates)]

    with Simulation(over_a_switch(), faults=[fault]) as simulation:
        told = simulation.run(main()) or []
    assert [(update.key, update.version) for update in told] == [("a", 1), ("a", 1), ("b", 2)]


async def follow(node: SimulatedNode, told: list[Update[int]]) -> None:
    async with Store.watch(node, "", int) as updates:
        async for update in updates:
            told.append(update)


def over_a_switch() -> Topology:
    topology = Topology("shelf")
    topology.switch("hub")
    topology.node("shelf", part(Store, storage="values"), switch="hub")
    topology.node("desk", switch="hub")
    return topology


def test_a_cut_line_and_a_switch_that_dies_lose_no_change() -> None:
    faults: list[Fault] = [Outage("desk", "hub", at=2.0, duration=3.0), Kill("hub", at=7.0, restart_after=1.0)]

    async def main() -> list[int]:
        desk = simulation.node("desk")
        await desk.subscribed(Watch)
        async with Store.watch(desk, "", int) as updates:
            for number in range(100):
                await simulation.node("shelf").request(Set("a", pack(number)))
                await asyncio.sleep(0.1)
            return [(await anext(updates)).version for _ in range(100)]

    with Simulation(over_a_switch(), faults=faults) as simulation:
        assert simulation.run(main()) == list(range(1, 101))


# Who is slow


def test_who_is_a_thousand_changes_behind_misses_none(world: World) -> None:
    async def main() -> None:
        async with solo() as node, Store.watch(node, "n", int) as updates:
            await asyncio.gather(*[Store.of(node).set("n", number) for number in range(1_000)])
            assert [(await anext(updates)).value for _ in range(1_000)] == list(range(1_000))

    world.run(main)


def test_who_keeps_up_misses_none_however_many_there_are_and_nothing_of_them_is_kept(world: World) -> None:
    async def main() -> None:
        async with shelf() as (node, store):
            asking = Store.of(node)
            async with Store.watch(node) as updates:
                for number in range(0, 2_400, 600):
                    # In one batch, so that the changes of one key wait together.
                    await asyncio.gather(*[asking.set(f"{number}", n) for n in range(599)], asking.delete(f"{number}"))
                    told = [(await anext(updates)).version for _ in range(600)]
                    assert told == list(range(number + 1, number + 601))
                [watch] = store.watches._open
                assert watch._told == {}

    world.run(main)


def test_who_is_further_behind_is_told_the_newest_of_each_key_and_holds_nobody_up(world: World) -> None:
    async def main() -> None:
        async with shelf() as (node, store):
            asking = Store.of(node)
            async with Store.watch(node, "", int) as updates:
                most = 0
                for number in range(0, 6_000, 100):
                    await asyncio.gather(*[asking.set(f"{n % 7}", n) for n in range(number, number + 100)])
                    most = max(most, waiting(store))
                assert most <= 1_100
                told = [await anext(updates)]
                while told[-1].version < 6_000:
                    told.append(await anext(updates))
        assert len(told) < 1_200
        for key in map(str, range(7)):
            versions = [update.version for update in told if update.key == key]
            assert versions == sorted(versions)
        assert {update.key: update.value for update in told} == {f"{n % 7}": n for n in range(5_993, 6_000)}

    world.run(main)


def test_large_values_that_wait_are_bounded_by_their_bytes(world: World) -> None:
    async def main() -> None:
        async with shelf() as (node, store), node.open(Watch()):
            for _ in range(150):
                await Store.of(node).set("a", bytes(60_000))
                assert waiting(store) <= 20

    world.run(main)


def test_keys_that_come_and_go_while_nobody_looks_leave_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BEHIND", 20 * watching.OVERHEAD)

    async def main() -> None:
        async with shelf() as (node, store):
            asking = Store.of(node)
            await asking.set("known", 1)
            async with Store.watch(node) as updates:
                assert (await anext(updates)).key == "known"
                for number in range(500):
                    await asking.set(f"fleeting {number}", number)
                    await asking.delete(f"fleeting {number}")
                    if number == 300:
                        await asking.delete("known")
                await asking.set("last", 1)
                assert waiting(store) <= 30
                told = [await anext(updates)]
                while told[-1].key != "last":
                    told.append(await anext(updates))
        assert Update("known", None, 604, "deleted", None) in told

    world.run(main)


def test_a_key_that_never_rests_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BEHIND", 10 * watching.OVERHEAD)

    async def main() -> None:
        async with shelf() as (node, _):
            asking = Store.of(node)
            seen: list[int] = []
            async with Store.watch(node) as updates:
                for number in range(1_500):
                    await asking.set("restless", number)
                    for other in range(5):
                        await asking.set(f"{number % 100}/{other}", number)
                    update = await anext(updates)
                    seen += [update.version] * (update.key == "restless")
        assert len(seen) > 2
        assert seen[-1] > 1_800

    world.run(main)


# How it ends


@pytest.mark.parametrize("reads", [True, False], ids=["reading", "behind"])
def test_a_watch_ends_with_its_store_and_does_not_hold_it_up(world: World, reads: bool) -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        async with shelf() as (node, store):
            watch = asyncio.ensure_future(count(node, 200 if reads else 1))
            await until(lambda: len(store.watches))
            await asyncio.gather(*[Store.of(node).set("a", number) for number in range(200)])
            await until(lambda: waiting(store) == 0 if reads else waiting(store) < 150)
            await turns(10)
            began = now()
        assert now() - began < quick()["drain_timeout"]
        with pytest.raises(WatchEnded, match="the store's node stops: watch again once it is back"):
            await watch

    world.run(main)


async def count(node: Node, pause_after: int) -> None:
    """Watch for ever; after so many updates only once the node stops."""
    number = 0
    async with Store.watch(node) as updates:
        async for _ in updates:
            number += 1
            if number == pause_after:
                await until(lambda: "stopped" in repr(node))


def test_watching_with_a_closed_peer_is_a_typed_error(world: World) -> None:
    async def main() -> None:
        async with Node("bare", **quick(route_grace=0.05)) as bare:
            with pytest.raises(NoRoute, match=r"store\.Watch"):
                async with Store.watch(bare):
                    pass
        async with solo() as node:
            async with Store.watch(node) as updates:
                pass
            with pytest.raises(StopAsyncIteration):
                await anext(updates)
            async with node.open(Watch()) as tunnel:
                pass
            with pytest.raises(TunnelClosed):
                await tunnel.receive()
        with pytest.raises(NodeStopped, match="node 'solo'"):
            async with Store.watch(node):
                pass

    world.run(main)


def test_a_watch_that_opens_while_the_node_stops_ends_at_once_and_a_second_stop_changes_nothing(world: World) -> None:
    async def main() -> None:
        async with shelf() as (node, store):
            watch = asyncio.ensure_future(count(node, 10))
            await until(lambda: len(store.watches))
            store.watches.end()
            await turns(1)
            store.watches.end()
            with pytest.raises(WatchEnded):
                await watch
            with pytest.raises(WatchEnded):
                await first_of(node)

    world.run(main)


async def fail_while_watching(node: Node, store: Store) -> None:
    async with Store.watch(node):
        await until(lambda: len(store.watches) == 1)
        raise ZeroDivisionError


def test_nothing_is_left_of_a_watcher_that_leaves(world: World) -> None:
    async def main() -> None:
        async with shelf() as (node, store):
            for _ in range(3):
                with pytest.raises(ZeroDivisionError):
                    await fail_while_watching(node, store)
                async with Store.watch(node):
                    pass
            await until(lambda: not len(store.watches))
            await Store.of(node).set("a", 1)

    world.run(main)


def test_a_store_serves_so_many_watches_and_no_more_and_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST", 2)

    async def main() -> None:
        async with solo() as node, Store.watch(node) as first, Store.watch(node):
            with pytest.raises(TooManyWatches, match="2 watches are open, and this store serves no more"):
                await first_of(node)
            await Store.of(node).set("a", 1)
            assert (await anext(first)).value == 1

    world.run(main)


def test_a_thousand_watches_leave_room_for_requests() -> None:
    assert Store.concurrency >= watching.MOST + Manager.concurrency


@pytest.mark.parametrize(
    ("prefix", "error", "words"),
    [
        ("x" * 513, BadArgument, r"Watch.prefix: 'x+\.\.\.' has 513 bytes in UTF-8: expected 1 to 512"),
        (5, BadEvent, "Watch.prefix: expected str, got int"),
    ],
)
def test_a_bad_prefix_is_refused(world: World, prefix: Any, error: type[Exception], words: str) -> None:
    async def main() -> None:
        async with solo() as node:
            with pytest.raises(error, match=words):
                async with node.open(Watch(prefix)) as tunnel:
                    await tunnel.receive()

    world.run(main)
