"""A machine of a simulation with a durable scheduler, whose lives, clock and disk the tests play with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from edri_sim import DeadLetter, Manager, Simulation, Topology, handles, part
from edri_sim.scheduling import ListSchedules, Schedule, ScheduleInfo, Scheduler
from edri_sim.scheduling.book import Firing
from edri_sim.scheduling.clerk import Clerk
from edri_sim.scheduling.instants import datetime_of
from edri_sim.scheduling.ledger import Begin
from edri_sim.service import Costs
from tests.scheduling.cast import Tick

COMMIT = 0.01
"""Seconds that a commit takes."""


class Fired(NamedTuple):
    """An occurrence that was published: of which schedule, when it was due, and when it came."""

    id: str
    due: datetime
    time: datetime


class Machine:
    """The node ``solo``; what its scheduler fires, and what it reports, through all of its lives."""

    def __init__(self, patch: pytest.MonkeyPatch, *, seed: int = 7, storage: str | None = "schedules", **options: Any):
        self.fired: list[Fired] = []
        self.ticks: list[int] = []
        self.letters: list[DeadLetter] = []
        topology = Topology("machine")
        # The scheduler comes first: who takes its events is not there yet when it starts.
        topology.node("solo", part(Scheduler, storage=storage), lambda: Taker(self), costs=Costs(commit=COMMIT))
        self.simulation = Simulation(topology, seed=seed, trace="counters", **options)
        self.node = self.simulation.node("solo")
        self.host = self.node.host
        self._watch(patch)

    def _watch(self, patch: pytest.MonkeyPatch) -> None:
        """The events do not say when they were due: look over the clerk's shoulder."""
        publish = Clerk._publish_one

        async def watched(clerk: Clerk, firing: Firing, begun: Begin) -> None:
            self.fired.append(Fired(begun.id, datetime_of(begun.due), self.host.now()))
            await publish(clerk, firing, begun)

        patch.setattr(Clerk, "_publish_one", watched)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.simulation.close()

    def schedule(self, *schedules: Schedule) -> list[ScheduleInfo]:
        async def ask() -> list[ScheduleInfo]:
            return [await self.node.request(schedule) for schedule in schedules]

        infos = self.simulation.run(ask())
        assert infos is not None
        return infos

    def listed(self) -> list[ScheduleInfo]:
        found = self.simulation.run(self.node.request(ListSchedules(limit=1_000)))
        assert found is not None
        return found

    def until(self, seconds: float) -> None:
        self.simulation.run(until=seconds)

    def off(self, seconds: float) -> None:
        """Cut the power for so long."""
        self.host.crash()
        self.until(self.simulation.now + seconds)
        self.host.restart()

    def dues(self) -> list[str]:
        return [f"{fired.due:%d %H:%M:%S}" for fired in self.fired]

    def doubts(self) -> list[str]:
        """The ``where`` of what was reported to be in doubt."""
        return [letter.where for letter in self.letters if letter.reason.startswith("in doubt")]


class Taker(Manager):
    """A new one in each life."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @handles
    async def on_tick(self, event: Tick) -> None:
        self._machine.ticks.append(event.number)

    @handles
    async def on_letter(self, event: DeadLetter) -> None:
        self._machine.letters.append(event)


def faults_of(fired: Iterable[Fired]) -> list[str]:
    """What no schedule may do: fire early, twice for one due time, or an older occurrence after a newer one."""
    found = []
    latest: dict[str, datetime] = {}
    for one in fired:
        if one.time < one.due:
            found.append(f"{one.id} early: due {one.due}, fired {one.time}")
        if one.id in latest and one.due <= latest[one.id]:
            found.append(f"{one.id} {'twice' if one.due == latest[one.id] else 'out of order'}: due {one.due}")
        latest[one.id] = max(one.due, latest.get(one.id, one.due))
    return found
