"""What heeds no cancellation does not hold a stopping node up: it is named, and left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edri_sim import Manager, Node, Simulation, Topology, Worker, handles
from edri_sim.errors import NodeStopped
from edri_sim.managers.stopping import ends_within
from edri_sim.service import Service
from tests.runtime.cast import Ask, Echo, Told
from tests.worlds import World, pool_of, quick, records, until

Wait = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


async def heed(release: asyncio.Event) -> None:
    await release.wait()


async def ignore(release: asyncio.Event) -> None:
    while not release.is_set():
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue


class Endless(Echo):
    """Its ``stop`` ends when the test says so, or not before it is cancelled."""

    def __init__(self, wait: Wait, steps: list[str], release: asyncio.Event) -> None:
        self.wait = wait
        self.steps = steps
        self.release = release

    async def stop(self) -> None:
        self.steps.append("stops")
        try:
            await self.wait(self.release)
        finally:
            self.steps.append("stopped")


class Quiet(Manager):
    def __init__(self, steps: list[str]) -> None:
        self.steps = steps

    async def stop(self) -> None:
        self.steps.append("the other")


async def time_to_stop(node: Node) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await node.stop()
    return loop.time() - start


@pytest.mark.parametrize(("wait", "at_the_end"), [(heed, ["stopped", "the other"]), (ignore, ["the other"])])
def test_a_stop_that_does_not_end_is_cancelled_after_kill_after_and_named(
    world: World, wait: Wait, at_the_end: list[str]
) -> None:
    steps: list[str] = []

    async def main() -> float:
        release = asyncio.Event()
        crew = pool_of(Endless, args=(wait, steps, release))
        node = Node("solo", lambda: Quiet(steps), crew, **quick())
        await node.start()
        assert await node.request(Ask("x"), timeout=10) == "x"
        seconds = await time_to_stop(node)
        assert steps == ["stops", *at_the_end]
        release.set()
        await until(lambda: "stopped" in steps)
        return seconds

    with records() as kept:
        seconds = world.run(main)
    assert 0.19 < seconds < 5
    assert [record.getMessage() for record in kept.at("WARNING")] == [
        "solo/Crew.pool: worker 0 has a stop() that did not end within 0.2 s, and was left behind"
    ]


def test_a_managers_stop_is_bounded_too(world: World) -> None:
    class Stuck(Manager):
        async def stop(self) -> None:
            await asyncio.sleep(1_000)

    async def main() -> float:
        node = Node("solo", Stuck, **quick())
        await node.start()
        return await time_to_stop(node)

    with records() as kept:
        assert 0.19 < world.run(main) < 5
    assert [record.getMessage() for record in kept.at("WARNING")] == [
        "solo/Stuck: worker 0 has a stop() that did not end within 0.2 s, and was left behind"
    ]


class Deaf(Worker):
    """Its handlers end when the test says so, and not before."""

    def __init__(self, steps: list[str], release: asyncio.Event) -> None:
        self.steps = steps
        self.release = release

    @handles
    async def ask(self, event: Ask) -> str:
        await ignore(self.release)
        self.steps.append("answers")
        return event.text

    @handles
    async def told(self, _: Told) -> None:
        await ignore(self.release)
        self.steps.append("has heard")

    async def stop(self) -> None:
        self.steps.append("stops")


def test_handlers_that_ignore_their_cancellation_are_left_behind_and_end_late_without_harm(world: World) -> None:
    steps: list[str] = []

    async def main() -> float:
        release = asyncio.Event()
        node = Node("solo", pool_of(Deaf, size=2, args=(steps, release)), **quick(drain_timeout=0.05))
        await node.start()
        asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
        await node.notify(Told(1))
        await asyncio.sleep(0.01)
        seconds = await time_to_stop(node)
        with pytest.raises(NodeStopped):
            await asked
        assert steps == ["stops", "stops"]
        release.set()
        await until(lambda: len(steps) == 4)
        return seconds

    with records() as kept:
        assert 0.19 < world.run(main) < 5
    assert sorted(steps[2:]) == ["answers", "has heard"]
    left = "has a handler that goes on 0.2 s after its cancellation, and was left behind"
    named = [record.getMessage() for record in kept.at("WARNING") if "left behind" in record.getMessage()]
    assert named == [f"solo/Crew.pool: worker {index} {left}" for index in (0, 1)]
    assert kept.at("ERROR") == []


def test_what_heeds_its_cancellation_is_not_named(world: World) -> None:
    async def main() -> None:
        release = asyncio.Event()

        class Heeds(Manager):
            @handles
            async def told(self, _: Told) -> None:
                await release.wait()

        async with Node("solo", Heeds, **quick(drain_timeout=0.02)) as node:
            await node.notify(Told(1))
            await asyncio.sleep(0.01)

    with records() as kept:
        world.run(main)
    assert [record for record in kept.list if "left behind" in record.getMessage()] == []


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_simulated_work_that_outlasts_its_node_never_runs_its_body(mode: str) -> None:
    ran: list[str] = []

    class Slow(Worker):
        @handles
        def told(self, _: Told) -> None:
            ran.append("told")

    async def main() -> float:
        node = Node("solo", pool_of(Slow, mode), **quick(drain_timeout=0.05))
        await node.start()
        await node.notify(Told(1))
        seconds = await time_to_stop(node)
        await asyncio.sleep(200)  # The core is free by then.
        return seconds

    with records() as kept, Simulation(Topology("slow"), service={Told: Service(cpu=100)}) as simulation:
        assert simulation.run(main()) == pytest.approx(0.25)
    assert ran == []
    assert "worker 0 has a handler that goes on 0.2 s" in "\n".join(map(str, [r.getMessage() for r in kept.list]))


def test_ends_within_tells_a_time_out_of_its_own_from_one_of_the_work(world: World) -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise TimeoutError("mine")

    async def at_once() -> None:
        return None

    async def main() -> None:
        with pytest.raises(TimeoutError, match="mine"):
            await ends_within(1, fails())
        assert await ends_within(0, at_once())
        assert await ends_within(None, asyncio.sleep(0.001))
        assert not await ends_within(0.001, asyncio.sleep(1_000))

    world.run(main)
