"""Tunnels in a whole simulated system under faults, from a seed; and what must be true of each tunnel afterwards."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from edri_sim import Manager, Simulation, Topology, Tunnel, TunnelEnd, event, handles, part
from edri_sim.errors import HostDown, RequestError
from edri_sim.faults import Crash, Fault, HostFault, Kill
from edri_sim.routing.tunnel import WINDOW
from tests.links.cluster import connector_of
from tests.links.system_faults import draw

CALM, PATIENCE = 5.0, 120.0
"""Seconds after which no tunnel is opened, and after which the system must be at rest."""
GONE = ("TunnelLost", "ProviderLost", "NodeStopped", "HostDown", "HandlerError")
"""How a tunnel may end when a node that has a side of it has died."""
NOT_OPENED = ("NoRoute", "DeadlineExceeded", "Overloaded")


class Violation(AssertionError):
    """A tunnel did what it must not do."""


@event(name="tunnels.Mirror")
class Mirror(Tunnel[int, int]):
    """Each number comes back."""

    number: int
    slow: bool


class Told:
    """What was seen of one tunnel."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.starts = 0
        self.got: list[int] = []
        self.back: list[int] = []
        self.end = "open"
        self.served = "open"


class Mirrors(Manager):
    """Serves them; ``late`` is the most items that a handler has found waiting."""

    def __init__(self, told: dict[int, Told]) -> None:
        self.told = told
        self.late = 0

    @handles
    async def mirror(self, event: Mirror, tunnel: TunnelEnd[int, int]) -> None:
        told = self.told[event.number]
        told.starts += 1
        try:
            async for number in tunnel:
                told.got.append(number)
                self.late = max(self.late, len(tunnel._queue))
                if event.slow:
                    await asyncio.sleep(0.002)
                await tunnel.send(number)
            told.served = "returned"
        except BaseException as error:
            told.served = type(error).__name__
            raise


class TunnelSystem:
    """Two openers and two servers, on one or two switches; ``nodes``: whether nodes die, too."""

    def __init__(self, seed: int, *, nodes: bool) -> None:
        self.seed = seed
        self.random = random.Random(f"tunnels/{seed}")
        self.told: dict[int, Told] = {}
        self.ends: Counter[str] = Counter()
        self.managers: list[Mirrors] = []
        self.topology = Topology("tunnels")
        switches = ["s0", "s1"][: self.random.choice([1, 2])]
        for switch in switches:
            self.topology.switch(switch)
        for name in ("o0", "o1", "v0", "v1"):
            parts = [part(self._manager)] if name.startswith("v") else []
            self.topology.node(name, *parts, switch=switches, durable=self.random.random() < 0.3)
            for switch in switches:
                self.topology.link(name, switch, latency=0.002)
        self.faults = self._draw(nodes)
        deaths = [fault.name for fault in self.faults if isinstance(fault, Kill | Crash)]
        self.mortal = any(name in self.topology.nodes for name in deaths)
        self._tasks: list[asyncio.Task[None]] = []

    def _manager(self) -> Mirrors:
        manager = Mirrors(self.told)
        self.managers.append(manager)
        return manager

    def _draw(self, nodes: bool) -> list[Fault]:
        faults = draw(self.topology, self.random)
        switches = self.topology.switches
        return [fault for fault in faults if nodes or not isinstance(fault, HostFault) or fault.name in switches]

    def run(self) -> Counter[str]:
        """How the tunnels ended. Raises Violation, with the faults that there were."""
        try:
            with Simulation(self.topology, seed=self.seed, faults=self.faults) as simulation:
                simulation.run(self._main(simulation))
        except Exception as error:
            faults = "\n  ".join(map(repr, self.faults))
            raise Violation(f"seed {self.seed}: {type(error).__name__}: {error}\n  {faults}") from error
        return self.ends

    async def _main(self, simulation: Simulation) -> None:
        for node in ("o0", "o1"):
            await simulation.nodes[node].subscribed(Mirror, 2, timeout=1.0)
        async with asyncio.timeout(PATIENCE):
            while simulation.now < CALM:
                await asyncio.sleep(self.random.expovariate(8))
                self._tasks.append(asyncio.create_task(self._open(simulation)))
            await asyncio.gather(*self._tasks)
            await asyncio.sleep(max([CALM, *(fault.until for fault in self.faults)]) + 15 - simulation.now)
        for told in self.told.values():
            self._check(told)
        self._check_empty(simulation)

    async def _open(self, simulation: Simulation) -> None:
        name = self.random.choice(["o0", "o1"])
        host: Any = simulation.hosts[name]
        node = simulation.nodes[name]
        number = len(self.told)
        told = self.told[number] = Told(self.random.choice([0, 1, 10, 100, 300]))
        slow, pause = self.random.random() < 0.3, self.random.choice([0.0, 0.003, 0.03])
        try:
            started = await host.call(node._started)
            await host.call(lambda: self._use(started, Mirror(number, slow), told, pause))
            told.end = "done"
        except HostDown:
            told.end = "HostDown"
        except RequestError as error:
            told.end = type(error).__name__
        self.ends[told.end] += 1

    async def _use(self, node: Any, mirror: Mirror, told: Told, pause: float) -> None:
        async with node.open(mirror, timeout=5.0) as tunnel:
            writing = asyncio.get_running_loop().create_task(self._write(tunnel, told.count, pause))
            try:
                async for number in tunnel:
                    told.back.append(number)
            finally:
                await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, tunnel: TunnelEnd[int, int], count: int, pause: float) -> None:
        for number in range(count):
            await tunnel.send(number)
            if pause:
                await asyncio.sleep(pause)
        tunnel.end()

    def _check(self, told: Told) -> None:
        whole = list(range(told.count))
        if told.got != whole[: len(told.got)] or told.back != whole[: len(told.back)]:
            raise Violation(f"items were lost, twice or out of order: {told.got} came up, and {told.back} down")
        if told.starts > 1:
            raise Violation(f"a tunnel had {told.starts} handlers")
        if told.end == "done" and (told.back != whole or told.got != whole):
            raise Violation(f"a tunnel ended well with {len(told.got)} and {len(told.back)} of {told.count} items")
        allowed = ("done", *NOT_OPENED, *(GONE if self.mortal else ()))
        if told.end not in allowed:
            raise Violation(f"a tunnel ended with {told.end} after {len(told.back)} items, and nobody had died")
        if told.starts and told.served == "open" and not self.mortal:
            raise Violation(f"a tunnel ended with {told.end}, and its handler has not")

    def _check_empty(self, simulation: Simulation) -> None:
        late = max(manager.late for manager in self.managers)
        if late > WINDOW:
            raise Violation(f"{late} items waited for a handler: {WINDOW} may")
        for name, node in simulation.nodes.items():
            assert node._up is not None
            connector = connector_of(node._up.result())
            peers = connector.exchange.peers.values()
            lanes = [lane for peer in peers for lane in [*peer.sends, *peer.receives, *peer.expected] if lane > 1]
            if lanes or len(connector.tunnels) or connector.exchange.bytes:
                raise Violation(f"{name} keeps {lanes}, {len(connector.tunnels)} tunnels, {connector.exchange.bytes} B")
