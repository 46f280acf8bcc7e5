"""What one may ask of a store, and what it answers, on both loops, in memory and on disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from edri_sim import Manager, Node, Request, Simulation, Store, Topology, Worker, event, handles, part
from edri_sim.errors import CodecError
from edri_sim.service import Costs
from edri_sim.storing import (
    Counted,
    Delete,
    Entry,
    Get,
    Increment,
    Item,
    ListEntries,
    Page,
    Set,
    StoreClient,
    VersionConflict,
    pack,
    unpack,
)
from tests.links.cluster import Cluster
from tests.store.shelf import Config, solo
from tests.worlds import World, pool_of, quick


@pytest.fixture(params=["memory", "disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store keeps things: nowhere, or in a folder."""
    return "" if request.param == "memory" else str(tmp_path)


def test_what_is_set_is_got_with_its_version(world: World, folder: str) -> None:
    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            assert await store.get("limit") is None
            assert await store.item("limit") is None
            assert await store.set("limit", 25) == 1
            assert await store.set("limit", 26) == 2
            assert await store.get("limit") == 26
            assert await store.item("limit", int) == Item("limit", 26, 2, None)

    world.run(main)


def test_the_version_of_a_key_never_comes_again_not_even_when_it_was_deleted(world: World, folder: str) -> None:
    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            first = await store.set("a", 1)
            assert await store.delete("a")
            assert not await store.delete("a")
            again = await store.set("a", 1)
            assert again > first
            with pytest.raises(VersionConflict):
                await store.compare_and_set("a", 2, first)

    world.run(main)


def test_compare_and_set_takes_the_version_that_is_there_and_no_other(world: World, folder: str) -> None:
    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            version = await store.compare_and_set("a", "first", 0)
            with pytest.raises(VersionConflict, match="'a' has version 1, and version 0 was expected") as caught:
                await store.compare_and_set("a", "mine", 0)
            assert caught.value.version == version
            assert await store.compare_and_set("a", "second", version) == version + 1
            with pytest.raises(VersionConflict, match=r"'b' is absent \(version 0\), and version 7 was") as caught:
                await store.compare_and_set("b", "x", 7)
            assert caught.value.version == 0
            with pytest.raises(VersionConflict):
                await store.delete("a", version)
            assert await store.delete("a", version + 1)
            assert not await store.delete("a", 0)

    world.run(main)


def test_set_if_absent_and_increment(world: World, folder: str) -> None:
    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            assert await store.set_if_absent("lock", "me") == 1
            assert await store.set_if_absent("lock", "you") is None
            assert await store.get("lock") == "me"
            assert await store.increment("visits") == Counted(1, 2)
            assert await store.increment("visits", -5) == Counted(-4, 3)
            assert await store.set("visits", 2**62) == 4
            assert (await store.increment("visits")).value == 2**62 + 1

    world.run(main)


def test_update_loses_nothing_where_read_and_set_do(world: World, folder: str) -> None:
    async def careless(store: StoreClient) -> None:
        await store.set("careless", (await store.get("careless", int) or 0) + 1)

    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            await asyncio.gather(*[careless(store) for _ in range(20)])
            assert (await store.get("careless", int) or 0) < 20
            await asyncio.gather(*[store.update("careful", lambda n: (n or 0) + 1, int) for _ in range(20)])
            assert await store.get("careful", int) == 20

    world.run(main)


def test_entries_are_listed_by_prefix_in_order_page_by_page(world: World, folder: str) -> None:
    async def main() -> None:
        async with solo(data=folder) as node:
            store = Store.of(node)
            for number in [3, 1, 2, 5, 4]:
                await store.set(f"n/{number}", number)
            await store.set("m", 0)
            await store.set("o", 6)
            page = await node.request(ListEntries("n/", limit=2))
            assert page == Page([Entry("n/1", pack(1), 2), Entry("n/2", pack(2), 3)], 7, True)
            page = await node.request(ListEntries("n/", "n/4", limit=2))
            assert page == Page([Entry("n/5", pack(5), 4)], 7, False)
            assert await node.request(ListEntries("n/", "n/5")) == Page([], 7, False)
            assert await node.request(ListEntries("q")) == Page([], 7, False)
            assert [item.value async for item in store.items("n/", int)] == [1, 2, 3, 4, 5]
            assert [item.key async for item in store.items()] == ["m", *[f"n/{number}" for number in range(1, 6)], "o"]

    world.run(main)


