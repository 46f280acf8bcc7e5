"""Users' own SimPy processes, resources and events beside asyncio code."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
import simpy

from edri_sim.errors import SimulationError, SimulationQuiet
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop

Process = Generator[simpy.Event, Any, Any]


def test_the_environment_is_simpys_own(kernel: Kernel) -> None:
    assert isinstance(kernel.env, simpy.Environment)


@pytest.mark.parametrize("call", ["run", "step"])
def test_the_environment_is_stepped_by_the_kernel_alone(kernel: Kernel, call: str) -> None:
    with pytest.raises(SimulationError, match=rf"env\.{call}\(\) is not available: the kernel steps"):
        getattr(kernel.env, call)()


def test_processes_and_tasks_share_the_clock(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[tuple[float, str]] = []

    def process() -> Process:
        for _ in range(3):
            yield kernel.env.timeout(2)
            log.append((kernel.env.now, "process"))

    async def main() -> None:
        for _ in range(2):
            await asyncio.sleep(3)
            log.append((kernel.now, "task"))

    kernel.env.process(process())
    kernel.run(main(), loop)
    assert log == [(2, "process"), (3, "task"), (4, "process"), (6, "process"), (6, "task")]


def test_ties_are_first_in_first_out_across_both(kernel: Kernel, loop: SimulationLoop) -> None:
    order: list[object] = []
    for number in range(4):
        if number % 2:
            loop.call_at(1, order.append, number)
        else:
            kernel.env.timeout(1, number).callbacks.append(lambda event: order.append(event.value))
    kernel.run()
    assert order == [0, 1, 2, 3]


def scenario(env: simpy.Environment, log: list[tuple[float, object]]) -> None:
    """Starts, interrupts, conditions, shared resources and priorities, all at the same instants."""

    def worker(name: int, cpu: simpy.PreemptiveResource) -> Process:
        yield env.timeout(name % 2)
        with cpu.request(priority=name % 3) as request:
            try:
                yield request
                log.append((env.now, f"{name} holds"))
                yield env.timeout(2)
                log.append((env.now, f"{name} done"))
            except simpy.Interrupt:
                log.append((env.now, f"{name} preempted"))

    def starts_others(cpu: simpy.PreemptiveResource) -> Process:
        yield env.timeout(1)
        log.append((env.now, "before"))
        children = [env.process(worker(10 + number, cpu)) for number in range(3)]
        children[0].interrupt("at once") if children[0].is_alive else None
        log.append((env.now, "after"))
        yield env.any_of(children) | env.timeout(5)
        log.append((env.now, "one ended"))

    def late() -> Process:
        event = env.event()
        env.schedule(event, priority=2)  # type: ignore[arg-type]  # lower than SimPy's own two
        event._ok, event._value = True, "low"
        event.callbacks.append(lambda event: log.append((env.now, event.value)))
        yield env.timeout(0)
        log.append((env.now, "normal"))

    cpu = simpy.PreemptiveResource(env, capacity=2)
    for name in range(5):
        env.process(worker(name, cpu))
    env.process(starts_others(cpu))
    env.process(late())


def test_the_order_of_events_is_simpys_to_the_letter(kernel: Kernel) -> None:
    expected: list[tuple[float, object]] = []
    env = simpy.Environment()
    scenario(env, expected)
    log: list[tuple[float, object]] = []
    scenario(kernel.env, log)
    with pytest.raises(simpy.Interrupt):
        env.run()
    with pytest.raises(simpy.Interrupt):
        kernel.run()
    env.run()
    kernel.run()
    assert len(log) > 10
    assert log == expected


def test_waiting_for_an_event_gives_its_value(kernel: Kernel, loop: SimulationLoop) -> None:
    def process() -> Process:
        yield kernel.env.timeout(3)
        return "result"

    async def main() -> list[object]:
        done = kernel.env.process(process())
        first = await kernel.wait(done)
        return [first, kernel.now, await kernel.wait(done), await kernel.wait(kernel.env.timeout(1, "late"))]

    assert kernel.run(main(), loop) == ["result", 3, "result", "late"]
    assert kernel.now == 4


def test_waiting_for_a_failed_event_raises_its_exception(kernel: Kernel, loop: SimulationLoop) -> None:
    error = ValueError("in the process")

    def process() -> Process:
        yield kernel.env.timeout(1)
        raise error

    async def main() -> None:
        await kernel.wait(kernel.env.process(process()))

    with pytest.raises(ValueError, match="in the process") as caught:
        kernel.run(main(), loop)
    assert caught.value is error
    assert kernel.failures == []


def test_a_process_that_fails_unwatched_fails_the_run(kernel: Kernel, loop: SimulationLoop) -> None:
    error = ValueError("unwatched")

    def process() -> Process:
        yield kernel.env.timeout(1)
        raise error

    kernel.env.process(process())
    with pytest.raises(ValueError, match="unwatched") as caught:
        kernel.run(asyncio.sleep(10), loop)
    assert caught.value is error
    assert kernel.now == 1


def test_resources_are_shared_with_tasks(kernel: Kernel, loop: SimulationLoop) -> None:
    cores = simpy.Resource(kernel.env, capacity=1)

    def process() -> Process:
        with cores.request() as request:
            yield request
            yield kernel.env.timeout(5)

    async def main() -> float:
        await asyncio.sleep(1)
        with cores.request() as request:
            await kernel.wait(request)
            return kernel.now

    kernel.env.process(process())
    assert kernel.run(main(), loop) == 5


def test_cancelling_takes_the_request_back(kernel: Kernel, loop: SimulationLoop) -> None:
    store = simpy.Store(kernel.env)

    async def main() -> object:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await kernel.wait(store.get())
        store.put("kept")
        return await kernel.wait(store.get())

    assert kernel.run(main(), loop) == "kept"


def test_a_process_can_settle_a_future_and_runs_on_no_loop(kernel: Kernel, loop: SimulationLoop) -> None:
    future = loop.create_future()

    def process() -> Process:
        yield kernel.env.timeout(2)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        future.set_result("from SimPy")

    async def main() -> object:
        return await future

    kernel.env.process(process())
    assert kernel.run(main(), loop) == "from SimPy"
    assert kernel.now == 2


def test_events_of_users_keep_a_run_alive(kernel: Kernel, loop: SimulationLoop) -> None:
    event = kernel.env.event()

    def process() -> Process:
        yield kernel.env.timeout(100)
        event.succeed("at last")

    async def main() -> object:
        return await kernel.wait(event)

    kernel.env.process(process())
    assert kernel.run(main(), loop) == "at last"


def test_an_event_that_nobody_triggers_is_quiet(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        await kernel.wait(kernel.env.event())

    with pytest.raises(SimulationQuiet, match=r"\.main$"):
        kernel.run(main(), loop)


def test_waiting_outside_a_task_of_the_simulation_is_refused(kernel: Kernel) -> None:
    async def elsewhere() -> None:
        await kernel.wait(kernel.env.event())

    with pytest.raises(SimulationError, match="works in this simulation's tasks only"):
        asyncio.run(elsewhere())
    with pytest.raises(SimulationError, match="works in this simulation's tasks only"):
        kernel.wait(kernel.env.event())
