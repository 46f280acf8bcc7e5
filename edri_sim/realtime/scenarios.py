"""Scenarios in real time: real connections, real processes, and proxies where links fail."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from edri_sim.driving import Place, Progress, first, meet, pass_time, unseen
from edri_sim.errors import DeclarationError
from edri_sim.links.address import Address
from edri_sim.realtime.chaos import LOOPBACK, Proxy
from edri_sim.realtime.deployment import Deployment
from edri_sim.realtime.faults import Acts, Faults, check_supported, pairs_of
from edri_sim.realtime.machines import Machines
from edri_sim.realtime.program import Program
from edri_sim.run import Run
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from edri_sim.topology import Pair, pair_of
from edri_sim.trace import Trace

MEETING = 30.0
"""Seconds within which all who publish have to know who takes what they publish."""
PORTS = (10_000, 30_000)
"""Where the search for a free port begins: at random, for another run may look at the same time, and a switch that
starts as a process listens a second later. These are below the ports that the system gives to those who connect."""


async def run_real(
    scenario: Scenario, *, in_process: bool = False, settings: Settings | None = None, progress: Progress = unseen
) -> Run:  # fmt: skip
    """Run a scenario in real time: real connections over the loopback interface, and real processes.

    Each node and each switch is a child process, which publishes the loads of its node; ``in_process=True``: all are in
    this program, on the running loop, and no fault can kill or pause one of them. Where a link has faults, a proxy is
    between a node and its switch. What the topology says of links, cores and costs, and the scenario's services, are
    for simulated time. ``settings`` are every node's, but for the data folder: each gets one of its own for the run.
    ``progress`` is told the share of the duration that has passed, 0 to 1.

    Raises:
        UnsupportedFault: a fault cannot be made to happen here; nothing has been started.
        DeclarationError: something of the scenario could not happen, or cannot be sent to a process.
        NoRoute: a node that publishes does not come to know those that take what it does.
        EdriError: a process ended by itself. What a part's start or a load's maker raises, is raised too.
    """
    if not isinstance(scenario, Scenario):
        raise DeclarationError(f"run_real({scenario!r}): expected a Scenario")
    scenario.check()
    check_supported(scenario, in_process=in_process)
    with TemporaryDirectory(prefix="edri-sim-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        chosen = replace(settings or Settings(), trace="full", data=name)
        async with AsyncExitStack() as stack:
            company: Company = (Program if in_process else Machines)(scenario, chosen, folder)
            stage = Stage(scenario, chosen, company)
            await stage.build(stack)
            return await stage.play(progress)


class Company(Protocol):
    """The switches and nodes of a run, wherever they are."""

    @property
    def trace(self) -> Trace:
        """Where the faults are recorded."""

    @property
    def acts(self) -> Acts:
        """What makes the faults of machines."""

    @property
    def places(self) -> Mapping[str, Place]:
        """The nodes."""

    async def add_switches(self, stack: AsyncExitStack, addresses: Mapping[str, Address]) -> None:
        """Start the switches; ``stack`` ends them."""

    async def add_nodes(self, stack: AsyncExitStack, addresses: Mapping[str, tuple[str, ...]]) -> None:
        """Start the nodes, each with the addresses of its switches; ``stack`` ends them."""

    def drive(self, began: int) -> list[Coroutine[Any, Any, None]]:
        """What publishes the loads from ``began`` on, in nanoseconds of the monotonic clock."""

    async def watch(self) -> None:
        """Raise EdriError as soon as a machine ends that nobody has ended."""

    async def settle(self) -> None:
        """Return once nothing that a node published to others waits, where all of them are up."""

    async def result(self, began: int) -> Run:
        """What came of it, once all has stopped in good order."""


class Stage:
    """One run of a scenario, under way."""

    def __init__(self, scenario: Scenario, settings: Settings, company: Company) -> None:
        self._scenario = scenario
        self._settings = settings
        self._company = company
        self._proxies: dict[Pair, Proxy] = {}

    async def build(self, stack: AsyncExitStack) -> None:
        """Start the switches, the proxies on links that will fail, and the nodes; ``stack`` stops them."""
        topology = self._scenario.topology
        places = Deployment(topology, self._settings, first_port=random.randrange(*PORTS)).switches
        listen = {name: place.listen for name, place in places.items()}
        await self._company.add_switches(stack, listen)
        for pair in dict.fromkeys(pair for fault in self._scenario.faults for pair in pairs_of(fault, topology)):
            self._proxies[pair] = await self._proxy(stack, listen[pair[0] if pair[0] in listen else pair[1]])
        await self._company.add_nodes(
            stack,
            {
                name: tuple(self._address(name, switch, listen) for switch in spec.switches)
                for name, spec in topology.nodes.items()
            },
        )

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
        scenario, company = self._scenario, self._company
        await meet(scenario.load, scenario.topology, company.places, MEETING)
        faults = Faults(scenario, self._proxies, company.acts, company.trace)
        began = time.monotonic_ns()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(driving) for driving in company.drive(began)]
                making, watching = group.create_task(faults.run()), group.create_task(company.watch())
                await pass_time(asyncio.get_running_loop().time(), scenario.duration, progress)
                await self._drain(tasks, making)
                for task in (*tasks, watching):
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise first(errors) from None
        return await company.result(began)

    async def _drain(self, tasks: Sequence[asyncio.Task[None]], making: asyncio.Task[None]) -> None:
        """Wait, for as long as the scenario says, until nothing is under way any more."""
        await making
        with suppress(TimeoutError):
            async with asyncio.timeout(self._scenario.drain):
                for task in tasks:
                    await task
                await self._company.settle()
