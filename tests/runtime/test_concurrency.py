"""How many handlers run at once, in which order they start, and that they leave the loop to others."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Worker, handles, sleep
from edri_sim.managers import running_pool
from tests.runtime.cast import Ask, Gate, Held, PlainHeld, Told
from tests.worlds import World, pool_of, turns, until


class Busy(Manager):
    """Counts how many of its handlers run at once."""

    def __init__(self) -> None:
        self.now_running = 0
        self.most_running = 0
        self.order: list[str] = []

    @handles
    async def ask(self, event: Ask) -> str:
        self.now_running += 1
        self.most_running = max(self.most_running, self.now_running)
        self.order.append(event.text)
        await asyncio.sleep(0.002)
        self.now_running -= 1
        return event.text


def limited(concurrency: int) -> type[Busy]:
    return type("Limited", (Busy,), {"concurrency": concurrency})


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_handlers_run_at_once_than_the_limit_says(world: World, concurrency: int) -> None:
    busy = limited(concurrency)()

    async def main() -> None:
        async with Node("solo", lambda: busy) as node:
            await asyncio.gather(*[node.request(Ask(str(n)), timeout=10) for n in range(20)])

    world.run(main)
    assert busy.most_running == concurrency
    assert busy.order == [str(n) for n in range(20)], "handlers start in mailbox order"


def test_the_default_limit_is_a_thousand(world: World) -> None:
    waiting: list[str] = []

    class Default(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            waiting.append(event.text)
            await opened.wait()
            return event.text

    opened = asyncio.Event()

    async def main() -> None:
        async with Node("solo", Default) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(1_500)]
            await until(lambda: len(waiting) >= 1_000)
            await turns(50)
            assert len(waiting) == 1_000
            opened.set()
            await asyncio.gather(*asked)

    world.run(main)


@pytest.mark.parametrize("worker", [Held, PlainHeld])
def test_a_pool_runs_size_times_concurrency_handlers(world: World, mode: str, worker: type[Worker]) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(worker, mode, size=2, concurrency=3), lambda: gate) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(10)]
            await until(lambda: len(gate.waiting) == 6)
            await asyncio.sleep(0.02)
            assert len(gate.waiting) == 6
            gate.open()
            assert await asyncio.gather(*asked) == [str(n) for n in range(10)]

    world.run(main)


def test_plain_handlers_that_wait_run_side_by_side(world: World) -> None:
    """On a loop, in greenlets: ten that sleep 20 ms each take about as long as one."""
    running: list[int] = [0, 0]

    class Sleeper(Manager):
        @handles
        def ask(self, event: Ask) -> str:
            running[0] += 1
            running[1] = max(running)
            sleep(0.02)
            running[0] -= 1
            return event.text

    async def main() -> None:
        async with Node("solo", Sleeper) as node:
            await asyncio.gather(*[node.request(Ask(str(n)), timeout=10) for n in range(10)])

    world.run(main)
    assert running[1] == 10


async def most_in_a_row(length: int) -> int:
    """How many plain handlers start between two turns of another task."""
    started: list[int] = [0]
    longest = 0

    class Quick(Manager):
        @handles
        def told(self, event: Told) -> None:
            started[0] += 1

    async with Node("solo", Quick) as node:
        for number in range(length):
            await node.notify(Told(number))
        while started[0] < length:
            before = started[0]
            await turns(1)
            longest = max(longest, started[0] - before)
    return longest


def test_a_full_mailbox_leaves_the_loop_to_others_between_starts(world: World) -> None:
    assert world.run(lambda: most_in_a_row(500)) <= running_pool.STARTS_PER_TURN


def test_the_fairness_guard_fails_without_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_pool, "STARTS_PER_TURN", 10_000)
    assert World("simulated").run(lambda: most_in_a_row(500)) == 500
