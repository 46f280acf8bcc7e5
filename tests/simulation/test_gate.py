"""The gate of a host's loop: pause, resume, stall, shut; and the end of the simulation."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from edri_sim.errors import SimulationQuiet
from edri_sim.simulation.engine import COLLECT_EVERY
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop

Log = list[tuple[float, object]]


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture
def note(kernel: Kernel, log: Log) -> Callable[[object], None]:
    return lambda what: log.append((kernel.now, what))


def test_a_paused_loop_holds_its_callbacks_in_the_order_in_which_they_were_due(
    kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None]
) -> None:
    other = kernel.loop("other")
    for due in (3, 1, 2):
        loop.call_at(due, note, f"web, due at {due}")
        other.call_at(due, note, f"other, due at {due}")
    loop.call_soon(note, "ready")
    loop.pause()
    loop.call_soon(note, "called while paused")
    assert loop.state == "paused"
    kernel.call_at(2.5, loop.resume)
    kernel.run()
    assert log == [
        (1, "other, due at 1"),
        (2, "other, due at 2"),
        (2.5, "ready"),
        (2.5, "called while paused"),
        (2.5, "web, due at 1"),
        (2.5, "web, due at 2"),
        (3, "web, due at 3"),
        (3, "other, due at 3"),
    ]
    assert loop.state == "open"


def test_a_loop_that_pauses_itself_runs_nothing_after_the_present_callback(
    kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None]
) -> None:
    loop.call_soon(lambda: (loop.pause(), loop.call_soon(note, "second"), note("first")))
    loop.call_soon(note, "ready before")
    kernel.call_at(4, loop.resume)
    kernel.run()
    assert log == [(0, "first"), (4, "ready before"), (4, "second")]


def test_a_deadlock_of_a_paused_host_says_that_it_is_paused(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        loop.pause()
        await asyncio.sleep(1)

    with pytest.raises(SimulationQuiet, match=r"'web/Task-1' \(host paused\)"):
        kernel.run(main(), loop)
    loop.resume()


def test_a_stall_blocks_the_host_for_its_time(
    kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None]
) -> None:
    def blocks() -> None:
        note("begins")
        loop.stall(2)
        assert loop.state == "stalled"

    loop.call_at(1, blocks)
    for due in (1.5, 3, 3.5):
        loop.call_at(due, note, due)
    kernel.run()
    assert log == [(1, "begins"), (3, 1.5), (3, 3), (3.5, 3.5)]


def test_stalls_add_up(kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None]) -> None:
    loop.stall(1)
    loop.stall(2)
    loop.call_soon(note, "after both")
    kernel.run()
    assert log == [(3, "after both")]


@pytest.mark.parametrize(("resumed", "runs"), [(2, 5), (7, 7)])
def test_a_stall_and_a_pause_overlap(
    kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None], resumed: float, runs: float
) -> None:
    loop.stall(5)
    loop.pause()
    loop.call_soon(note, "when both are over")
    kernel.call_at(resumed, loop.resume)
    kernel.run()
    assert log == [(runs, "when both are over")]


def test_pausing_twice_and_resuming_an_open_loop_do_no_harm(
    kernel: Kernel, loop: SimulationLoop, log: Log, note: Callable[[object], None]
) -> None:
    loop.resume()
    loop.call_soon(note, "held")
    loop.pause()
    loop.pause()
    loop.resume()
    loop.resume()
    kernel.run()
    assert log == [(0, "held")]


class Life:
    """A host with all that could run a clean-up: a task, a generator, an asynchronous generator, a timer."""

    def __init__(self, loop: SimulationLoop, log: Log) -> None:
        self.loop = loop
        self.log = log

    def cleaned(self, what: str) -> None:
        self.log.append((self.loop.time(), what))

    async def sleeps(self) -> None:
        try:
            await asyncio.sleep(1)
        finally:
            self.cleaned("sleeping task")

    async def waits(self) -> None:
        try:
            await self.loop.create_future()
        finally:
            self.cleaned("waiting task")

    async def generates(self) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            self.cleaned("asynchronous generator")

    async def iterates(self) -> None:
        async for _ in self.generates():
            await self.loop.create_future()

    async def live(self) -> None:
        self.loop.call_later(1, self.cleaned, "timer")
        async with asyncio.TaskGroup() as group:
            for part in (self.sleeps, self.waits, self.iterates):
                group.create_task(part())


def test_a_shut_loop_runs_nothing_and_collects_nothing_until_the_end(
    kernel: Kernel, loop: SimulationLoop, log: Log
) -> None:
    async def main() -> None:
        life = kernel.loop("doomed")
        life.create_task(Life(life, log).live())
        await asyncio.sleep(0.5)
        life.shut()
        life.shut()
        assert life.state == "shut"
        life.resume()
        life.call_soon(log.append, (0, "called after death"))
        life.call_later(0, log.append, (0, "timed after death")).cancel()
        life.call_later(0, log.append, (0, "timed after death"))
        for _ in range(2 * COLLECT_EVERY):
            await asyncio.sleep(0)
        gc.collect()

    kernel.run(main(), loop)
    assert log == []
    kernel.run()
    assert kernel.now == 0.5  # the dead host's timers moved nothing
    kernel.close()
    assert [what for _, what in log] == ["sleeping task", "waiting task", "asynchronous generator"]


def test_a_loop_that_shuts_itself_runs_nothing_after_the_present_callback(
    kernel: Kernel, loop: SimulationLoop, log: Log
) -> None:
    async def suicidal() -> None:
        try:
            loop.shut()
            log.append((kernel.now, "the callback ends"))
            await asyncio.sleep(0)
            log.append((kernel.now, "never"))
        finally:
            log.append((kernel.now, "closed"))

    loop.create_task(suicidal())
    kernel.run()
    assert log == [(0, "the callback ends")]
    kernel.close()
    assert log[1:] == [(0, "closed")]


def test_a_future_of_a_shut_loop_can_be_settled_and_nothing_comes_of_it(kernel: Kernel, loop: SimulationLoop) -> None:
    reached: list[str] = []
    future = loop.create_future()

    async def waits() -> None:
        await future
        reached.append("after the await")

    loop.create_task(waits())
    kernel.run()
    loop.shut()
    future.set_result(None)
    kernel.run()
    assert reached == []


def test_closing_goes_in_the_order_of_creation_over_all_hosts(kernel: Kernel, loop: SimulationLoop, log: Log) -> None:
    hosts = [loop, kernel.loop("b"), kernel.loop("c")]

    async def waits(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            assert asyncio.current_task() is not None
            log.append((kernel.now, name))

    for round_number in range(2):
        for host in hosts:
            host.create_task(waits(f"{host.name}{round_number}"))
    kernel.run()
    hosts[1].shut()
    kernel.close()
    assert [name for _, name in log] == ["web0", "b0", "c0", "web1", "b1", "c1"]


def test_a_clean_up_that_awaits_or_fails_does_not_stop_the_closing(
    kernel: Kernel, loop: SimulationLoop, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    async def awaits() -> None:
        try:
            await loop.create_future()
        finally:
            log.append((0, "before the await"))
            await asyncio.sleep(1)
            log.append((0, "never"))

    async def fails() -> None:
        try:
            await loop.create_future()
        finally:
            raise ValueError("clean-up")

    async def last() -> None:
        try:
            await loop.create_future()
        finally:
            loop.call_soon(log.append, (0, "never"))
            log.append((0, "last"))

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(last())

    tasks = [loop.create_task(part()) for part in (awaits, fails, grouped)]
    kernel.run()
    kernel.close()
    assert [what for _, what in log] == ["before the await", "last"]
    assert all(task.done() for task in tasks)
    assert capsys.readouterr() == ("", "")


def test_every_clean_up_of_a_coroutine_runs_though_an_inner_one_awaits(
    kernel: Kernel, loop: SimulationLoop, log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        try:
            try:
                await loop.create_future()
            finally:
                await asyncio.sleep(1)
        finally:
            print("outer clean-up", file=sys.stderr)
            log.append((0, "outer clean-up"))

    task = loop.create_task(main())
    kernel.run()
    kernel.close()
    assert task.done()
    assert log == [(0, "outer clean-up")]
    assert capfd.readouterr().err == ""


def test_what_a_callback_alone_holds_lives_until_the_tasks_are_closed(
    kernel: Kernel, loop: SimulationLoop, log: Log
) -> None:
    class Held:
        def __del__(self) -> None:
            log.append((0, "held by a callback"))

        def call(self) -> None: ...

    async def waits() -> None:
        try:
            await loop.create_future()
        finally:
            log.append((0, "task"))

    loop.create_task(waits())
    kernel.run()
    loop.call_soon(Held().call)
    loop.call_later(1, Held().call)
    loop.shut()
    kernel.close()
    assert [what for _, what in log] == ["task", "held by a callback", "held by a callback"]


def test_a_task_that_never_began_is_closed_without_a_warning(
    kernel: Kernel, loop: SimulationLoop, recwarn: pytest.WarningsRecorder
) -> None:
    async def never() -> None: ...

    loop.create_task(never())
    kernel.close()
    gc.collect()
    assert list(recwarn) == []
