"""A write is made once, however often its event is delivered; and nothing is read before it is committed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edri_sim import Simulation, Store, Topology, part
from edri_sim.errors import StorageError, request_error
from edri_sim.faults import Fault, Kill, OneWay
from edri_sim.service import Costs
from edri_sim.storing import (
    Counted,
    Get,
    Increment,
    Item,
    OutcomeUnknown,
    Set,
    StoreUnavailable,
    VersionConflict,
    outcomes,
    pack,
    writer,
)
from edri_sim.storing import store as store_module
from edri_sim.storing.journal import Change, Stored
from edri_sim.storing.outcomes import Outcome, Outcomes, decode, encode
from tests.store.planted import planted
from tests.store.shelf import solo
from tests.worlds import World, records, until


def shelf_and_client(commit: float = 0.0) -> Topology:
    topology = Topology("shelf")
    topology.switch("hub")
    topology.node("shelf", part(Store, storage="values"), switch="hub", costs=Costs(commit=commit))
    topology.node("client", switch="hub")
    return topology


# The answer does not get through, and then the store dies: the request is sent to its next life.
ANSWER_LOST: list[Fault] = [OneWay("shelf", "hub", at=1.0, duration=1.0), Kill("shelf", at=1.5, restart_after=0.5)]


async def counted_twice(simulation: Simulation) -> list[Counted]:
    client = simulation.node("client")
    await client.subscribed(Increment)
    await asyncio.sleep(1.1 - simulation.now)
    first = await client.request(Increment("n"))
    return [first, await client.request(Increment("n"))]


def test_a_write_that_a_dead_life_has_made_is_not_made_again_by_the_next() -> None:
    with Simulation(shelf_and_client(), faults=ANSWER_LOST) as simulation:
        assert simulation.run(counted_twice(simulation)) == [Counted(1, 1), Counted(2, 2)]
        assert simulation.now > 2.0


def test_without_the_memory_of_writes_it_would_be() -> None:
    with planted("makes a repeated write again"), Simulation(shelf_and_client(), faults=ANSWER_LOST) as simulation:
        assert simulation.run(counted_twice(simulation)) == [Counted(2, 2), Counted(3, 3)]


async def read_meanwhile(simulation: Simulation) -> object:
    client = simulation.node("client")
    await client.subscribed(Get)
    write = asyncio.ensure_future(client.request(Set("a", pack(1))))
    await asyncio.sleep(0.5)
    read = await client.request(Get("a"))
    assert not write.done()
    assert await write == 1
    assert await client.request(Get("a")) is not None
    return read


def test_a_read_sees_nothing_that_is_not_committed_and_does_not_wait() -> None:
    with Simulation(shelf_and_client(commit=1.0)) as simulation:
        assert simulation.run(read_meanwhile(simulation)) is None


def test_a_store_that_shows_more_would_be_noticed() -> None:
    with planted("shows what is not committed"), Simulation(shelf_and_client(commit=1.0)) as simulation:
        assert simulation.run(read_meanwhile(simulation)) is not None


# Outcomes, alone


def test_the_latest_outcomes_are_remembered_and_of_others_that_they_were() -> None:
    known = Outcomes(most=3)
    for number in range(1, 6):
        event_id = f"a/1f/{number}"
        overdue = known.overdue(1)
        known.merge({event_id: encode(Outcome(bytes([number])))}, overdue)
    assert known.find("a/1f/5", True) == Outcome(b"\x05")
    assert known.find("a/1f/3", False) == Outcome(b"\x03")
    for forgotten in ("a/1f/2", "a/1f/1", "a/1e/99"):
        with pytest.raises(OutcomeUnknown, match=f"the write {forgotten} was repeated after 3 others"):
            known.find(forgotten, True)
    assert known.find("a/1f/9", True) is None, "later than any that was forgotten"
    assert known.find("a/20/1", True) is None, "of a later life"
    assert known.find("b/1f/1", True) is None, "of a node of which nothing was forgotten"
    assert known.find("a/1f/2", False) is None, "no repeat"


def test_a_refusal_is_remembered_as_it_was() -> None:
    error = VersionConflict("no", version=7)
    outcome = decode(encode(Outcome(b"", (error.code, str(error), error.details()))))
    assert outcome.refusal is not None
    again = request_error(*outcome.refusal)
    assert isinstance(again, VersionConflict)
    assert (again.version, str(again)) == (7, "no")


def test_outcomes_are_bounded_on_disk_as_well(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes.Outcomes.__init__, "__defaults__", (10,))

    async def main() -> None:
        async with solo(data=tmp_path) as node:
            for number in range(25):
                await Store.of(node).set("a", number)
            host = node._host
        async with solo(data=tmp_path) as node:
            await Store.of(node).set("a", 25)
        assert host is not None
        storage = host.storage("values")
        rows = await storage.read("SELECT event FROM outcome ORDER BY number")
        ((whose, incarnation, number),) = await storage.read("SELECT * FROM forgotten")
        await storage.close()
        ids = [event_id.split("/") for (event_id,) in rows]
        assert len(ids) == 10
        assert len({incarnation for _, incarnation, _ in ids}) == 2
        assert whose == "solo"
        assert (incarnation, number) < (int(ids[0][1], 16), int(ids[0][2]))

    world.run(main)


# Disks that refuse


class Balking(Stored):
    """A disk that refuses to write while it is told to."""

    refuses = False

    async def commit(self, change: Change) -> None:
        if Balking.refuses:
            raise StorageError("storage values.sqlite: the disk is full: make room")
        await super().commit(change)


def test_a_disk_that_refuses_is_told_changes_nothing_and_may_recover(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "Stored", Balking)
    monkeypatch.setattr(writer, "RETRY", 10_000)

    async def main() -> None:
        async with solo(data=tmp_path) as node:
            store = Store.of(node)
            await store.set("a", 1)
            await store.set("fleeting", 1, ttl=0.05)
            with records() as kept:
                monkeypatch.setattr(Balking, "refuses", True)
                with pytest.raises(StoreUnavailable, match=r"the store cannot write: .*the disk is full: make room"):
                    await store.set("a", 2)
                assert await store.item("a") == Item("a", 1, 1, None)
                await until(lambda: len(kept.at("ERROR")) >= 3, "the timer to try to remove what has expired")
                with pytest.raises(StoreUnavailable):
                    await store.get("fleeting")
            monkeypatch.setattr(Balking, "refuses", False)
            assert await store.get("fleeting") is None
            assert await store.set("a", 3) > 2

    world.run(main)


def test_a_storage_that_another_store_has_open_is_named_at_the_start(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with solo(data=tmp_path):
            with pytest.raises(StorageError, match=r"values.sqlite: this process has it open: stop that first"):
                async with solo(data=tmp_path):
                    pass
        async with solo(data=tmp_path) as node:
            await Store.of(node).set("a", 1)

    world.run(main)
