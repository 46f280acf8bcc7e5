"""Scenarios in real time, with all machines in this program, and proxies where links fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edri_sim.driving import Driver, Progress, first, meet, pass_time, unseen
from edri_sim.errors import DeclarationError
from edri_sim.links.address import Address
from edri_sim.links.switch import Switch
from edri_sim.node import Node
from edri_sim.realtime.chaos import LOOPBACK, Proxy
from edri_sim.realtime.deployment import Deployment
from edri_sim.realtime.faults import Faults, check_supported
from edri_sim.realtime.host import LocalHost
from edri_sim.run import Run
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from edri_sim.topology import Pair, pair_of
from edri_sim.trace import Recorder

MEETING = 30.0
"""Seconds within which all who publish have to know who takes what they publish."""


async def run_real(
    scenario: Scenario, *, settings: Settings | None = None, progress: Progress = unseen
) -> Run:  # fmt: skip
    """Run a scenario in real time: real connections over the loopback interface, and real worker processes.

    All nodes and switches are in this program, on the running loop; where a link has faults, a proxy is between a node
    and its switch. What the topology says of links, cores and costs, and the scenario's services, are for simulated
    time. ``settings`` are every node's, but for the data folder: each gets one of its own for the run. ``progress`` is
    told the share of the duration that has passed, 0 to 1.

    Raises:
        UnsupportedFault: a fault cannot be made to happen here; nothing has been started.
        DeclarationError: something of the scenario could not happen.
        NoRoute: a node that publishes does not come to know those that take what it does.
    """
    if not isinstance(scenario, Scenario):
        raise DeclarationError(f"run_real({scenario!r}): expected a Scenario")
    scenario.check()
    check_supported(scenario)
    with TemporaryDirectory(prefix="edri-sim-", ignore_cleanup_errors=True) as folder:
        async with AsyncExitStack() as stack:
            stage = Stage(scenario, settings or Settings(), Path(folder))
            await stage.build(stack)
            return await stage.play(progress)


class Stage:
    """One run of a scenario, under way."""

    def __init__(self, scenario: Scenario, settings: Settings, folder: Path) -> None:
        self._scenario = scenario
        self._settings = replace(settings, trace="full", data=str(folder))
        self._folder = folder
        self._recorder = Recorder(cap=settings.trace_cap)
        self._outside = self._host("main")
        self._proxies: dict[Pair, Proxy] = {}
        self._hosts: dict[str, LocalHost] = {}
        self._nodes: dict[str, Node] = {}

    def _host(self, name: str) -> LocalHost:
        return LocalHost(self._settings, data=self._folder / name, recorder=self._recorder, name=name)

    async def build(self, stack: AsyncExitStack) -> None:
        """Start the switches, the proxies on links that will fail, and the nodes; ``stack`` stops them."""
        topology = self._scenario.topology
        places = Deployment(topology, self._settings).switches
        listen = {name: place.listen for name, place in places.items()}
        for name, address in listen.items():
            await stack.enter_async_context(Switch(name, str(address), self._host(name)))
        for fault in self._scenario.link_faults:
            pair = pair_of(fault.a, fault.b)
            if pair not in self._proxies:
                self._proxies[pair] = await self._proxy(stack, listen[fault.a if fault.a in listen else fault.b])
        for name, spec in topology.nodes.items():
            switches = [self._address(name, switch, listen) for switch in spec.switches]
            self._hosts[name] = self._host(name)
            node = Node(
                name, *spec.parts, switches=switches, durable=spec.durable, host=self._hosts[name],
                settings=self._settings,
            )  # fmt: skip
            self._nodes[name] = await stack.enter_async_context(node)

    async def _proxy(self, stack: AsyncExitStack, target: Address) -> Proxy:
        proxy = Proxy((target.host, target.port))
        stack.push_async_callback(proxy.close)
        await proxy.start()
        return proxy

    def _address(self, node: str, switch: str, listen: Mapping[str, Address]) -> str:
        proxy = self._proxies.get(pair_of(node, switch))
        return str(listen[switch]) if proxy is None else f"{LOOPBACK}:{proxy.port}"

    async def play(self, progress: Progress) -> Run:
        """Let all meet, then load and faults, then let all end."""
        scenario, host = self._scenario, self._outside
        await meet(scenario.load, scenario.topology, self._nodes, MEETING)
        began = time.monotonic_ns()
        drivers = [
            Driver(load, self._nodes[load.node], host.random(f"load/{number}"), scenario.duration)
            for number, load in enumerate(scenario.load)
        ]
        faults = Faults(scenario, self._proxies, self._hosts, host.trace)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(driver.run()) for driver in drivers]
                making = group.create_task(faults.run())
                await pass_time(asyncio.get_running_loop().time(), scenario.duration, progress)
                await self._drain(tasks, making)
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise first(errors) from None
        return Run(
            self._recorder, duration=scenario.duration, simulated=False, began=began, warm_up=scenario.warm_up,
            tallies=[driver.tally for driver in drivers],
        )  # fmt: skip

    async def _drain(self, tasks: Sequence[asyncio.Task[None]], making: asyncio.Task[None]) -> None:
        """Wait, for as long as the scenario says, until nothing is under way any more."""
        await making
        with suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.drain):
                for task in tasks:
                    await task
                for node in self._nodes.values():
                    await node.settled()
