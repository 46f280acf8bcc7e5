"""Time that must not move, and time that must: cancelled timers, spins, background timers."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim.errors import SimulationQuiet, SimulationStalled
from edri_sim.host import BACKGROUND
from edri_sim.simulation.engine import COMPACT_ABOVE, SPIN, SPINS_OF_A_STALL
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop


def test_a_cancelled_timer_neither_moves_the_clock_nor_keeps_a_run_alive(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        async with asyncio.timeout(1000):
            await asyncio.sleep(1)
        kernel.env.timeout(2)

    kernel.run(main(), loop)
    kernel.run()
    assert kernel.now == 3
    kernel.run(until=5)
    assert kernel.now == 5


def test_the_clock_does_not_stop_at_a_cancelled_timer(kernel: Kernel, loop: SimulationLoop) -> None:
    loop.call_later(1, int).cancel()
    loop.call_later(5, int)
    assert kernel.step()
    assert kernel.now == 5


def test_the_heap_is_compacted_when_over_half_is_cancelled(kernel: Kernel, loop: SimulationLoop) -> None:
    timers = [loop.call_later(1000 + number, print) for number in range(200)]
    for timer in timers[:100]:
        timer.cancel()
    assert len(kernel.env._queue) == 200
    timers[100].cancel()
    assert len(kernel.env._queue) == 99
    for timer in timers:
        timer.cancel()
    kernel.run()
    assert kernel.now == 0
    assert len(kernel.env._queue) <= COMPACT_ABOVE


def test_cancelling_twice_or_after_it_fired_does_no_harm(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[str] = []
    fired = loop.call_later(1, log.append, "fired")
    never = loop.call_later(2, log.append, "never")
    never.cancel()
    never.cancel()
    kernel.run()
    fired.cancel()
    loop.call_later(1, log.append, "later")
    kernel.run()
    assert (log, kernel.now) == (["fired", "later"], 2)
    assert never.cancelled()


def test_a_timer_that_is_due_can_still_be_cancelled_by_one_due_with_it(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[str] = []
    loop.call_later(1, lambda: second.cancel())
    second = loop.call_later(1, log.append, "second")
    kernel.run()
    assert log == []


def test_a_poll_does_not_stop_time(kernel: Kernel, loop: SimulationLoop) -> None:
    ready: list[bool] = []

    async def main() -> None:
        loop.call_later(5, ready.append, True)
        while not ready:  # noqa: ASYNC110 -- that it polls is the point
            await asyncio.sleep(0)

    kernel.run(main(), loop)
    assert kernel.now == 5
    assert [(spin.time, spin.loop) for spin in kernel.spins] == [(0, "web")]
    assert "main" in kernel.spins[0].callback


def test_polls_of_several_tasks_are_one_spin_at_the_same_count(kernel: Kernel, loop: SimulationLoop) -> None:
    ready: list[int] = []

    async def polls() -> None:
        while not ready:  # noqa: ASYNC110 -- that it polls is the point
            await asyncio.sleep(0)

    async def main() -> None:
        loop.call_later(5, lambda: ready.append(kernel.engine.executed))
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(polls())

    kernel.run(main(), loop)
    assert SPIN <= ready[0] < SPIN + 100
    assert len(kernel.spins) == 1


def test_a_burst_of_many_tasks_at_one_instant_is_no_spin(kernel: Kernel, loop: SimulationLoop) -> None:
    moments: list[float] = []

    async def one() -> None:
        await asyncio.sleep(0)
        moments.append(kernel.now)

    async def main() -> None:
        loop.call_later(1, int)
        async with asyncio.TaskGroup() as group:
            for _ in range(2 * SPIN):
                group.create_task(one())

    kernel.run(main(), loop)
    assert set(moments) == {0.0}
    assert kernel.spins == []


def test_spins_between_which_time_moves_by_itself_are_no_stall(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        for _ in range(SPINS_OF_A_STALL + 10):
            for _ in range(SPIN + 10):
                await asyncio.sleep(0)
            await asyncio.sleep(1)

    kernel.run(main(), loop)
    assert len(kernel.spins) == SPINS_OF_A_STALL + 10


def test_a_clean_up_that_swallows_cancellation_is_stalled(kernel: Kernel, loop: SimulationLoop) -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        async with asyncio.timeout(1):
            await stubborn()

    with pytest.raises(SimulationStalled, match="host 'web'"):
        kernel.run(main(), loop)
    assert len(kernel.spins) == SPINS_OF_A_STALL


# Background -----------------------------------------------------------------------------------------------------------


async def beats(seen: list[float]) -> None:
    BACKGROUND.set(True)
    while True:
        await asyncio.sleep(1)
        seen.append(asyncio.get_running_loop().time())


def test_background_timers_do_not_hide_a_deadlock(kernel: Kernel, loop: SimulationLoop) -> None:
    seen: list[float] = []

    async def main() -> None:
        loop.create_task(beats(seen), name="beats")
        await asyncio.sleep(3.5)
        await loop.create_future()

    with pytest.raises(SimulationQuiet, match=r"t=3.5 s"):
        kernel.run(main(), loop)
    assert seen == [1, 2, 3]


def test_background_timers_go_on_as_long_as_anything_else_does(kernel: Kernel, loop: SimulationLoop) -> None:
    seen: list[float] = []
    loop.create_task(beats(seen))
    kernel.env.timeout(2.5)
    kernel.run()
    assert (seen, kernel.now) == ([1, 2], 2.5)
    kernel.run(until=5.5)
    assert (seen, kernel.now) == ([1, 2, 3, 4, 5], 5.5)


class Housekeeping:
    def __init__(self, seen: list[float]) -> None:
        self.busy = False
        self.seen = seen

    def idle(self) -> bool:
        return not self.busy

    def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        self.seen.append(loop.time())
        self.busy = False
        loop.call_later(1, self)


def test_a_timer_is_background_while_its_callback_is_idle(kernel: Kernel, loop: SimulationLoop) -> None:
    seen: list[float] = []
    timer = Housekeeping(seen)
    loop.call_later(1, timer)
    kernel.run()
    assert (seen, kernel.now) == ([], 0)
    timer.busy = True
    kernel.run()
    assert (seen, kernel.now) == ([1], 1)


def test_cancelled_background_timers_are_forgotten(kernel: Kernel, loop: SimulationLoop) -> None:
    busy = Housekeeping([])
    busy.busy = True
    timer = loop.call_later(1, busy)
    timer.cancel()
    kernel.run()
    assert kernel.now == 0
    loop.call_later(1, int)
    kernel.run()
    assert kernel.now == 1
