"""Functions for ``asyncio.to_thread`` and ``run_in_executor``: work of the simulated host's cores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from edri_sim import Simulation
from edri_sim.service import Service

Call = Callable[..., Coroutine[Any, Any, Any]]


async def in_executor(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def double(number: int) -> int:
    return 2 * number


class Methods:
    def double(self, number: int) -> int:
        return 2 * number


@dataclass
class Unhashable:
    factor: int

    def __call__(self, number: int) -> int:
        return self.factor * number


def run(main: Callable[[], Coroutine[Any, Any, Any]], service: dict[Any, Any], cores: int = 1) -> Any:
    """Run on a host of so many cores; a crash of it ends the test."""
    with Simulation(service=service) as simulation:
        host = simulation.host("box", cores=cores)

        async def outside() -> Any:
            return await host.call(main)

        return simulation.run(outside())


def ends(call: Call, service: dict[Any, Any], function: Callable[[int], int] = double, cores: int = 1) -> list[float]:
    """When each of three calls at once has its result, in seconds."""

    async def one(number: int) -> float:
        assert await call(function, number) == 2 * number
        return asyncio.get_running_loop().time()

    async def main() -> list[float]:
        return list(await asyncio.gather(*[one(number) for number in range(3)]))

    found: list[float] = run(main, service, cores)
    return found


@pytest.mark.parametrize("call", [asyncio.to_thread, in_executor])
@pytest.mark.parametrize(
    ("gil", "cores", "expected"), [(0.0, 1, [1, 2, 3]), (0.0, 2, [1, 1, 2]), (0.0, 3, [1, 1, 1]), (1.0, 3, [1, 2, 3])]
)
def test_a_function_with_a_service_holds_a_core_and_the_lock(
    call: Call, gil: float, cores: int, expected: list[float]
) -> None:
    assert ends(call, {double: Service(cpu=1, gil=gil)}, cores=cores) == pytest.approx(expected)


def test_the_wait_comes_after_the_cpu_and_holds_nothing() -> None:
    assert ends(asyncio.to_thread, {double: Service(cpu=1, wait=5)}) == pytest.approx([6, 7, 8])
    assert ends(asyncio.to_thread, {double: Service(wait=5)}) == pytest.approx([5, 5, 5])


def test_a_method_is_known_by_its_function() -> None:
    assert ends(asyncio.to_thread, {Methods.double: 1}, Methods().double) == pytest.approx([1, 2, 3])


@pytest.mark.parametrize("function", [double, Unhashable(2)])
def test_a_function_without_a_service_takes_no_time(function: Callable[[int], int]) -> None:
    assert ends(asyncio.to_thread, {Methods.double: 1}, function) == [0, 0, 0]


def test_a_skipped_function_does_not_run_and_its_result_is_given() -> None:
    def touches_the_world(_: int) -> int:
        raise AssertionError("it ran")

    service = {touches_the_world: Service(cpu=1, body="skip", result=double)}
    assert ends(asyncio.to_thread, service, touches_the_world) == pytest.approx([1, 2, 3])


def test_who_gives_up_frees_no_core_and_a_function_that_has_not_begun_never_runs() -> None:
    ran: list[int] = []

    def note(number: int) -> None:
        ran.append(number)

    async def main() -> float:
        given_up = asyncio.ensure_future(asyncio.to_thread(note, 1))
        other = asyncio.ensure_future(asyncio.to_thread(note, 2))
        await asyncio.sleep(0.5)
        given_up.cancel()
        await other
        return asyncio.get_running_loop().time()

    assert run(main, {note: 1}) == pytest.approx(2)
    assert ran == [2]


def test_a_crash_before_the_end_means_that_the_function_never_ran() -> None:
    ran: list[int] = []

    def note() -> None:
        ran.append(1)

    with Simulation(service={note: Service(cpu=1, wait=1)}) as simulation:
        host = simulation.host("box")
        host.boot(lambda: asyncio.to_thread(note))

        async def main() -> None:
            await asyncio.sleep(1.5)
            host.crash()
            await asyncio.sleep(0.2)
            host.restart()
            assert ran == []
            await asyncio.sleep(1.9)
            assert ran == []
            await asyncio.sleep(0.2)

        simulation.run(main())
    assert ran == [1]