def test_a_page_of_large_values_ends_early_so_that_it_fits_into_a_frame(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("shelf", Store), cluster.node("reader") as reader:
            store = Store.of(reader)
            for number in range(20):
                await store.set(f"{number:02}", bytes(60_000))
            page = await reader.request(ListEntries())
            assert (len(page.entries), page.more) == (5, True)
            assert [item.key async for item in store.items()] == [f"{number:02}" for number in range(20)]

    world.run(main)


@dataclass(frozen=True)
class Place:
    name: str
    at: tuple[float, float]


def test_values_are_of_any_type_that_travels(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            store = Store.of(node)
            config = Config(5, ("a", "b"))
            await store.set("config", config)
            assert await store.get("config", Config) == config
            assert await store.get("config") == {"limit": 5, "hosts": ["a", "b"]}
            await store.set("place", Place("home", (1.5, 2.0)))
            assert await store.get("place", Place) == Place("home", (1.5, 2.0))
            await store.set("many", [config], type=list[Config])
            assert await store.get("many", list[Config]) == [config]
            for value in (None, True, -7, 1.5, "text", b"bytes", [1, "a", None], {"a": {"b": [1]}}):
                await store.set("plain", value)
                assert await store.get("plain") == value
            with pytest.raises(CodecError, match=r"key 'place', version 2: Config: .*limit"):
                await store.get("place", Config)

    world.run(main)


@event(name="store_tests.Ask")
class Ask(Request[int]):
    pass


def test_managers_and_workers_ask_the_store_as_well(world: World, mode: str) -> None:
    async def main() -> None:
        async with solo(pool_of(Asker, mode), Front) as node:
            assert await node.request(Ask(), timeout=10) == 1
            assert await node.request(AskFront(), timeout=10) == 3

    world.run(main)


class Asker(Worker):
    @handles
    def ask(self, event: Ask) -> int:
        counted = self.blocking.request(Increment("asked"))
        entry = self.blocking.request(Get("asked"))
        assert entry is not None
        assert unpack(entry.value, int) == counted.value
        return counted.value


@event(name="store_tests.AskFront")
class AskFront(Request[int]):
    pass


class Front(Manager):
    @handles
    async def ask(self, event: AskFront) -> int:
        return (await Store.of(self).increment("asked", 2)).value


def test_what_is_on_disk_outlives_the_program_and_versions_go_on(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with solo(data=tmp_path) as node:
            store = Store.of(node)
            await store.set("kept", Config(1))
            await store.set("gone", 1)
            await store.delete("gone")
            assert await store.set("fleeting", 1, ttl=3600) == 4
        async with solo(data=tmp_path) as node:
            store = Store.of(node)
            assert await store.item("kept", Config) == Item("kept", Config(1), 1, None)
            assert await store.get("gone") is None
            fleeting = await store.item("fleeting")
            assert fleeting is not None
            assert fleeting.expires is not None
            assert await store.set("more", 1) == 5

    world.run(main)


def test_what_is_in_memory_ends_with_its_node(world: World) -> None:
    async def main() -> None:
        async with solo() as node:
            await Store.of(node).set("a", 1)
        async with solo() as node:
            assert await Store.of(node).get("a") is None

    world.run(main)


def slow_disk() -> Topology:
    """A store whose disk takes a second for each commit."""
    topology = Topology("slow")
    topology.node("shelf", part(Store, storage="values"), costs=Costs(commit=1.0))
    return topology


def test_many_writes_share_a_commit() -> None:
    async def main() -> float:
        node = simulation.node("shelf")
        await node.request(Set("first", pack(0)))
        begin = simulation.now
        await asyncio.gather(*[node.request(Set(f"{number}", pack(number))) for number in range(500)])
        return simulation.now - begin

    with Simulation(slow_disk()) as simulation:
        took = simulation.run(main())
        assert took is not None
        assert took <= 2.0


def test_a_node_that_stops_makes_the_writes_that_it_has_taken(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with solo(data=tmp_path) as node:
            writes = [asyncio.ensure_future(Store.of(node).set(f"{number}", number)) for number in range(50)]
            await asyncio.sleep(0)
        assert sorted(await asyncio.gather(*writes)) == list(range(1, 51))
        async with solo(data=tmp_path) as node:
            assert len((await node.request(ListEntries())).entries) == 50

    world.run(main)


def test_a_write_whose_requester_has_gone_before_its_turn_is_not_made() -> None:
    async def main() -> None:
        node = simulation.node("shelf")
        assert await node.request(Get("a")) is None, "it has started"
        first = asyncio.ensure_future(node.request(Set("a", pack(1))))
        await asyncio.sleep(0.5)
        second = asyncio.ensure_future(node.request(Delete("a")))
        await asyncio.sleep(0.1)
        second.cancel()
        await first
        await asyncio.sleep(3)
        assert await node.request(Get("a")) == Entry("a", pack(1), 1)

    with Simulation(slow_disk()) as simulation:
        simulation.run(main())


def test_a_client_shows_whom_it_asks() -> None:
    assert repr(Store.of(Node("solo", **quick()))) == "<StoreClient of <Node solo stopped>>"
