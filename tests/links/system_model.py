"""The whole system under faults: real routers, connectors and switches on the simulated network.

A seed is a run: who there is, what is published and asked, what breaks. To see one again, with its faults::

    .venv/bin/python -m tests.links.system_model 123
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from typing import Any

import msgspec

from edri_sim import Simulation, Topology, part
from edri_sim.errors import HostDown, RequestError
from edri_sim.faults import Fault
from tests.links.system_checks import Violation, check
from tests.links.system_faults import draw, effects
from tests.links.system_parts import Actor, Ask, AskAgain, Ledger, Listener, Note, Reader

CALM = 4.0
"""Simulated seconds after which nothing more is published."""
PATIENCE = 60.0
"""Simulated seconds within which every outbox has to be empty then: twice what a half-open line takes, and more."""
RATE = 25.0
"""Events that each node publishes in a second."""


KINDS: dict[str, type[Actor]] = {"n0": Actor, "n1": Reader, "n2": Reader, "n3": Actor, "n4": Listener}
"""The nodes, of which each run has the first four or all. Who answers asks nobody, as it would ask itself."""


class Report(msgspec.Struct):
    """What a run was like."""

    seed: int
    crossings: int
    effects: Counter[str]
    ends: Counter[str]
    drained: float
    """Simulated seconds from the end of the load until every outbox was empty."""


class Model:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(f"system/{seed}")
        self.ledger = Ledger()
        self.readers: list[str] = []
        self.topology = self._draw_topology()
        self.faults: list[Fault] = draw(self.topology, self.random)
        self._tasks: list[asyncio.Task[None]] = []

    def _draw_topology(self) -> Topology:
        topology = Topology("system")
        switches = ["s0", "s1"][: self.random.choice([1, 2])]
        for switch in switches:
            topology.switch(switch)
        for name in list(KINDS)[: self.random.choice([4, 5])]:
            kind = KINDS[name]
            if issubclass(kind, Listener):
                self.readers.append(name)
            durable = self.random.random() < 0.5
            topology.node(name, part(kind, self.ledger, name), switch=switches, durable=durable)
            for switch in switches:
                topology.link(name, switch, latency=0.002)
        return topology

    def run(self) -> Report:
        """Raises Violation, with the faults that there were."""
        try:
            with Simulation(self.topology, seed=self.seed, faults=self.faults) as simulation:
                drained = simulation.run(self._main(simulation))
                traffic = simulation.result().traffic
                check(self.ledger, simulation, traffic, self.readers)
            assert drained is not None
        except Exception as error:
            faults = "\n  ".join(map(repr, self.faults))
            raise Violation(f"seed {self.seed}: {type(error).__name__}: {error}\n  {faults}") from error
        return Report(
            self.seed, len(traffic.crossings), effects(self.faults, traffic), self.ledger.ends, drained
        )  # fmt: skip

    async def _main(self, simulation: Simulation) -> float:
        for node in simulation.nodes.values():
            await node.subscribed(Note, len(self.readers), timeout=1.0)
        async with asyncio.TaskGroup() as group:
            for name in simulation.nodes:
                group.create_task(self._load(simulation, name))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)
            await asyncio.sleep(max(fault.until for fault in self.faults) + 0.1 - simulation.now)
            for node in simulation.nodes.values():
                await self._settled(node)
        drained = simulation.now - CALM
        await asyncio.sleep(1.0)  # For what the last events set off: acknowledgements, and handlers.
        return drained

    async def _settled(self, node: Any) -> None:
        started = await node.host.call(node._started)
        await node.host.call(started.settled)

    async def _load(self, simulation: Simulation, name: str) -> None:
        loop = asyncio.get_running_loop()
        source = random.Random(f"system/{self.seed}/{name}")
        host = simulation.hosts[name]
        acts = [self._publish] if KINDS[name] is Reader else [self._publish, self._ask]
        while simulation.now < CALM:
            await asyncio.sleep(source.expovariate(RATE))
            actor = self.ledger.actors[name]
            # Between the restart of its host and its own start a node has no life that could publish.
            if host.up and actor.life.number == host.lives and actor.router.table.uplink is not None:
                for _ in range(source.choice([1, 1, 1, 5])):
                    act = source.choice(acts)
                    self._tasks.append(loop.create_task(act(host, actor, source)))

    async def _publish(self, host: Any, actor: Actor, _: random.Random) -> None:
        try:
            await host.call(actor.publish)
        except HostDown:
            self.ledger.ends["note, host down"] += 1

    async def _ask(self, host: Any, actor: Actor, source: random.Random) -> None:
        kind: type[Any] = source.choice([Ask, AskAgain])
        timeout = source.choice([0.05, 1.0, 5.0])
        life = host.lives
        try:
            right = await host.call(lambda: actor.ask(kind, timeout))
        except HostDown:
            if host.lives == life and host.up:
                raise
            self.ledger.ends["host down"] += 1
        except RequestError as error:
            self.ledger.ends[type(error).__name__] += 1
        else:
            if not right:
                raise Violation(f"{actor.life} asked, and got the answer to another question")
            self.ledger.ends["reply"] += 1


def main() -> None:
    for seed in map(int, sys.argv[1:]):
        model = Model(seed)
        print(f"seed {seed}: {model.topology!r}\n  " + "\n  ".join(map(repr, model.faults)))
        print(model.run())


if __name__ == "__main__":
    main()
