"""Timers on the wall clock: never early, however it jumps, and at once after a jump that somebody tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from edri_sim import Settings, Simulation
from edri_sim.host import current_host
from edri_sim.realtime import host as realtime_host
from edri_sim.realtime.host import LocalHost
from edri_sim.simulation.host import SimulatedHost
from tests.worlds import World, until

HOUR = timedelta(hours=1)


def test_it_calls_once_when_the_time_has_come_and_not_before(world: World) -> None:
    async def main() -> None:
        host = current_host(asyncio.get_running_loop(), Settings())
        when = host.now() + timedelta(seconds=0.05)
        calls: list[datetime] = []
        host.call_at(when, lambda: calls.append(host.now()))
        host.call_at(when, lambda: calls.append(datetime.min.replace(tzinfo=UTC)))()
        host.call_at(host.now() - HOUR, lambda: calls.append(datetime.max.replace(tzinfo=UTC)))
        assert calls == [], "never from within the call"
        await until(lambda: len(calls) == 2)
        await asyncio.sleep(0.01)
        assert calls[0] == datetime.max.replace(tzinfo=UTC)
        assert len(calls) == 2
        assert when <= calls[1]

    world.run(main)


@pytest.mark.parametrize(
    ("jump", "after"), [(0, 3600.0), (-1800, 5400.0), (1800, 1800.0), (7200, 600.0), (-86400, 90000.0)]
)
def test_a_simulated_clock_that_jumps(jump: float, after: float) -> None:
    """``after`` how many seconds of the loop's clock it calls, if the clock jumps after 600."""
    calls: list[float] = []

    async def main() -> None:
        await asyncio.sleep(0)
        machine.call_at(machine.now() + HOUR, lambda: calls.append(simulation.now))
        await asyncio.sleep(600)
        machine.jump_clock(jump)

    with Simulation() as simulation:
        machine = simulation.host("machine")
        simulation.run(machine.call(main))
        simulation.run(until=200_000)
    assert calls == [pytest.approx(after)]


def test_the_timers_of_a_life_end_with_it() -> None:
    calls: list[int] = []

    async def set_timer() -> None:
        machine.call_at(machine.now() + HOUR, lambda: calls.append(machine.lives))

    with Simulation() as simulation:
        machine = simulation.host("machine")
        simulation.run(machine.call(set_timer))
        machine.crash()
        machine.jump_clock(7200)
        machine.restart()
        simulation.run(machine.call(set_timer))
        machine.jump_clock(7200)
        simulation.run()
    assert calls == [2]


class Clockwork(LocalHost):
    """A machine of which the test sets the clock."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.parametrize("interval", [0.02, 60.0])
def test_a_real_machine_looks_at_its_clock_again_and_again(interval: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the interval of 60 s, what the first case asserts does not come: the guard of this test."""
    monkeypatch.setattr(realtime_host, "JUMP_NOTICED", interval)
    calls: list[datetime] = []

    async def main() -> None:
        machine = Clockwork()
        undo = machine.call_at(machine.now() + HOUR, lambda: calls.append(machine.now()))
        await asyncio.sleep(0.05)
        assert calls == []
        machine.ahead = 2 * HOUR
        try:
            async with asyncio.timeout(0.3 if interval == 60 else 20):
                await _filled(calls)
        finally:
            undo()

    if interval == 60:
        with pytest.raises(TimeoutError):
            asyncio.run(main())
    else:
        asyncio.run(main())
        assert len(calls) == 1


async def _filled(calls: list[datetime]) -> None:
    await until(lambda: calls)


def test_timers_that_are_done_are_forgotten() -> None:
    async def main(machine: SimulatedHost, when: Callable[[int], datetime]) -> None:
        for number in range(100):
            machine.call_at(when(number), lambda: None)()
        assert len(machine._wall_timers) <= 2

    with Simulation() as simulation:
        machine = simulation.host("machine")
        simulation.run(machine.call(lambda: main(machine, lambda n: machine.now() + n * HOUR)))
