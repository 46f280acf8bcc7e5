"""Handlers that take longer than their pool, or their manager, gives them."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Simulation, Topology, Worker, handles
from edri_sim.errors import DeadlineExceeded, DeclarationError
from edri_sim.service import Service
from tests.runtime.breakers import Blocked, Break, Nap, Sleep, Sleeper
from tests.runtime.cast import Letters
from tests.worlds import World, pool_of, quick, records, until

REAL = World("real")


def test_a_handler_has_its_time_limit_and_no_more(world: World, mode: str) -> None:
    letters = Letters()

    async def main() -> None:
        crew = pool_of(Sleeper, mode, time_limit=0.1)
        async with Node("solo", lambda: letters, crew, **quick()) as node:
            with pytest.raises(DeadlineExceeded, match=r"its handler did not end within 0.1 s at solo/Crew.pool"):
                await node.request(Sleep(100), timeout=20)
            assert await node.request(Sleep(0.01), timeout=20) == "slept"
            await node.notify(Nap(100))
            await until(lambda: len(letters.list) == 2)
            assert await node.request(Break("well"), timeout=20) == "well"

    world.run(main)
    assert [(letter.type, letter.reason) for letter in letters.list] == [
        ("breakers.Sleep", "its handler did not end within 0.1 s"),
        ("breakers.Nap", "its handler did not end within 0.1 s"),
    ]


def hang_in_a_process(world: World, worker: type[Worker]) -> None:
    letters = Letters()

    async def main() -> None:
        crew = pool_of(worker, "process", time_limit=0.1)
        async with Node("solo", lambda: letters, crew, **quick(kill_after=0.1)) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Sleep(1_000, deaf=True), timeout=20)
            assert await node.request(Break("well"), timeout=20) == "well"

    with records() as kept:
        world.run(main)
    assert "was killed by SIGKILL" in kept.at("ERROR")[0].getMessage()
    assert len(letters.list) == 1


def test_a_process_that_heeds_no_cancellation_is_killed_and_replaced_and_its_event_not_repeated(world: World) -> None:
    hang_in_a_process(world, Sleeper)


def test_a_process_that_blocks_is_killed_too() -> None:
    hang_in_a_process(REAL, Blocked)


def test_a_modelled_process_is_killed_while_it_computes() -> None:
    async def main() -> float:
        async with Node("solo", pool_of(Sleeper, "process"), **quick(kill_after=2.0)) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Break("slow"), timeout=1)
            await asyncio.sleep(2.5)
            pool = (await node.health()).parts[0].pools[0]
            assert (pool.workers, pool.restarts, pool.running) == (1, 1, 0)
            return asyncio.get_running_loop().time()

    with Simulation(Topology("slow"), service={Break: Service(cpu=100)}) as simulation:
        assert simulation.run(main()) == pytest.approx(3.5)


def test_a_thread_that_goes_on_is_named_and_takes_nothing_else_meanwhile() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Blocked, "thread", time_limit=0.05), **quick(kill_after=0.05)) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Sleep(0.3), timeout=20)
            assert await node.request(Break("well"), timeout=20) == "well"

    with records() as kept:
        REAL.run(main)
    assert [record.getMessage() for record in kept.at("WARNING") if "goes on" in record.getMessage()] == [
        "solo/Crew.pool: worker 0 goes on with breakers.Sleep 0.05 s after its cancellation, and takes nothing else"
        " meanwhile"
    ]


def test_a_coroutine_that_heeds_no_cancellation_is_named_too(world: World) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Sleeper, size=2), **quick(kill_after=0.05)) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Sleep(0.4, deaf=True), timeout=0.05)
            assert await node.request(Break("well"), timeout=20) == "well"
            await until(named)

    with records() as kept:

        def named() -> bool:
            return any("goes on with breakers.Sleep" in record.getMessage() for record in kept.at("WARNING"))

        world.run(main)


def test_a_managers_handlers_have_a_time_limit_too(world: World) -> None:
    class Slow(Manager):
        time_limit = 0.05

        @handles
        async def sleep(self, event: Sleep) -> str:
            await asyncio.sleep(event.seconds)
            return "slept"

    async def main() -> None:
        async with Node("solo", Slow, **quick()) as node:
            with pytest.raises(DeadlineExceeded, match=r"did not end within 0.05 s at solo/Slow"):
                await node.request(Sleep(10), timeout=20)

    world.run(main)


def test_a_limit_that_is_not_met_costs_a_simulation_no_time() -> None:
    async def main() -> float:
        async with Node("solo", pool_of(Sleeper, time_limit=1_000)) as node:
            await node.request(Sleep(1), timeout=2_000)
        return asyncio.get_running_loop().time()

    with Simulation() as simulation:
        assert simulation.run(main()) == pytest.approx(1)


def test_a_managers_time_limit_is_checked() -> None:
    with pytest.raises(DeclarationError, match=r"Hasty\(time_limit=-1\): expected seconds above 0, or None"):
        type("Hasty", (Manager,), {"time_limit": -1})
