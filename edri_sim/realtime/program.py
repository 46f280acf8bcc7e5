"""All machines of a run in real time in this one program."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from edri_sim.driving import Driver
from edri_sim.faults import WorkerCrash
from edri_sim.links.address import Address
from edri_sim.links.switch import Switch
from edri_sim.node import Node
from edri_sim.realtime.faults import Acts, nothing
from edri_sim.realtime.host import LocalHost
from edri_sim.run import Run
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from edri_sim.trace import Recorder


class Program:
    """All machines in this program; see :class:`~edri_sim.realtime.scenarios.Company`."""

    def __init__(self, scenario: Scenario, settings: Settings, folder: Path) -> None:
        self._scenario = scenario
        self._settings = settings
        self._folder = folder
        self._recorder = Recorder(cap=settings.trace_cap)
        self._hosts: dict[str, LocalHost] = {}
        self._outside = self._host("main")
        self._drivers: list[Driver] = []
        self.trace = self._outside.trace
        self.places: dict[str, Node] = {}
        self.acts: Acts = {WorkerCrash: (self._crash_worker, nothing)}

    def _host(self, name: str) -> LocalHost:
        return LocalHost(self._settings, data=self._folder / name, recorder=self._recorder, name=name)

    async def add_switches(self, stack: AsyncExitStack, addresses: Mapping[str, Address]) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        for name, address in addresses.items():
            await stack.enter_async_context(Switch(name, str(address), self._host(name)))

    async def add_nodes(self, stack: AsyncExitStack, addresses: Mapping[str, tuple[str, ...]]) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        for name, spec in self._scenario.topology.nodes.items():
            self._hosts[name] = self._host(name)
            node = Node(
                name, *spec.parts, switches=addresses[name], durable=spec.durable, host=self._hosts[name],
                settings=self._settings,
            )  # fmt: skip
            self.places[name] = await stack.enter_async_context(node)

    def drive(self, began: int) -> list[Coroutine[Any, Any, None]]:  # noqa: ARG002 - it is now
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        self._drivers = [
            Driver(load, self.places[load.node], self._outside.random(f"load/{number}"), self._scenario.duration)
            for number, load in enumerate(self._scenario.load)
        ]
        return [driver.run() for driver in self._drivers]

    async def _crash_worker(self, fault: WorkerCrash) -> None:
        self._hosts[fault.name].workers[fault.label, fault.index].crash()

    async def watch(self) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`; there is no machine that could end alone."""
        await asyncio.get_running_loop().create_future()

    async def settle(self) -> None:
        """See :class:`~edri_sim.realtime.scenarios.Company`."""
        for node in self.places.values():
            await node.settled()

    async def result(self, began: int) -> Run:
        """See :class:`~edri_sim.realtime.scenarios.Company`; what it does afterwards is in the run too."""
        scenario = self._scenario
        return Run(
            self._recorder, duration=scenario.duration, simulated=False, began=began, warm_up=scenario.warm_up,
            tallies=[driver.tally for driver in self._drivers],
        )  # fmt: skip
