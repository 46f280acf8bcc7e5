"""A simulation: hosts, what runs on them, and the clock that they share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import simpy

from edri_sim.errors import DeclarationError
from edri_sim.faults import Fault
from edri_sim.faults import check as check_faults
from edri_sim.names import check_name
from edri_sim.node import Node
from edri_sim.run import Run
from edri_sim.service import Costs, ServiceTable, check_amount
from edri_sim.settings import Settings
from edri_sim.simulation.closing import detached
from edri_sim.simulation.faults import Faults
from edri_sim.simulation.host import SimulatedHost
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.network import Network
from edri_sim.simulation.programs import switch_program, uplink_of
from edri_sim.simulation.tunnels import HostOpening
from edri_sim.topology import NodeSpec, SwitchSpec, Topology
from edri_sim.trace import Recorder

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from edri_sim.events import Notification, Request, Tunnel
    from edri_sim.routing.tunnel import TunnelEnd

T = TypeVar("T")
R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock at simulated time 0, unless a simulation is given another."""

MAIN = "main"
"""The host on which the coroutines given to :meth:`Simulation.run` run; no fault comes to it by itself."""


class SimulatedNode:
    """A node of the topology as the simulation's main coroutine sees it: it lives on, whatever becomes of its host."""

    def __init__(self, spec: NodeSpec, host: SimulatedHost, settings: Settings) -> None:
        self.name = spec.name
        self.host = host
        self._spec = spec
        self._settings = settings
        self._up: asyncio.Future[Node] | None = None

    def __repr__(self) -> str:
        return f"<SimulatedNode {self.name} on {self.host!r}>"

    async def program(self) -> None:
        """What the node's host runs, in each of its lives."""
        forever = asyncio.get_running_loop().create_future()
        up = self._up = asyncio.get_running_loop().create_future()
        spec = self._spec
        uplink = uplink_of(spec) if spec.switches else None
        async with Node(
            spec.name, *spec.parts, uplink=uplink, durable=spec.durable, host=self.host, settings=self._settings
        ) as node:
            up.set_result(node)
            await forever

    async def request(self, event: Request[R], *, timeout: float | None = None) -> R:
        """Send a request from this node, once it has started, and return its reply; ``timeout`` in simulated seconds.

        Raises:
            HostDown: the host is down, or goes down before the reply.
        """
        return await self.host.call(lambda: self._request(event, timeout))

    async def notify(self, event: Notification) -> None:
        """Send a notification from this node, once it has started. Raises HostDown like :meth:`request`."""
        await self.host.call(lambda: self._notify(event))

    def open(
        self, event: Tunnel[Up, Down], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[TunnelEnd[Up, Down]]:
        """``async with`` this to open a tunnel from this node, once it has started; ``timeout`` in simulated seconds.

        Raises HostDown like :meth:`request`; see :meth:`Node.open`.
        """
        opening: Any = HostOpening(self.host, self._started, event, timeout)
        crossing: AbstractAsyncContextManager[TunnelEnd[Up, Down]] = opening
        return crossing

    async def subscribed(self, event: type[Any], count: int = 1, *, timeout: float | None = None) -> None:
        """Return once this node knows of ``count`` nodes, itself included, that want events of this class.

        Raises:
            NoRoute: they were fewer after ``timeout`` simulated seconds.
            HostDown: like :meth:`request`.
        """
        await self.host.call(lambda: self._subscribed(event, count, timeout))

    async def takes(self, event: type[Any]) -> bool:
        """Whether a part of this node, once it has started, takes events of this class. Raises HostDown."""
        return await self.host.call(lambda: self._takes(event))

    async def settled(self) -> None:
        """Return once nothing that this node published to others waits. Raises HostDown like :meth:`request`."""
        await self.host.call(self._settled)

    def overfull(self) -> list[str]:
        """What of it holds more now than its bounds allow, in words; nothing of a node that is not up."""
        up = self._up
        if not self.host.up or up is None or not up.done() or up.cancelled() or up.exception() is not None:
            return []
        return up.result().overfull()

    async def _takes(self, event: type[Any]) -> bool:
        return await (await self._started()).takes(event)

    async def _settled(self) -> None:
        await (await self._started()).settled()

    async def _subscribed(self, event: type[Any], count: int, timeout: float | None) -> None:
        await (await self._started()).subscribed(event, count, timeout=timeout)

    async def _request(self, event: Request[R], timeout: float | None) -> R:
        return await (await self._started()).request(event, timeout=timeout)

    async def _notify(self, event: Notification) -> None:
        await (await self._started()).notify(event)

    async def _started(self) -> Node:
        # The program is the first task of each life, so this is the present life's future.
        assert self._up is not None
        return await asyncio.shield(self._up)


class SimulatedSwitch:
    """A switch of the topology, on a host of its own: it lives on, whatever becomes of its host."""

    def __init__(self, spec: SwitchSpec, host: SimulatedHost) -> None:
        self.name = spec.name
        self.host = host
        self._spec = spec

    def __repr__(self) -> str:
        return f"<SimulatedSwitch {self.name} on {self.host!r}>"

    async def program(self) -> None:
        """What the switch's host runs, in each of its lives."""
        await switch_program(self._spec, self.host)


class Simulation:
    """Hosts in simulated time: ``with Simulation(topology, seed=7) as sim: sim.run(main(sim.node("web")))``.

    The same ``seed`` gives the same run. ``service`` says what work costs; see :class:`~edri_sim.service.Service`.
    ``faults`` happen when they are due; one that is still to come keeps no run alive that has no main coroutine.
    ``trace`` is a level of :mod:`edri_sim.trace`, ``epoch`` the wall clock at time 0, ``latency`` the seconds that
    bytes take between two hosts of which one is on no link, and ``shuffle_ties`` runs what is due at one instant in an
    order drawn from the seed. ``settings`` are for every node.

    Raises:
        DeclarationError: two nodes of the topology share no switch, a fault could not happen to it, ``epoch`` has no
            time zone, or an argument is of another type.
    """

    def __init__(
        self, topology: Topology | None = None, *, seed: int = 0, service: Mapping[Any, Any] | None = None,
        faults: Iterable[Fault] = (), trace: str = "full", trace_cap: int = 0, epoch: datetime = EPOCH,
        latency: float = 0.0, settings: Settings | None = None, shuffle_ties: bool = False,
    ) -> None:  # fmt: skip
        _check(topology, epoch, latency, settings)
        topology, faults = topology or Topology("empty"), list(faults)
        topology.check()
        check_faults(faults, topology)
        self.kernel = Kernel(seed=seed, shuffle_ties=shuffle_ties)
        self.network = Network(self.kernel, latency=latency, links=topology.links.values(), seed=seed)
        self.seed = seed
        self._topology = topology
        self.recorder = Recorder(cap=trace_cap)
        self._services = ServiceTable.of(service)
        self._level = trace
        self._epoch = epoch
        self._settings = settings or Settings()
        self.hosts: dict[str, SimulatedHost] = {}
        self.nodes: dict[str, SimulatedNode] = {}
        self.switches: dict[str, SimulatedSwitch] = {}
        self._main = self.host(MAIN)
        self._faults = Faults(self.kernel, self.network, self.hosts, self._main.trace)
        for switch in topology.switches.values():
            self._add_switch(switch)
        for spec in topology.nodes.values():
            self._add_node(spec)
        self._faults.schedule(faults)

    def __repr__(self) -> str:
        return f"<Simulation t={self.now:.9g} s, seed {self.seed}, hosts {', '.join(self.hosts)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # What it holds

    @property
    def env(self) -> simpy.Environment:
        """SimPy's environment, for processes, resources and events of one's own; the kernel steps it."""
        return self.kernel.env

    @property
    def now(self) -> float:
        """Simulated seconds since the start."""
        return self.kernel.now

    def host(self, name: str, *, cores: int = 1, costs: Costs | None = None) -> SimulatedHost:
        """A new host with ``cores`` cores, up, with nothing running on it but what one starts on its ``loop``."""
        return self._add_host(name, cores, costs or Costs())

    def node(self, name: str) -> SimulatedNode:
        """A node of the topology. Raises DeclarationError for an unknown name."""
        if name not in self.nodes:
            raise DeclarationError(f"no node {name!r}: expected one of {', '.join(self.nodes) or 'none'}")
        return self.nodes[name]

    def cut(self, a: str, b: str) -> None:
        """Cut the link between two hosts by hand, until :meth:`heal`. Raises DeclarationError if there is none."""
        self._faults.cut(a, b)

    def heal(self, a: str, b: str) -> None:
        """Heal a link that was cut by hand. Raises DeclarationError if there is none."""
        self._faults.heal(a, b)

    def random(self, name: str) -> Random:
        """A stream of its own for each name, drawn from the seed, for what happens from outside, such as load."""
        return self._main.random(name)

    def plan(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, as those given to the constructor, but with their times counted from now.

        Raises:
            DeclarationError: one of them could not happen.
        """
        listed = list(faults)
        check_faults(listed, self._topology)
        self._faults.schedule(listed, self.now)

    def _add_host(self, name: str, cores: int, costs: Costs) -> SimulatedHost:
        if check_name("host", name) in self.hosts:
            raise DeclarationError(f"two hosts are named {name!r}")
        host = self.hosts[name] = SimulatedHost(
            self.kernel, self.network, name, cores=cores, costs=costs, services=self._services,
            recorder=self.recorder, level=self._level, seed=self.seed, epoch=self._epoch,
        )  # fmt: skip
        return host

    def _add_switch(self, spec: SwitchSpec) -> None:
        host = self._add_host(spec.name, spec.cores, spec.costs)
        switch = self.switches[spec.name] = SimulatedSwitch(spec, host)
        host.boot(switch.program)

    def _add_node(self, spec: NodeSpec) -> None:
        host = self._add_host(spec.name, spec.cores, spec.costs)
        node = self.nodes[spec.name] = SimulatedNode(spec, host, self._settings)
        host.boot(node.program)

    # Running

    def run(
        self, main: Coroutine[Any, Any, T] | None = None, *, until: float | None = None, pace: float | None = None
    ) -> T | None:
        """Run ``main`` and return its result; works in a notebook cell too.

        ``until`` (simulated seconds): stop there at the latest; what is unfinished goes on in the next call, and None
        is returned. Without ``main``: run until then, or until nothing is left to happen. ``pace``: simulated seconds
        for each wall second.

        Raises what ``main`` raises, the exception of a task that nobody awaits, SimulationQuiet, SimulationStalled.
        """
        return self.kernel.run(main, self._main.loop, until=until, pace=pace)  # type: ignore[arg-type]

    async def run_async(
        self, main: Coroutine[Any, Any, T] | None = None, *, until: float | None = None, pace: float | None = None
    ) -> T | None:
        """As :meth:`run`, in slices, so that the caller's event loop breathes; ends on Ctrl-C and when cancelled."""
        result: T | None = await self.kernel.run_async(main, self._main.loop, until=until, pace=pace)
        return result

    def step(self) -> bool:
        """Run one callback, or move time once; False when nothing is left to happen."""
        return self.kernel.step()

    def wait(self, event: simpy.Event) -> asyncio.Future[Any]:
        """Await a SimPy event in a simulated task: its value, or its exception."""
        return self.kernel.wait(event)

    def result(self) -> Run:
        """What has happened so far."""
        return Run(self.recorder, duration=self.now, simulated=True, seed=self.seed)

    def close(self) -> None:
        """End everything; only now do the ``finally`` blocks of crashed hosts run, and they change nothing."""
        self.recorder.close()
        with detached():
            for host in self.hosts.values():
                host.close()
        self.kernel.close()


def _check(topology: object, epoch: object, latency: float, settings: object) -> None:
    if not isinstance(topology, Topology | None):
        raise DeclarationError(f"Simulation({topology!r}): expected a Topology")
    if not isinstance(epoch, datetime) or epoch.tzinfo is None:
        raise DeclarationError(f"Simulation(epoch={epoch!r}): expected a time with its time zone")
    if not isinstance(settings, Settings | None):
        raise DeclarationError(f"Simulation(settings={settings!r}): expected Settings(...)")
    check_amount("Simulation(latency", latency, least=0.0)
