"""Running: until, quiet, stepping, pacing, and what must be refused."""

from __future__ import annotations

import asyncio
import contextvars
import re
import time
from itertools import pairwise

import pytest

from edri_sim import Manager, Simulation, Topology, Tunnel, TunnelEnd, event, handles
from edri_sim.errors import SimulationError, SimulationQuiet, SimulationStalled
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.simulate import SimulatedNode


@event(name="kernel.Haul")
class Haul(Tunnel[None, int]):
    pass


class Silent(Manager):
    @handles
    async def haul(self, event: Haul, tunnel: TunnelEnd[int, None]) -> None:
        await asyncio.get_running_loop().create_future()


async def ticks(seen: list[float], period: float = 1.0) -> None:
    while True:
        seen.append(asyncio.get_running_loop().time())
        await asyncio.sleep(period)


def test_an_hour_passes_in_an_instant_and_the_result_comes_back(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> str:
        await asyncio.sleep(3600)
        return "done"

    assert kernel.run(main(), loop) == "done"
    assert kernel.now == 3600.0
    assert kernel.now_ns == 3600 * 10**9


def test_nanoseconds_hide_the_drift_of_floats(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0.1)

    kernel.run(main(), loop)
    assert kernel.now != 100.0  # a thousand rounded sums
    assert kernel.now_ns == 100 * 10**9


def test_what_main_raises_is_raised_as_itself(kernel: Kernel, loop: SimulationLoop) -> None:
    error = ValueError("mine")

    async def main() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        kernel.run(main(), loop)
    assert caught.value is error
    assert kernel.failures == []


def test_until_stops_before_what_is_due_then_and_the_next_call_goes_on(kernel: Kernel, loop: SimulationLoop) -> None:
    seen: list[float] = []
    assert kernel.run(ticks(seen), loop, until=3) is None
    assert (seen, kernel.now) == ([0, 1, 2], 3)
    kernel.run(until=4.5)
    assert (seen, kernel.now) == ([0, 1, 2, 3, 4], 4.5)
    kernel.run(until=4.5)
    assert (seen, kernel.now) == ([0, 1, 2, 3, 4], 4.5)


def test_until_is_reached_exactly_when_nothing_happens(kernel: Kernel, loop: SimulationLoop) -> None:
    async def waits_for_ever() -> None:
        await loop.create_future()

    kernel.run(until=2)
    assert kernel.now == 2
    assert kernel.run(waits_for_ever(), loop, until=7) is None
    assert kernel.now == 7


def test_main_that_ends_before_until_ends_the_run(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> int:
        await asyncio.sleep(1)
        return 5

    assert kernel.run(main(), loop, until=10) == 5
    assert kernel.now == 1


def test_without_main_the_run_ends_when_all_is_quiet(kernel: Kernel, loop: SimulationLoop) -> None:
    async def short() -> None:
        await asyncio.sleep(4)

    loop.create_task(short())
    kernel.run()
    assert kernel.now == 4


def test_a_later_run_does_what_main_left(kernel: Kernel, loop: SimulationLoop) -> None:
    done: list[float] = []

    async def main() -> None:
        await asyncio.sleep(5)
        done.append(kernel.now)

    kernel.run(main(), loop, until=2)
    kernel.run()
    assert done == [5]


@pytest.mark.parametrize("until", [1.0, float("nan"), -1])
def test_until_in_the_past_is_refused(kernel: Kernel, loop: SimulationLoop, until: float) -> None:
    kernel.run(until=2)
    with pytest.raises(SimulationError, match=r"until=.* must not be before the present time, 2 s"):
        kernel.run(until=until)


@pytest.mark.parametrize("pace", [0, -1, float("nan"), float("inf")])
def test_a_bad_pace_is_refused(kernel: Kernel, pace: float) -> None:
    with pytest.raises(SimulationError, match=r"pace=.* must be a number above 0"):
        kernel.run(pace=pace)


def test_main_needs_a_loop_of_this_kernel(kernel: Kernel) -> None:
    async def main() -> None: ...

    other = Kernel()
    with pytest.raises(SimulationError, match="needs a loop of this kernel"):
        kernel.run(main(), other.loop("web"))
    other.close()


def test_quiet_names_who_waits_and_where(kernel: Kernel, loop: SimulationLoop) -> None:
    mail = kernel.loop("mail")

    async def waits_for_a_reply(queue: asyncio.Queue[int]) -> int:
        return await queue.get()

    async def main() -> None:
        mail.create_task(waits_for_a_reply(asyncio.Queue()), name="reader")
        await asyncio.sleep(3.2)
        await loop.create_future()

    with pytest.raises(SimulationQuiet) as caught:
        kernel.run(main(), loop)
    text = str(caught.value)
    assert text.startswith("t=3.2 s: 2 tasks wait for what can no longer happen: 'web/Task-1' at test_kernel.py:")
    assert "'mail/reader' at test_kernel.py:" in text
    assert "waits_for_a_reply (in Queue.get)" in text
    assert "0x" not in text


def test_quiet_names_the_users_line_and_not_the_runtimes() -> None:
    async def pulls(node: SimulatedNode) -> None:
        async with node.open(Haul()) as tunnel:
            await tunnel.receive()

    topology = Topology("one")
    topology.node("solo", Silent)
    with Simulation(topology) as simulation, pytest.raises(SimulationQuiet) as caught:
        simulation.run(pulls(simulation.node("solo")))
    text = str(caught.value)
    assert re.search(r"at test_kernel\.py:\d+ in \S*pulls \(in HostEnd\.receive\)", text)


def test_quiet_names_twenty_and_counts_the_rest(kernel: Kernel, loop: SimulationLoop) -> None:
    async def waits() -> None:
        await loop.create_future()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(24):
                group.create_task(waits())

    with pytest.raises(SimulationQuiet, match=r"25 tasks wait .* and 5 more"):
        kernel.run(main(), loop)


def test_sleeping_for_ever_is_quiet_not_the_end_of_time(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        await asyncio.sleep(float("inf"))

    with pytest.raises(SimulationQuiet):
        kernel.run(main(), loop)
    assert kernel.now == 0


def test_stalled_names_host_and_task(kernel: Kernel, loop: SimulationLoop) -> None:
    async def polls() -> None:
        while True:  # noqa: ASYNC110 -- that it polls is the point
            await asyncio.sleep(0)

    with pytest.raises(SimulationStalled, match=r"host 'web' runs task 'Task-1' .*polls.* over and over"):
        kernel.run(polls(), loop)


def test_stepping_runs_one_callback_or_moves_time_once(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[object] = []
    loop.call_soon(log.append, "a")
    loop.call_soon(log.append, "b")
    loop.call_later(2, log.append, "c")
    states = []
    while kernel.step():
        states.append((list(log), kernel.now))
    assert states == [(["a"], 0), (["a", "b"], 0), (["a", "b"], 2), (["a", "b", "c"], 2)]


def test_a_failure_is_raised_from_the_step_that_finds_it(kernel: Kernel, loop: SimulationLoop) -> None:
    def breaks() -> None:
        raise LookupError("broken")

    loop.call_soon(breaks)
    with pytest.raises(LookupError, match="broken"):
        kernel.step()
    assert not kernel.step()


def test_pace_takes_at_least_the_wall_time(kernel: Kernel, loop: SimulationLoop) -> None:
    seen: list[float] = []
    walls: list[float] = []

    async def main() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append(kernel.now)
            walls.append(time.perf_counter())

    begin = time.perf_counter()
    kernel.run(main(), loop, pace=50)
    assert seen == [1, 2, 3]
    assert walls[-1] - begin >= 3 / 50
    assert all(later > earlier for earlier, later in pairwise([begin, *walls]))


def test_pace_reaches_until(kernel: Kernel) -> None:
    begin = time.perf_counter()
    kernel.run(until=2, pace=40)
    assert kernel.now == 2
    assert time.perf_counter() - begin >= 2 / 40


def test_a_paced_run_ends_when_it_is_quiet(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        await loop.create_future()

    with pytest.raises(SimulationQuiet, match="t=1 s"):
        kernel.run(main(), loop, pace=100)


def test_a_run_starts_in_an_empty_context(kernel: Kernel, loop: SimulationLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    variable.set("the caller's")
    seen: list[str] = []

    async def main() -> str:
        return variable.get()

    loop.call_soon(lambda: seen.append(variable.get()))
    loop.create_task(main()).add_done_callback(lambda task: seen.append(task.result()))
    kernel.call_soon(lambda: seen.append(variable.get()))
    assert kernel.run(main(), loop) == "nothing"
    assert set(seen) == {"nothing"}
    assert len(seen) == 3


def test_tasks_and_callbacks_inherit_the_context_that_made_them(kernel: Kernel, loop: SimulationLoop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    async def child() -> None:
        seen.append(variable.get())

    async def main() -> None:
        variable.set("the parent's")
        loop.call_soon(lambda: seen.append(variable.get()))
        loop.call_later(1, lambda: seen.append(variable.get()))
        await loop.create_task(child())
        await loop.create_task(child(), context=contextvars.Context())
        await asyncio.sleep(2)

    kernel.run(main(), loop)
    assert seen == ["the parent's", "the parent's", "nothing", "the parent's"]


def test_a_kernel_does_not_run_within_itself(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        kernel.run(until=5)

    with pytest.raises(SimulationError, match="runs already"):
        kernel.run(main(), loop)


def test_one_kernel_runs_within_another(kernel: Kernel, loop: SimulationLoop) -> None:
    inner = Kernel()

    async def deep() -> float:
        await asyncio.sleep(7)
        return asyncio.get_running_loop().time()

    async def main() -> tuple[float, bool, float]:
        await asyncio.sleep(1)
        result = inner.run(deep(), inner.loop("inner"))
        return result, asyncio.get_running_loop() is loop, kernel.now

    assert kernel.run(main(), loop) == (7, True, 1)
    inner.close()


def test_a_closed_kernel_says_so(kernel: Kernel, loop: SimulationLoop) -> None:
    kernel.close()
    kernel.close()
    for call in (kernel.run, kernel.step, lambda: kernel.loop("late")):
        with pytest.raises(SimulationError, match="closed"):
            call()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="the simulation of host 'web' is closed"):
        loop.call_soon(print)


def test_loops_tell_their_state(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> bool:
        return loop.is_running()

    assert kernel.run(main(), loop)
    assert not loop.is_running()
    assert repr(loop) == "<SimulationLoop 'web' open>"
    assert repr(kernel) == "<Kernel t=0 s, 1 loops>"
