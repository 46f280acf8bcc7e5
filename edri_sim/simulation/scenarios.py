"""Scenarios in simulated time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from edri_sim.driving import STEPS, Driver, Progress, first, meet, pass_time, unseen
from edri_sim.errors import DeclarationError
from edri_sim.events import registry
from edri_sim.invariants import Rule, check
from edri_sim.run import SECOND, Run
from edri_sim.scenario import Scenario
from edri_sim.simulation.simulate import MAIN, Simulation
from edri_sim.trace import DELIVERED

MEETING = 60.0
"""Simulated seconds within which all who publish have to know who takes what they publish."""
LOOKS = 10
"""How often in a run, at even distances, all bounds are looked at; and once more as it ends."""


def simulate(
    scenario: Scenario, seed: int = 7, *, trace: str = "full", trace_cap: int = 0, rules: Iterable[Rule] | None = (),
    progress: Progress = unseen,
) -> Run:  # fmt: skip
    """Run a scenario in simulated time; works in a notebook cell too.

    The same ``seed`` gives the same run. ``trace`` is a level of :mod:`edri_sim.trace`, and ``trace_cap`` how many rows
    it keeps (0: all). The run is checked against :mod:`edri_sim.invariants` and ``rules`` of one's own; None: not.

    ``progress`` is told the share of the duration that has passed, 0 to 1.

    Raises:
        InvariantBroken: it broke a rule.
        DeclarationError: something of the scenario could not happen.
        NoRoute: a node that publishes cannot reach those that take what it does.
    """
    with Trial(scenario, seed, trace, trace_cap) as trial:
        trial.simulation.run(trial.main(progress))
        return trial.result(rules)


async def simulate_async(
    scenario: Scenario, seed: int = 7, *, trace: str = "full", trace_cap: int = 0, rules: Iterable[Rule] | None = (),
    progress: Progress = unseen,
) -> Run:  # fmt: skip
    """As :func:`simulate`, in slices, so that the caller's event loop breathes; ends on Ctrl-C and when cancelled."""
    with Trial(scenario, seed, trace, trace_cap) as trial:
        await trial.simulation.run_async(trial.main(progress))
        return trial.result(rules)


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
        self._owing: list[str] = []
        self._overfull: dict[str, None] = {}
        self._untaken: dict[tuple[str, str], None] = {}

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self.simulation.close()

    def result(self, rules: Iterable[Rule] | None) -> Run:
        """What came of it, checked against all invariants and ``rules``; None: not checked."""
        run = self._run()
        if rules is not None:
            check(run, [self._flows_drain, self._takers_took, self._bounds_hold, *rules])
        return run

    def _flows_drain(self, _: Run) -> Iterator[str]:
        """When the faults are over, everything that is owed arrives; nodes of which that is not so."""
        yield from (f"{name} still owes others something" for name in self._owing)

    def _takers_took(self, _: Run) -> Iterator[str]:
        """Nothing comes to a router that has nobody for it; what did."""
        yield from (f"{type_} came to {name}, which takes none" for type_, name in self._untaken)

    def _bounds_hold(self, _: Run) -> Iterator[str]:
        """Queues, windows and outboxes hold no more than they may, whenever that is looked at; those that do."""
        yield from self._overfull

    def _look_at_bounds(self) -> None:
        for node in self.simulation.nodes.values():
            self._overfull |= dict.fromkeys(node.overfull())

    def _looking(self, progress: Progress) -> Progress:
        def step(share: float) -> None:
            progress(share)
            if round(share * STEPS) % (STEPS // LOOKS) == 0:
                self._look_at_bounds()

        return step

    def _run(self) -> Run:
        return Run(
            self.simulation.recorder, duration=self._scenario.duration, simulated=True, seed=self.simulation.seed,
            began=round(self._began * SECOND), warm_up=self._scenario.warm_up,
            tallies=[driver.tally for driver in self._drivers], cores=self._shares.cores, links=self._shares.links,
        )  # fmt: skip

    async def main(self, progress: Progress) -> None:
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
                passing = group.create_task(pass_time(self._began, scenario.duration, self._looking(progress)))
                await asyncio.sleep(scenario.warm_up)
                before = self._use()
                await passing
                self._shares = self._use().shares(before, scenario.duration - scenario.warm_up)
                await self._drain(driving)
                for task in driving:
                    task.cancel()
                self._look_at_bounds()
                await self._look_for_takers()
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
                if all(host.up for host in self.simulation.hosts.values()):
                    # What is for a machine that stays down is kept until its time is over: nothing to wait for.
                    self._owing = list(self.simulation.nodes)
                    for node in self.simulation.nodes.values():
                        await node.settled()
                        self._owing.remove(node.name)

    async def _look_for_takers(self) -> None:
        """Note what came to nodes that are up, and take no events of its type."""
        types, names = registry.snapshot().by_name, self.simulation.recorder.names.list()
        rows = self.simulation.recorder.rows()
        for kind, host in dict.fromkeys((row[6], row[2]) for row in rows if row[1] == DELIVERED):
            node, entry = self.simulation.nodes[names[host]], types.get(names[kind])
            if node.host.up and entry is not None and not await node.takes(entry.cls):
                self._untaken[entry.name, node.name] = None
