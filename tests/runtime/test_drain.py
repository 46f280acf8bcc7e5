"""The end of a node: what is queued is finished, and nothing is left."""

from __future__ import annotations

import asyncio
import gc

import pytest

from edri_sim import Manager, Node, Pool, Simulation, Worker, handles, sleep
from edri_sim.errors import NodeStopped, RequestError
from tests.runtime.cast import Ask, Ear, Echo, Gate, Held, Locate, PlainHeld, Told
from tests.runtime.mortals import Die, Mortal
from tests.worlds import World, pool_of, quick, records, until


class Answering(Manager):
    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


class Steps(Manager):
    """Each number is handled slowly, and makes the next one, down to zero."""

    concurrency = 1

    def __init__(self) -> None:
        self.done: list[int] = []

    @handles
    async def told(self, event: Told) -> None:
        await asyncio.sleep(0.002)
        self.done.append(event.number)
        if event.number:
            await self.notify(Told(event.number - 1))


def test_leaving_the_block_finishes_what_is_queued_and_what_that_publishes(world: World) -> None:
    steps = Steps()

    async def main() -> None:
        async with Node("solo", lambda: steps) as node:
            for number in (3, 2):
                await node.notify(Told(number))

    world.run(main)
    assert sorted(steps.done) == [0, 0, 1, 1, 2, 2, 3]


def test_events_between_two_managers_are_finished(world: World) -> None:
    """One part's last event is the other's next."""
    done: list[str] = []

    class Ping(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            await asyncio.sleep(0.001)
            done.append(event.text)
            if len(event.text) < 6:
                await self.notify(Told(len(event.text)))
            return ""

    class Pong(Manager):
        @handles
        async def told(self, event: Told) -> None:
            await asyncio.sleep(0.001)
            await self.request(Ask("x" * (event.number + 1)), timeout=5)

    async def main() -> None:
        async with Node("solo", Pong, Ping) as node:
            await node.notify(Told(0))

    world.run(main)
    assert done == ["x" * length for length in range(1, 7)]


def test_requests_of_other_tasks_get_their_replies_while_the_node_drains(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(PlainHeld, mode), lambda: gate) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(3)]
            await until(lambda: gate.waiting)
            asyncio.get_running_loop().call_later(0.05, gate.open)
        assert await asyncio.gather(*asked) == ["0", "1", "2"]

    world.run(main)


def test_while_it_drains_and_after_the_node_takes_no_calls(world: World) -> None:
    gate = Gate()
    said: list[str] = []

    async def main() -> None:
        node = Node("solo", pool_of(Held), lambda: gate, Ear)

        async def late() -> None:
            await until(lambda: repr(node) == "<Node solo stopped>")
            for call in (lambda: node.request(Ask("late")), lambda: node.notify(Told(1))):
                try:
                    await call()
                except NodeStopped as error:
                    said.append(str(error))
            gate.open()

        with pytest.raises(NodeStopped, match=r"node 'solo' is not running: use it inside 'async with Node\(...\)'"):
            await node.request(Ask("early"))
        async with node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            trying = asyncio.ensure_future(late())
        assert await asked == "x"
        await trying
        with pytest.raises(NodeStopped):
            await node.notify(Told(1))

    world.run(main)
    assert said == ["node 'solo' is not running: use it inside 'async with Node(...)'"] * 2


@pytest.mark.parametrize("worker", [Held, PlainHeld])
def test_after_drain_timeout_the_rest_is_cancelled_and_the_requesters_told(
    world: World, mode: str, worker: type[Worker]
) -> None:
    gate = Gate()

    async def main() -> None:
        with records() as kept:
            async with Node("solo", pool_of(worker, mode), lambda: gate, **quick(drain_timeout=0.05)) as node:
                asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(3)]
                await until(lambda: gate.waiting)
            errors = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in errors] == [NodeStopped] * 3
        assert "node 'solo' stopped before the reply" in str(errors[0])
        assert "node solo did not drain in time" in [record.getMessage() for record in kept.at("WARNING")]

    world.run(main)


def test_notifications_that_the_stop_gives_up_are_logged(world: World) -> None:
    gate = Gate()

    class Waits(Worker):
        @handles
        async def told(self, event: Told) -> None:
            await gate.opened.wait()

    async def main() -> None:
        with records("edri_sim.router") as kept:
            async with Node("solo", pool_of(Waits), **quick(drain_timeout=0.05)) as node:
                for number in range(3):
                    await node.notify(Told(number))
        lines = [record.getMessage() for record in kept.at("WARNING")]
        assert lines == ["dead letter: Told at solo/Crew.pool: node 'solo' stopped"] * 3

    world.run(main)


def test_drain_timeout_zero_waits_for_nothing(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held), lambda: gate, drain_timeout=0) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
        with pytest.raises(NodeStopped):
            await asked

    world.run(main)


def test_an_exception_in_the_block_drains_too_and_comes_out(world: World) -> None:
    steps = Steps()

    async def main() -> None:
        async def program() -> None:
            async with Node("solo", lambda: steps) as node:
                await node.notify(Told(2))
                raise LookupError("mine")

        with pytest.raises(LookupError, match="mine"):
            await program()

    world.run(main)
    assert steps.done == [2, 1, 0]


