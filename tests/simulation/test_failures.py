"""Exceptions that nobody takes fail the run."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from edri_sim.simulation.engine import COLLECT_EVERY
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop


async def breaks(error: Exception, after: float = 0.0) -> None:
    await asyncio.sleep(after)
    raise error


def test_a_forgotten_task_fails_the_run_with_the_original_exception(kernel: Kernel, loop: SimulationLoop) -> None:
    error = ValueError("forgotten")

    async def main() -> str:
        loop.create_task(breaks(error))
        await asyncio.sleep(1)
        return "the result must not hide it"

    with pytest.raises(ValueError, match="forgotten") as caught:
        kernel.run(main(), loop)
    assert caught.value is error
    assert kernel.failures == [error]


def test_a_forgotten_task_stops_a_long_run_soon(kernel: Kernel, loop: SimulationLoop) -> None:
    turns = 0

    async def main() -> None:
        nonlocal turns
        loop.create_task(breaks(ValueError("forgotten")))
        for _ in range(100 * COLLECT_EVERY):
            turns += 1
            await asyncio.sleep(1)

    with pytest.raises(ValueError, match="forgotten"):
        kernel.run(main(), loop)
    assert turns <= COLLECT_EVERY


def test_a_forgotten_task_in_a_cycle_is_noticed_too(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        cycle: list[Any] = [loop.create_task(breaks(ValueError("in a cycle")))]
        cycle.append(cycle)
        del cycle
        await asyncio.sleep(1)

    with pytest.raises(ValueError, match="in a cycle"):
        kernel.run(main(), loop)


def test_a_forgotten_task_is_noticed_when_all_else_is_quiet(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        loop.create_task(breaks(ValueError("the cause")))
        await loop.create_future()

    with pytest.raises(ValueError, match="the cause"):
        kernel.run(main(), loop)


def test_a_task_that_is_held_and_awaited_later_is_not_forgotten(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> str:
        task = loop.create_task(breaks(ValueError("awaited")))
        for _ in range(2 * COLLECT_EVERY):
            await asyncio.sleep(1)
        try:
            await task
        except ValueError as error:
            return str(error)
        return ""

    assert kernel.run(main(), loop) == "awaited"
    assert kernel.failures == []


def test_the_exception_of_a_callback_fails_the_run_before_the_next_one(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[str] = []

    def fails() -> None:
        raise LookupError("in a callback")

    loop.call_soon(fails)
    loop.call_soon(log.append, "next")
    with pytest.raises(LookupError, match="in a callback"):
        kernel.run()
    assert log == []
    kernel.run()
    assert log == ["next"]


def test_two_failures_are_raised_one_by_one(kernel: Kernel, loop: SimulationLoop) -> None:
    first, second = ValueError("first"), ValueError("second")

    async def main() -> None:
        tasks = [loop.create_task(breaks(error)) for error in (first, second)]
        del tasks
        await asyncio.sleep(1)

    with pytest.raises(ValueError, match="first"):
        kernel.run(main(), loop)
    with pytest.raises(ValueError, match="second"):
        kernel.run()
    kernel.run()
    assert kernel.failures == [first, second]


def test_an_exception_handler_of_the_loop_takes_it(kernel: Kernel, loop: SimulationLoop) -> None:
    taken: list[Any] = []
    loop.set_exception_handler(lambda loop, context: taken.append(context["exception"]))
    assert loop.get_exception_handler() is not None
    error = ValueError("taken")

    async def main() -> None:
        loop.create_task(breaks(error))
        await asyncio.sleep(1)

    kernel.run(main(), loop)
    assert taken == [error]
    assert kernel.failures == []


def test_an_exception_handler_that_fails_fails_the_run(kernel: Kernel, loop: SimulationLoop) -> None:
    def fails(loop: object, context: object) -> None:
        raise LookupError("the handler")

    loop.set_exception_handler(fails)
    loop.call_soon(int, "not a number")
    with pytest.raises(LookupError, match="the handler"):
        kernel.run()


def test_a_report_without_exception_is_logged(loop: SimulationLoop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="edri_sim.simulation"):
        loop.call_exception_handler({"message": "something odd"})
    assert "host 'web': something odd" in caplog.text


def test_system_exit_and_keyboard_interrupt_of_a_callback_leave_the_run(kernel: Kernel, loop: SimulationLoop) -> None:
    for error in (SystemExit, KeyboardInterrupt):

        def leaves(error: type[BaseException] = error) -> None:
            raise error

        loop.call_soon(leaves)
        with pytest.raises(error):
            kernel.run()
        assert not kernel.running
