"""sleep, self.blocking.request and self.blocking.notify: in every mode, on both loops."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Worker, handles, sleep
from tests.runtime.callers import Answering, AsyncCaller, Caller, Chain, Misuse, Recursive, Sleepy
from tests.runtime.cast import Ask, Gate
from tests.worlds import World, pool_of, until


@pytest.mark.parametrize("worker", [Caller, AsyncCaller])
def test_a_handler_sleeps_asks_and_tells(any_world: World, mode: str, worker: type[Worker]) -> None:
    answering = Answering()

    async def main() -> None:
        async with Node("solo", pool_of(worker, mode), lambda: answering) as node:
            answers = await node.request(Chain(), timeout=20)
            assert answers == ["answer to from the handler", "HandlerError"]
            await until(lambda: answering.heard == [7])

    any_world.run(main)


def test_a_handler_that_waits_suspends_itself_alone(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Sleepy, mode, concurrency=2), lambda: gate) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            assert await node.request(Chain(), timeout=20) == ["meanwhile"]
            gate.open()
            assert await asked == "x"

    world.run(main)


def test_blocking_requests_nest(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Recursive, mode, concurrency=8)) as node:
            assert await node.request(Chain(6), timeout=20) == ["bottom", *"123456"]

    world.run(main)


def test_a_managers_own_plain_handler_may_block(world: World) -> None:
    class Plain(Manager):
        @handles
        def chain(self, event: Chain) -> list[str]:
            sleep(0.001)
            return [self.blocking.request(Ask("from the handler"))]

    async def main() -> None:
        async with Node("solo", Plain, Answering) as node:
            assert await node.request(Chain(), timeout=20) == ["answer to from the handler"]

    world.run(main)


BLOCKING = {"sleep": "edri_sim.sleep", "request": "self.blocking.request", "notify": "self.blocking.notify"}


def test_in_async_code_a_blocking_call_says_what_to_use(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(AsyncCaller, mode)) as node:
            for call, name in BLOCKING.items():
                text = await node.request(Misuse(call), timeout=20)
                assert text == f"{name} is for plain def handlers; in async code await the coroutine of the same name"

    world.run(main)


def test_outside_a_handler_sleep_is_an_error(world: World) -> None:
    with pytest.raises(RuntimeError, match=r"edri_sim\.sleep is for plain def handlers"):
        sleep(1)

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"edri_sim\.sleep is for plain def handlers"):
            sleep(1)

    world.run(main)


def test_a_task_that_a_plain_handler_started_cannot_block(world: World) -> None:
    said: list[str] = []

    async def wrong() -> None:
        try:
            sleep(1)
        except RuntimeError as error:
            said.append(str(error))

    class Starter(Manager):
        @handles
        def ask(self, event: Ask) -> str:
            self.task = asyncio.get_running_loop().create_task(wrong())
            return "started"

    async def main() -> None:
        async with Node("solo", Starter) as node:
            await node.request(Ask(), timeout=20)
            await until(lambda: said)

    world.run(main)
    assert len(said) == 1


def test_sleeping_takes_simulated_time_and_no_wall_time(mode: str) -> None:
    class Long(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            sleep(3_600)
            return event.text

    async def main() -> float:
        async with Node("solo", pool_of(Long, mode, size=3)) as node:
            loop = asyncio.get_running_loop()
            start = loop.time()
            await asyncio.gather(*[node.request(Ask("x"), timeout=100_000) for _ in range(6)])
            return loop.time() - start

    assert World("simulated").run(main) == pytest.approx(7_200)


def test_many_waiting_handlers_cost_no_thread(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Sleepy, concurrency=300), lambda: gate) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(300)]
            await until(lambda: len(gate.waiting) == 300)
            gate.open()
            assert await asyncio.gather(*asked) == [str(n) for n in range(300)]

    world.run(main)
