"""asyncio's own tools on a simulated host's loop, and what the loop does not offer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.tasks import SimulatedTask
from edri_sim.simulation.unsupported import REASONS


def test_queue_task_group_and_timeout(kernel: Kernel, loop: SimulationLoop) -> None:
    async def produces(queue: asyncio.Queue[int]) -> None:
        for number in range(5):
            await asyncio.sleep(1)
            await queue.put(number)

    async def main() -> list[tuple[float, int]]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
        got = []
        async with asyncio.TaskGroup() as group:
            group.create_task(produces(queue))
            for _ in range(5):
                got.append((kernel.now, await queue.get()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await queue.get()
        return got

    assert kernel.run(main(), loop) == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]
    assert kernel.now == 7


def test_locks_events_conditions_gather_shield_and_wait(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> list[object]:
        lock, event, condition = asyncio.Lock(), asyncio.Event(), asyncio.Condition()

        async def locked(name: str) -> tuple[str, float]:
            async with lock:
                await asyncio.sleep(1)
                return name, kernel.now

        async def notified() -> float:
            async with condition:
                await condition.wait()
            await event.wait()
            return kernel.now

        waiter = asyncio.create_task(notified())
        results: list[object] = list(await asyncio.gather(locked("a"), locked("b"), asyncio.shield(locked("c"))))
        async with condition:
            condition.notify_all()
        loop.call_later(1, event.set)
        done, pending = await asyncio.wait([waiter], timeout=10)
        return [*results, len(done), len(pending), waiter.result()]

    assert kernel.run(main(), loop) == [("a", 2), ("b", 3), ("c", 1), 1, 0, 4]


def test_functions_for_an_executor_run_in_their_turn_at_the_same_instant(kernel: Kernel, loop: SimulationLoop) -> None:
    def fails() -> None:
        raise LookupError("in the function")

    async def main() -> list[object]:
        order: list[object] = []
        future = loop.run_in_executor(None, partial(order.append, "function"))
        order.append("caller")
        await future
        order.append(await asyncio.to_thread(lambda: kernel.now))
        with pytest.raises(LookupError, match="in the function"):
            await loop.run_in_executor(None, fails)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            order.append(await loop.run_in_executor(pool, sum, (1, 2)))
            assert not pool._threads
        cancelled = loop.run_in_executor(None, pytest.fail, "a cancelled function ran")
        cancelled.cancel()
        await asyncio.sleep(1)
        return order

    assert kernel.run(main(), loop) == ["caller", "function", 0, 3]


def test_the_executor_hook_takes_the_functions(kernel: Kernel, loop: SimulationLoop) -> None:
    def on_a_core(work: Any) -> asyncio.Future[Any]:
        async def held() -> object:
            await asyncio.sleep(2)
            return work()

        return loop.create_task(held())

    loop.executor_hook = on_a_core

    async def main() -> tuple[object, float]:
        return await asyncio.to_thread(max, 3, 4), kernel.now

    assert kernel.run(main(), loop) == (4, 2)


def test_asynchronous_generators_and_their_shutdown(kernel: Kernel, loop: SimulationLoop) -> None:
    ended: list[int] = []

    async def generates(number: int) -> AsyncIterator[int]:
        try:
            yield number
        finally:
            await asyncio.sleep(1)
            ended.append(number)

    async def main() -> None:
        generators = [generates(number) for number in range(5)]
        for generator in generators:
            await anext(generator)
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

    kernel.run(main(), loop)
    assert ended == [0, 1, 2, 3, 4]


def test_names_contexts_and_factories_of_tasks(kernel: Kernel, loop: SimulationLoop) -> None:
    made: list[object] = []

    def factory(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__name__)
        return SimulatedTask(coro, loop=loop, **options)

    async def child() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    async def main() -> list[str]:
        names = [await asyncio.create_task(child()), await asyncio.create_task(child(), name="named")]
        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        names.append(await asyncio.create_task(child(), name="made"))
        return names

    assert kernel.run(main(), loop) == ["Task-2", "named", "made"]
    assert made == ["child"]


def test_eager_tasks_where_python_has_them(kernel: Kernel, loop: SimulationLoop) -> None:
    async def child(order: list[str]) -> None:
        order.append("child")
        await asyncio.sleep(1)
        order.append("child ends")

    async def main() -> list[str]:
        order: list[str] = []
        coro = child(order)
        try:
            task = SimulatedTask(coro, loop=loop, eager_start=True)
        except TypeError:
            coro.close()
            raise
        order.append("caller")
        await task
        return order

    if sys.version_info >= (3, 12):
        assert kernel.run(main(), loop) == ["child", "caller", "child ends"]
    else:
        with pytest.raises(TypeError, match="arguments"):
            kernel.run(main(), loop)


def test_names_resolve_to_themselves_only_on_a_network(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        await asyncio.open_connection("mail", 25)

    with pytest.raises(Exception, match="no network: make one first"):
        kernel.run(main(), loop)


@pytest.mark.parametrize("name", REASONS)
def test_what_is_not_offered_says_what_to_use_instead(loop: SimulationLoop, name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"loop\.{name}\(\) is not available in simulated time: \w+"):
        getattr(loop, name)()


def test_every_method_of_an_event_loop_is_offered_or_refused_with_a_reason() -> None:
    bare = {
        name
        for name, method in vars(asyncio.AbstractEventLoop).items()
        if callable(method) and getattr(SimulationLoop, name) is method and not name.startswith("__")
    }
    assert bare - {"_timer_handle_cancelled"} == set()


def test_debug_mode_can_be_set(kernel: Kernel, loop: SimulationLoop) -> None:
    assert loop.get_debug() is False
    loop.set_debug(True)
    assert loop.get_debug() is True

    async def main() -> float:
        await asyncio.sleep(1)
        return kernel.now

    assert kernel.run(main(), loop) == 1
    loop.set_debug(False)
    assert loop.get_debug() is False


def test_handles_can_be_cancelled_and_read_without_addresses(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[int] = []
    handle, timer = loop.call_soon(log.append, 1), loop.call_later(2, test_debug_mode_can_be_set)
    assert repr(handle) == "<Handle web: list.append>"
    assert repr(timer).startswith("<Timer web at 2 s: test_debug_mode_can_be_set (test_asyncio_on_the_loop.py:")
    assert timer.when() == 2
    for each in (handle, timer):
        assert not each.cancelled()
        each.cancel()
        assert each.cancelled()
    kernel.run()
    assert (log, kernel.now) == ([], 0)


def test_timers_at_one_instant_run_together_before_what_they_make_ready(kernel: Kernel, loop: SimulationLoop) -> None:
    order: list[str] = []
    loop.call_at(1, lambda: loop.call_soon(order.append, "made ready"))
    loop.call_at(1, order.append, "second timer")
    loop.call_at(0.5, loop.call_at, 1, order.append, "third timer")
    kernel.run()
    assert order == ["second timer", "third timer", "made ready"]
