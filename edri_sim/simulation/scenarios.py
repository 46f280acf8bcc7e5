"""Scenarios in simulated time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from edri_sim.driving import Driver, first, meet
from edri_sim.errors import DeclarationError, HostDown
from edri_sim.run import SECOND, Run
from edri_sim.scenario import Scenario
from edri_sim.simulation.simulate import MAIN, SimulatedNode, Simulation

MEETING = 60.0
"""Simulated seconds within which all who publish have to know who takes what they publish."""


def simulate(scenario: Scenario, seed: int = 7, *, trace: str = "full", trace_cap: int = 0) -> Run:
    """Run a scenario in simulated time; works in a notebook cell too.

    The same ``seed`` gives the same run. ``trace`` is a level of :mod:`edri_sim.trace`, and ``trace_cap`` how many rows
    it keeps (0: all).

    Raises:
        DeclarationError: something of the scenario could not happen.
        NoRoute: a node that publishes cannot reach those that take what it does.
    """
    with Trial(scenario, seed, trace, trace_cap) as trial:
        trial.simulation.run(trial.main())
        return trial.result()


async def simulate_async(scenario: Scenario, seed: int = 7, *, trace: str = "full", trace_cap: int = 0) -> Run:
    """As :func:`simulate`, in slices, so that the caller's event loop breathes; ends on Ctrl-C and when cancelled."""
    with Trial(scenario, seed, trace, trace_cap) as trial:
        await trial.simulation.run_async(trial.main())
        return trial.result()


class Use(NamedTuple):
    """What was used of machines and of limited links, by name."""

    cores: Mapping[str, float]
    links: Mapping[str, float]

    def shares(self, before: Use, seconds: float) -> Use:
        """The shares of so many ``seconds`` that are beyond what was used ``before``."""
        return Use(
            {name: (used - before.cores[name]) / seconds for name, used in self.cores.items()},
            {name: (used - before.links[name]) / seconds for name, used in self.links.items()},
        )


class Trial:
    """One run of a scenario, under way."""

    def __init__(self, scenario: Scenario, seed: int, trace: str, trace_cap: int) -> None:
        if not isinstance(scenario, Scenario):
            raise DeclarationError(f"simulate({scenario!r}): expected a Scenario")
        scenario.check()
        self._scenario = scenario
        self.simulation = Simulation(
            scenario.topology, seed=seed, service=scenario.service, trace=trace, trace_cap=trace_cap
        )
        self._drivers: list[Driver] = []
        self._began = 0.0
        self._shares = Use({}, {})

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self.simulation.close()

    def result(self) -> Run:
        """What came of it."""
        return Run(
            self.simulation.recorder, duration=self._scenario.duration, simulated=True, seed=self.simulation.seed,
            began=round(self._began * SECOND), warm_up=self._scenario.warm_up,
            tallies=[driver.tally for driver in self._drivers], cores=self._shares.cores, links=self._shares.links,
        )  # fmt: skip

    async def main(self) -> None:
        """What the simulation's main coroutine does: let all meet, then load and faults, then let all end."""
        simulation, scenario = self.simulation, self._scenario
        await meet(scenario.load, scenario.topology, simulation.nodes, MEETING)
        self._began = simulation.now
        simulation.plan(scenario.faults)
        self._drivers = [
            Driver(load, simulation.node(load.node), simulation.random(f"load/{number}"), scenario.duration)
            for number, load in enumerate(scenario.load)
        ]
        try:
            async with asyncio.TaskGroup() as group:
                driving = [group.create_task(driver.run()) for driver in self._drivers]
                await asyncio.sleep(scenario.warm_up)
                before = self._use()
                await asyncio.sleep(self._began + scenario.duration - simulation.now)
                self._shares = self._use().shares(before, scenario.duration - scenario.warm_up)
                await self._drain(driving)
                for task in driving:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise first(errors) from None

    def _use(self) -> Use:
        """What machines and links have been used until now: seconds of one core, or at full bandwidth."""
        hosts = {name: host.busy / host.cores for name, host in self.simulation.hosts.items()}
        del hosts[MAIN]
        directions = [
            direction for link in self.simulation.network.links.values() for direction in link.directions.values()
        ]
        links = {each.name: each.crossed / each.spec.bandwidth for each in directions if each.spec.bandwidth}
        return Use(hosts, links)

    async def _drain(self, driving: Sequence[asyncio.Task[None]]) -> None:
        """Wait, for as long as the scenario says, until nothing is under way any more."""
        over = max((fault.until for fault in self._scenario.faults if fault.until < math.inf), default=0.0)
        await asyncio.sleep(max(0.0, self._began + over - self.simulation.now))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.drain):
                for task in driving:
                    await task
                for node in self.simulation.nodes.values():
                    await self._settle(node)

    async def _settle(self, node: SimulatedNode) -> None:
        # What is for a machine that stays down is kept until its time is over: nothing to wait for.
        if all(host.up for host in self.simulation.hosts.values()):
            with suppress(HostDown):
                await node.settled()
