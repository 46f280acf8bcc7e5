"""Running inside a running event loop, as in a notebook cell, and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from edri_sim.errors import SimulationError
from edri_sim.simulation.kernel import SLICE, Kernel
from edri_sim.simulation.loop import SimulationLoop


async def sleeps(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return asyncio.get_running_loop().time()


async def many_turns(turns: int) -> str:
    for _ in range(turns):
        await asyncio.sleep(1)
    return "done"


Surroundings = tuple[Any, ...]


def surroundings() -> Surroundings:
    """What a run swaps out and must put back."""
    return (
        asyncio._get_running_loop(),
        asyncio.current_task(),
        sys.get_asyncgen_hooks(),
        signal.getsignal(signal.SIGINT),
    )


def test_a_synchronous_call_works_in_a_running_loop(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> float:
        before = surroundings()
        result = kernel.run(sleeps(3600), loop)
        assert surroundings() == before
        await asyncio.sleep(0)  # the outer loop goes on
        return result

    assert asyncio.run(cell()) == 3600


def test_an_awaited_call_works_in_a_running_loop(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> float:
        before = surroundings()
        result = await kernel.run_async(sleeps(3600), loop)
        assert surroundings() == before
        return result

    assert asyncio.run(cell()) == 3600


def test_the_outer_loop_breathes_between_slices(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> list[float]:
        breaths: list[float] = []

        async def breathes() -> None:
            while True:
                assert asyncio.get_running_loop() is outer
                breaths.append(kernel.now)
                await asyncio.sleep(0)

        outer = asyncio.get_running_loop()
        task = asyncio.create_task(breathes())
        assert await kernel.run_async(many_turns(20_000), loop) == "done"
        task.cancel()
        return breaths

    breaths = asyncio.run(cell())
    assert len(breaths) > 5
    assert breaths == sorted(breaths)
    assert len(set(breaths)) > 5


def test_slices_end_though_single_callbacks_are_slow(kernel: Kernel, loop: SimulationLoop) -> None:
    async def slow() -> None:
        for _ in range(100):
            time.sleep(SLICE / 5)  # noqa: ASYNC251 -- a slow callback
            await asyncio.sleep(0)

    async def cell() -> int:
        breaths = 0

        async def breathes() -> None:
            nonlocal breaths
            while True:
                breaths += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(breathes())
        await kernel.run_async(slow(), loop)
        task.cancel()
        return breaths

    assert asyncio.run(cell()) >= 5


def test_both_calls_do_the_same(loop: SimulationLoop) -> None:
    async def noisy(log: list[object], kernel: Kernel) -> None:
        async def child(number: int) -> None:
            for turn in range(300):
                log.append((kernel.now_ns, number, turn))
                await asyncio.sleep(turn % 3)

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(child(number))

    logs: list[list[object]] = []
    for nested in (False, True):
        kernel, log = Kernel(), list[object]()
        main, host = noisy(log, kernel), kernel.loop("web")
        if nested:
            asyncio.run(kernel.run_async(main, host))
        else:
            kernel.run(main, host)
        logs.append([*log, kernel.engine.executed])
        kernel.close()
    assert logs[0] == logs[1]


def test_cancelling_the_outer_task_stops_the_run_which_can_go_on(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> None:
        async with asyncio.timeout(0.05):
            await kernel.run_async(many_turns(10**9), loop)

    with pytest.raises(TimeoutError):
        asyncio.run(cell())
    stopped_at = kernel.now
    assert stopped_at > 0
    kernel.run(until=stopped_at + 5)
    assert kernel.now == stopped_at + 5


def test_a_paced_awaited_run_lets_the_outer_loop_run(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> int:
        ticks = 0

        async def counts() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        task = asyncio.create_task(counts())
        begin = time.perf_counter()
        await kernel.run_async(sleeps(2), loop, pace=40)
        assert time.perf_counter() - begin >= 2 / 40
        task.cancel()
        return ticks

    assert asyncio.run(cell()) > 2


def test_the_outer_context_does_not_leak_in_or_out(kernel: Kernel, loop: SimulationLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")

    async def simulated() -> str:
        seen = variable.get()
        variable.set("simulated")
        return seen

    async def cell() -> tuple[str, str]:
        variable.set("outer")
        return await kernel.run_async(simulated(), loop), variable.get()

    assert asyncio.run(cell()) == ("nothing", "outer")


def test_generators_of_the_outer_loop_stay_its_own(kernel: Kernel, loop: SimulationLoop) -> None:
    ended: list[object] = []

    async def generates() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append(asyncio.get_running_loop())

    async def begins() -> None:
        generator = generates()
        await anext(generator)
        kept.append(generator)

    kept: list[AsyncIterator[int]] = []

    async def cell() -> asyncio.AbstractEventLoop:
        await begins()
        kernel.run(begins(), loop)
        kept.clear()
        kernel.run(sleeps(1), loop)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    outer = asyncio.run(cell())
    assert ended == [loop, outer]


def test_a_run_works_on_another_thread(kernel: Kernel, loop: SimulationLoop) -> None:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(kernel.run(sleeps(5), loop)))
    thread.start()
    thread.join()
    assert results == [5]


def test_a_future_of_another_loop_is_refused(kernel: Kernel, loop: SimulationLoop) -> None:
    mail = kernel.loop("mail")

    async def main() -> None:
        await mail.create_future()

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        kernel.run(main(), loop)


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


async def run_in_cell(kernel: Kernel, loop: SimulationLoop, main: Any) -> None:
    await kernel.run_async(main, loop)


RUNS: dict[str, Callable[..., None]] = {
    "sync": lambda kernel, loop, main: kernel.run(main, loop),
    "awaited": lambda kernel, loop, main: asyncio.run(run_in_cell(kernel, loop, main)),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_ctrl_c_ends_the_run_between_two_callbacks(
    kernel: Kernel, loop: SimulationLoop, run: Callable[..., None]
) -> None:
    seen: list[str] = []

    async def bystander() -> None:
        try:
            while True:  # noqa: ASYNC110 -- it is to be there when Ctrl-C comes
                await asyncio.sleep(0.5)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async def main() -> None:
        loop.create_task(bystander())
        await asyncio.sleep(10)
        try:
            signal.raise_signal(signal.SIGINT)
            seen.append("went on")
            while True:  # noqa: ASYNC110 -- it must not be what Ctrl-C ends
                await asyncio.sleep(1)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(kernel, loop, main())
    assert signal.getsignal(signal.SIGINT) is before
    assert seen == ["went on"]
    assert not kernel.running
    now = kernel.now
    kernel.run(until=now + 2)  # nothing was killed: the simulation can go on
    assert seen == ["went on"]


def test_ctrl_c_in_the_last_callback_is_not_lost(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        kernel.run(main(), loop)


def test_a_second_ctrl_c_breaks_into_a_callback_that_does_not_return(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one was not raised")

    with pytest.raises(KeyboardInterrupt):
        kernel.run(main(), loop)


def test_ctrl_c_ends_a_paced_sleep(kernel: Kernel, loop: SimulationLoop) -> None:
    timer = threading.Timer(0.1, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        kernel.run(sleeps(3600), loop, pace=1)
    timer.join()
    assert time.perf_counter() - begin < 3600


def test_where_ctrl_c_is_ignored_it_stays_ignored(kernel: Kernel, loop: SimulationLoop) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def main() -> str:
        signal.raise_signal(signal.SIGINT)
        return "ignored"

    try:
        assert kernel.run(main(), loop) == "ignored"
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_run_of_one_kernel_is_refused_while_the_first_breathes(kernel: Kernel, loop: SimulationLoop) -> None:
    async def cell() -> None:
        first = asyncio.create_task(kernel.run_async(many_turns(20_000), loop))
        await asyncio.sleep(0)
        with pytest.raises(SimulationError, match="runs already"):
            await kernel.run_async(sleeps(1), loop)
        assert await first == "done"

    asyncio.run(cell())


def test_two_kernels_take_turns_in_one_outer_loop(kernel: Kernel, loop: SimulationLoop) -> None:
    other = Kernel()

    async def cell() -> list[str]:
        runs: list[Awaitable[str]] = [
            kernel.run_async(many_turns(20_000), loop),
            other.run_async(many_turns(20_000), other.loop("web")),
        ]
        return await asyncio.gather(*runs)

    assert asyncio.run(cell()) == ["done", "done"]
    other.close()
