"""Each machine of a run in real time as a child process of its own, which can be killed, paused and started again."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from edri_sim.driving import Tally, first
from edri_sim.errors import EdriError
from edri_sim.events import registry
from edri_sim.faults import Crash, Death, Kill, Pause, WorkerCrash
from edri_sim.links.address import Address
from edri_sim.load import OpenLoad
from edri_sim.realtime.faults import Acts, nothing
from edri_sim.realtime.host import LocalHost
from edri_sim.realtime.machine import Machine
from edri_sim.realtime.machine_child import Role
from edri_sim.realtime.rows import Life, merge
from edri_sim.run import Run
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from edri_sim.trace import Recorder

LEAVE = 5.0
"""Seconds that a machine gets to end in good order, beyond those in which its node drains and its workers stop."""


class Machines:
    """All machines as child processes; see :class:`~edri_sim.realtime.scenarios.Company`.

    None of them is left behind, whatever becomes of this process.
    """

    def __init__(self, scenario: Scenario, settings: Settings, folder: Path) -> None:
        self._scenario = scenario
        self._settings = settings
        self._folder = folder
        self._seed = secrets.token_hex(16)
        self._recorder = Recorder()
        self._lives: dict[str, list[Machine]] = {}
        self._up: dict[str, asyncio.Event] = {}
        self._paused: dict[Pause, Machine] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trace = LocalHost(settings, recorder=self._recorder, name="main").trace
        self.acts: Acts = {
            Kill: (self._kill, self._revive),
            Crash: (self._kill, self._revive),
            Pause: (self._pause, self._resume),
            WorkerCrash: (self._crash_worker, nothing),
        }

    @property
    def places(self) -> Mapping[str, Machine]:
        """The nodes, in the lives that they have now."""
        return {name: self._now(name) for name in self._scenario.topology.nodes}

    def _now(self, name: str) -> Machine:
        return self._lives[name][-1]

    # Their lives

    async def add_switches(self, stack: AsyncExitStack, addresses: Mapping[str, Address]) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        await self._add(stack, [self._role(name, address=str(address)) for name, address in addresses.items()])

    async def add_nodes(self, stack: AsyncExitStack, addresses: Mapping[str, tuple[str, ...]]) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        await self._add(stack, [self._role(name, switches=switches) for name, switches in addresses.items()])

    def _role(self, name: str, address: str = "", switches: tuple[str, ...] = ()) -> Role:
        folder = self._folder / name
        folder.mkdir()
        top = logging.getLogger()
        logs = top.level if top.handlers else None
        return Role(
            name, self._scenario, self._settings, folder, folder, self._seed, self._events(), address, switches, logs
        )  # fmt: skip

    def _events(self) -> tuple[type[Any], ...]:
        """The events that a program or a notebook has defined itself, and those of the loads."""
        own = [entry.cls for entry in registry.snapshot().by_name.values() if entry.cls.__module__ == "__main__"]
        return tuple(dict.fromkeys([*own, *(load.event_type() for load in self._scenario.load)]))

    async def _add(self, stack: AsyncExitStack, roles: Iterable[Role]) -> None:
        machines = [self._machine(role) for role in roles]
        for machine in machines:
            stack.push_async_callback(self._end, machine.role.name)
        await _together(self._start(machine) for machine in machines)

    def _machine(self, role: Role) -> Machine:
        lives = self._lives.setdefault(role.name, [])
        machine = Machine(replace(role, rows=self._folder / f"{role.name}.{len(lives)}.rows"), self._failed)
        lives.append(machine)
        return machine

    async def _start(self, machine: Machine) -> None:
        up = self._up.setdefault(machine.role.name, asyncio.Event())
        await machine.start()
        up.set()

    async def _end(self, name: str) -> None:
        await self._now(name).end()

    def _failed(self, error: EdriError) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # Perhaps nobody watches any more.

    async def watch(self) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        await asyncio.shield(self._failure)

    async def settle(self) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        if all(self._now(name).runs for name in self._lives):
            # What is for a machine that stays down is kept until its time is over: nothing to wait for.
            for place in self.places.values():
                await place.settled()

    # What befalls them

    async def _kill(self, fault: Death) -> None:
        self._up[fault.name].clear()
        await self._now(fault.name).die()

    async def _revive(self, fault: Death) -> None:
        await self._start(self._machine(self._now(fault.name).role))

    async def _pause(self, fault: Pause) -> None:
        machine = self._paused[fault] = self._now(fault.name)
        await machine.pause()

    async def _resume(self, fault: Pause) -> None:
        self._paused.pop(fault).resume()

    async def _crash_worker(self, fault: WorkerCrash) -> None:
        machine = self._now(fault.name)
        if machine.runs:
            await machine.ask("crash_worker", fault.label, fault.index)

    # Loads, and what came of them

    def drive(self, began: int) -> list[Coroutine[Any, Any, None]]:
        """See :class:`~edri_sim.realtime.scenarios.Company`; each node publishes its own loads."""
        return [self._drive(name, began) for name in dict.fromkeys(load.node for load in self._scenario.load)]

    async def _drive(self, name: str, began: int) -> None:
        """Let a node publish its loads, in all of its lives."""
        offered: dict[int, int] | None = None
        while True:
            await self._up[name].wait()
            machine = self._now(name)
            try:
                await machine.ask("drive", began, offered)
            except EdriError:
                if machine.runs or self._failure.done():
                    raise
            else:
                return
            if self._stays_down(name):
                return
            offered = {number: tally.offered for number, tally in enumerate(self._tallies())}

    def _stays_down(self, name: str) -> bool:
        """Whether the life of a node that has ended was its last."""
        deaths = [fault for fault in self._scenario.faults if isinstance(fault, Death) and fault.name == name]
        return len(self._lives[name]) > sum(fault.until < math.inf for fault in deaths)

    def _tallies(self) -> list[Tally]:
        """What became of each load in the lives that have ended, and what was missed between these and after."""
        tallies = [Tally(load) for load in self._scenario.load]
        for machine in [machine for lives in self._lives.values() for machine in lives if not machine.runs]:
            counts = Life(machine.role.rows).counts
            for number, (offered, ended, missed, failed) in counts.items():
                tally = tallies[number]
                tally.offered += offered
                tally.ended += ended
                tally.missed += missed
                tally.failed += Counter(failed)
                if machine.died:
                    tally.missed += offered - ended - missed - sum(failed.values())
        return tallies

    def _count_what_stayed_down(self, tallies: Iterable[Tally]) -> None:
        """What a load has for a node that did not come back, is missed; closed loops ask for nothing."""
        for number, tally in enumerate(tallies):
            load = tally.load
            if isinstance(load, OpenLoad) and self._now(load.node).died:
                chance = random.Random(f"{self._seed}/load/{number}")
                late = sum(1 for _ in load.arrivals(chance, self._scenario.duration)) - tally.offered
                tally.offered += late
                tally.missed += late

    async def result(self, began: int) -> Run:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        patience = self._settings.drain_timeout + self._settings.kill_after + LEAVE
        # The nodes first: what they still hold for one another goes through the switches.
        for names in (self._scenario.topology.nodes, self._scenario.topology.switches):
            await _together(self._now(name).finish(patience) for name in names if self._now(name).runs)
        tallies = self._tallies()
        self._count_what_stayed_down(tallies)
        lives = [Life(machine.role.rows) for lives in self._lives.values() for machine in lives]
        scenario = self._scenario
        return Run(
            merge(lives, self._recorder, self._settings.trace_cap), duration=scenario.duration, simulated=False,
            began=began, warm_up=scenario.warm_up, tallies=tallies,
        )  # fmt: skip


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of these at once; raises the first exception of any."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        raise first(errors) from None