def test_cancelling_the_block_drains_too(world: World) -> None:
    steps = Steps()

    async def main() -> None:
        published = asyncio.Event()

        async def program() -> None:
            async with Node("solo", lambda: steps) as node:
                await node.notify(Told(2))
                published.set()
                await asyncio.sleep(1_000)

        task = asyncio.ensure_future(program())
        await published.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.run(main)
    assert steps.done == [2, 1, 0]


def test_cancelling_the_drain_cuts_it_short_and_leaves_nothing(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async def program() -> None:
            async with Node("solo", pool_of(PlainHeld, mode), lambda: gate, **quick(drain_timeout=100)) as node:
                asked.append(asyncio.ensure_future(node.request(Ask("x"), timeout=200)))
                await until(lambda: gate.waiting)

        asked: list[asyncio.Future[str]] = []
        task = asyncio.ensure_future(program())
        await until(lambda: gate.waiting)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RequestError):
            await asked[0]

    world.run(main)


def test_cancelling_a_stop_that_hangs_stops_the_other_parts_all_the_same(world: World, mode: str) -> None:
    steps: list[str] = []

    class First(Manager):
        pool = Pool(Echo, mode=mode, size=2)

        async def stop(self) -> None:
            steps.append("first")

    class Hangs(Manager):
        async def stop(self) -> None:
            steps.append("hangs")
            await asyncio.sleep(1_000)

    async def main() -> None:
        async def program() -> None:
            async with Node("solo", First, Hangs):
                steps.append("runs")

        task = asyncio.ensure_future(program())
        await until(lambda: "hangs" in steps)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.run(main)
    assert steps == ["runs", "hangs", "first"]


def test_a_simulation_that_ends_before_a_node_has_stopped_is_closed_without_a_warning(mode: str) -> None:
    """Each coroutine of the stop is closed where it waits, and awaits nothing more: else Python complains of it."""

    async def main() -> None:
        async with Node("solo", pool_of(Echo, mode), pool_of(Held, mode), lambda: gate):
            await asyncio.sleep(1_000)

    gate = Gate()
    with Simulation() as simulation:
        simulation.run(main(), until=1)
    gc.collect()


def test_the_same_node_can_be_started_again_with_new_parts(world: World, mode: str) -> None:
    made: list[Ear] = []

    def ear() -> Ear:
        made.append(Ear())
        return made[-1]

    async def main() -> None:
        node = Node("solo", pool_of(Echo, mode), ear)
        for number in range(2):
            async with node:
                assert await node.request(Ask("x"), timeout=20) == "x"
                await node.notify(Told(number))

    world.run(main)
    assert [part.heard for part in made] == [[0], [1]]


def test_each_start_has_a_higher_incarnation(world: World) -> None:
    seen: list[int] = []

    async def main() -> None:
        node = Node("solo", Answering)
        for _ in range(3):
            async with node:
                assert node._router is not None
                seen.append(node._router.origin.incarnation)
            await asyncio.sleep(0.002)

    world.run(main)
    assert seen == sorted(set(seen))


def test_starting_twice_is_an_error(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Answering) as node:
            with pytest.raises(NodeStopped, match="node 'solo' runs already"):
                await node.start()
            assert await node.request(Ask("x")) == "x"

    world.run(main)


def test_stop_without_start_and_twice_is_fine(world: World) -> None:
    async def main() -> None:
        node = Node("solo", Answering)
        await node.stop()
        await node.start()
        await node.stop()
        await node.stop()

    world.run(main)


def test_stranded_requests_end_once_at_the_stop(world: World) -> None:
    async def main() -> None:
        node = Node("solo", Answering, route_grace=20)
        async with node:
            asked = asyncio.ensure_future(node.request(Locate(), timeout=10))
            await asyncio.sleep(0.001)
            router = node._router
        with pytest.raises(NodeStopped):
            await asked
        assert router is not None
        assert router.late == 0

    world.run(main)


def test_the_drain_does_not_hang_on_a_queued_request_that_expires_while_no_worker_is_there() -> None:
    """The worker has died, its replacement is far off, and what was queued for it runs out of time."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        settings = quick(restart_delay=60, restart_delay_max=60, drain_timeout=20)
        async with Node("solo", pool_of(Mortal, "process"), **settings) as node:
            with pytest.raises(RequestError):
                await node.request(Die("exit"), timeout=20)
            queued = asyncio.ensure_future(node.request(Ask("x"), timeout=0.3))
            await asyncio.sleep(0.01)
            start = loop.time()
        with pytest.raises(RequestError):
            await queued
        return loop.time() - start

    assert World("real").run(main) < 10


def test_a_plain_handler_that_swallows_its_end_does_not_hold_the_stop_up(world: World) -> None:
    class Deaf(Manager):
        @handles
        def ask(self, event: Ask) -> str:
            for _ in range(3):
                try:
                    sleep(1_000)
                except RequestError:
                    continue
            return "at last"

    async def main() -> None:
        async with Node("solo", Deaf, drain_timeout=0.05) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=2_000))
            await asyncio.sleep(0.01)
        with pytest.raises(NodeStopped):
            await asked

    world.run(main)
