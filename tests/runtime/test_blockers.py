"""Code that blocks the thread that all simulated hosts share is named; what waits, or is quick, is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from edri_sim import Manager, Node, Simulation, Worker, handles, sleep
from edri_sim.simulation import engine, slots
from tests.runtime.cast import Ask
from tests.worlds import MODES, pool_of, records

Block = Callable[[float], None]


class Clock:
    """A wall clock that only moves when code blocks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def block(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (engine, slots):
        monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def plain(block: Block, seconds: float) -> type[Manager]:
    class Blocks(Manager):
        @handles
        def ask(self, event: Ask) -> str:
            block(seconds)
            return event.text

    return Blocks


def plain_after_a_wait(block: Block, seconds: float) -> type[Manager]:
    class Blocks(Manager):
        @handles
        def ask(self, event: Ask) -> str:
            sleep(1)
            block(seconds)
            return event.text

    return Blocks


def coroutine_without_a_wait(block: Block, seconds: float) -> type[Manager]:
    class Blocks(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            block(seconds)
            return event.text

    return Blocks


def coroutine_before_a_wait(block: Block, seconds: float) -> type[Manager]:
    class Blocks(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            block(seconds)
            await asyncio.sleep(1)
            return event.text

    return Blocks


def coroutine_after_a_wait(block: Block, seconds: float) -> type[Manager]:
    class Blocks(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            await asyncio.sleep(1)
            block(seconds)
            return event.text

    return Blocks


BODIES = [plain, plain_after_a_wait, coroutine_without_a_wait, coroutine_before_a_wait, coroutine_after_a_wait]


def ask(manager: type[Manager], count: int) -> dict[str, float]:
    async def main() -> None:
        async with Node("solo", manager) as node:
            await asyncio.gather(*[node.request(Ask(str(number)), timeout=100) for number in range(count)])

    with Simulation() as simulation:
        simulation.run(main())
        return simulation.kernel.blockers


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_blocks_is_named_once(clock: Clock, body: Callable[..., type[Manager]]) -> None:
    with records("edri_sim.simulation") as kept:
        blockers = ask(body(clock.block, 0.06), 3)
    assert blockers == {"solo/Blocks on Ask": pytest.approx(0.06)}
    (logged,) = kept.at("WARNING")
    assert logged.getMessage().startswith("solo/Blocks on Ask blocked the whole simulation for 0.06 s of wall time")


@pytest.mark.parametrize("body", BODIES)
def test_many_quick_bodies_at_one_instant_are_not_named(clock: Clock, body: Callable[..., type[Manager]]) -> None:
    assert ask(body(clock.block, 0.04), 20) == {}


@pytest.mark.parametrize("mode", MODES)
def test_a_pool_is_named_as_in_the_trace(clock: Clock, mode: str) -> None:
    class Blocking(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            clock.block(0.06)
            return event.text

    assert ask(pool_of(Blocking, mode), 1) == {"solo/Crew.pool on Ask": pytest.approx(0.06)}


def test_a_users_own_coroutine_is_named_too(clock: Clock) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        clock.block(1)

    with Simulation() as simulation:
        simulation.run(main())
        (name,) = simulation.kernel.blockers
    assert "test_a_users_own_coroutine_is_named_too.<locals>.main" in name


def test_the_wall_clock_decides() -> None:
    assert "solo/Blocks on Ask" in ask(plain(time.sleep, 0.06), 1)
