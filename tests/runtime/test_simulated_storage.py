"""Simulated disks: what commits cost, and what a crash leaves of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edri_sim import Simulation
from edri_sim.errors import StorageError
from edri_sim.host import BACKGROUND
from edri_sim.service import Costs
from edri_sim.simulation.host import SimulatedHost
from tests.runtime.test_storage import CREATE, insert, numbers_in

COST = 0.01
Program = Callable[[SimulatedHost], Coroutine[Any, Any, Any]]


def machine(simulation: Simulation) -> SimulatedHost:
    return simulation.host("web", costs=Costs(commit=COST))


async def stored(host: SimulatedHost) -> list[int]:
    """What the host's disk holds, as its present life sees it."""

    async def look() -> list[int]:
        storage = host.storage("box")
        try:
            return await numbers_in(storage)
        finally:
            await storage.close()

    return await host.call(look)


async def begin(host: SimulatedHost) -> None:
    """Make the table, and leave the storage closed."""

    async def make() -> None:
        storage = host.storage("box")
        await storage.commit([CREATE])
        await storage.close()

    await host.call(make)


def test_commits_take_the_disk_one_after_the_other_and_reads_wait_for_them() -> None:
    async def main() -> None:
        storage = host.storage("box")
        await storage.commit([CREATE])
        ends: list[float] = []
        start = asyncio.get_running_loop().time()

        async def timed(call: Coroutine[Any, Any, Any]) -> None:
            await call
            ends.append(round((asyncio.get_running_loop().time() - start) / COST, 6))

        calls = [storage.commit([insert(1)]), storage.commit([insert(2)]), storage.read("SELECT 1"), storage.close()]
        await asyncio.gather(*[timed(call) for call in calls])
        assert ends == [1, 2, 2, 2]

    with Simulation() as simulation:
        host = machine(simulation)
        simulation.run(host.call(main))
        assert simulation.now == pytest.approx(3 * COST)


def outcome(seed: int) -> tuple[int, ...]:
    """What a crash leaves of two commits: the first has begun, the second waits behind it."""

    async def work() -> None:
        storage = host.storage("box")
        await storage.commit([insert(1)])
        await asyncio.gather(storage.commit([insert(2)]), storage.commit([insert(3)]))

    async def main() -> list[int]:
        await begin(host)
        host.loop.create_task(work())
        await asyncio.sleep(1.5 * COST)
        host.crash()
        await asyncio.sleep(1)
        host.restart()
        return await stored(host)

    with Simulation(seed=seed) as simulation:
        host = machine(simulation)
        return tuple(simulation.run(main()))


def test_a_crash_during_a_commit_goes_either_way_by_seed() -> None:
    outcomes = [outcome(seed) for seed in range(50)]
    assert set(outcomes) == {(1,), (1, 2)}
    assert 10 < outcomes.count((1, 2)) < 40
    assert [outcome(seed) for seed in range(10)] == outcomes[:10]


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_what_was_committed_outlives_every_end(end: str) -> None:
    async def main() -> None:
        await begin(host)
        for life in range(1, 4):

            async def add(number: int = life) -> None:
                await host.storage("box").commit([insert(number)])

            await host.call(add)
            getattr(host, end)()
            host.restart()
            assert await stored(host) == list(range(1, life + 1))

    with Simulation() as simulation:
        host = machine(simulation)
        simulation.run(main())


def test_a_paused_host_finds_its_commit_done_when_it_goes_on() -> None:
    async def main() -> None:
        await begin(host)
        commit = asyncio.ensure_future(host.call(lambda: host.storage("box").commit([insert(1)])))
        await asyncio.sleep(COST / 2)
        host.pause()
        await asyncio.sleep(1)
        assert not commit.done()
        host.resume()
        await commit

    with Simulation() as simulation:
        host = machine(simulation)
        simulation.run(main())


def test_the_handle_of_a_dead_life_stores_nothing() -> None:
    refused: list[str] = []

    async def work() -> None:
        storage = host.storage("box")
        try:
            await storage.commit([insert(1)])
            await asyncio.sleep(1_000)
        finally:
            for call in (storage.commit([insert(2)]), host.storage("box").commit([insert(3)])):
                try:
                    await call
                except StorageError as error:
                    refused.append(str(error))
            await storage.close()

    async def main() -> None:
        await begin(host)
        host.loop.create_task(work())
        await asyncio.sleep(1)
        old = host.storage("box")
        host.crash()
        for call in (old.commit([insert(4)]), old.read("SELECT 1")):
            with pytest.raises(
                StorageError, match=r"web/box.sqlite: the host went down, and this life of it stores no"
            ):
                await call
        host.restart()
        with pytest.raises(StorageError, match="the host went down"):
            await old.commit([insert(5)])
        await old.close()
        assert await stored(host) == [1]

    with Simulation() as simulation:
        host = machine(simulation)
        simulation.run(main())
        assert refused == []
    # The end of the simulation ran the dead life's clean-up.
    assert len(refused) == 1
    assert "the host went down" in refused[0]


def test_the_clean_up_at_the_end_of_a_simulation_stores_nothing() -> None:
    tried: list[str] = []

    async def work() -> None:
        storage = host.storage("box")
        try:
            await storage.commit([CREATE])
            await asyncio.sleep(1_000)
        finally:
            tried.append("commit")
            await storage.commit([insert(1)])
            tried.append("stored")

    with Simulation() as simulation:
        host = machine(simulation)
        host.loop.create_task(work())
        simulation.run(until=1)
        connection = host._disks["box"]._connection()
        rows: list[Any] = []
        connection.set_trace_callback(rows.append)
    assert tried == ["commit"]
    assert rows == []


def test_a_commit_in_flight_keeps_the_run_alive_whoever_asked() -> None:
    async def main() -> None:
        BACKGROUND.set(True)
        await host.storage("box").commit([CREATE])

    with Simulation() as simulation:
        host = machine(simulation)
        host.loop.create_task(main())
        simulation.run()
        assert simulation.now == pytest.approx(COST)
