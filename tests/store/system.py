"""Clients of a store on three machines, under faults: every seed is a run. To see one again, with its faults::

.venv/bin/python -m tests.store.system 12
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

from edri_sim import Simulation, Store, Topology, part
from edri_sim.faults import ConnectionReset, Crash, Fault, Kill, OneWay, Outage, Pause
from edri_sim.service import Costs
from edri_sim.storing import Get, unpack
from tests.store.clients import KEYS, Client, History
from tests.store.shelf import Copy

CALM = 4.0
"""Simulated seconds after which nobody asks any more but for what there is in the end."""
QUIET = 12.0
"""Simulated seconds until all connections have recovered from the faults."""
COMMIT = 0.01
"""Simulated seconds that the store's disk takes for a commit: long enough for a crash to meet one."""
PAUSE = 0.03
"""Seconds between the questions of one client, on average."""
WHERE = ("a", "a", "b", "b", "b", "store", "store")
"""The nodes of the clients."""


def draw(source: random.Random) -> list[Fault]:
    """The store dies twice, once when its answers do not get through; a client dies, a line and the hub have faults."""
    at = source.uniform(0.8, 1.5)
    later = source.uniform(2.4, 3.4)
    death, other = source.choice([Kill, Crash]), source.choice([Kill, Crash])
    line = source.choice(["a", "b", "store"])
    others: list[Fault] = [
        ConnectionReset("b", "hub", at=source.uniform(1.0, 3.5)),
        Pause("b", at=source.uniform(1.0, 3.0), duration=source.uniform(0.1, 0.5)),
        Kill("hub", at=source.uniform(1.0, 3.0), restart_after=0.2),
    ]
    return [
        OneWay("store", "hub", at=at, duration=source.uniform(0.2, 0.6)),
        death("store", at=at + source.uniform(0.05, 0.15), restart_after=source.uniform(0.1, 0.6)),
        other("store", at=later, restart_after=source.uniform(0.1, 0.6)),
        source.choice([Kill, Crash])("a", at=source.uniform(0.8, 3.4), restart_after=source.uniform(0.1, 1.0)),
        source.choice([Outage, OneWay])(line, "hub", at=source.uniform(1.6, 3.0), duration=source.uniform(0.2, 0.8)),
        source.choice(others),
    ]


class Model:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.source = random.Random(f"store/{seed}")
        self.faults = draw(self.source)
        self.history = History()
        self.copies: dict[str, Copy] = {}
        """What the latest life of each node has, which watches."""

    def _copy(self, name: str) -> Copy:
        self.copies[name] = Copy("")
        return self.copies[name]

    def _topology(self) -> Topology:
        topology = Topology("shelves")
        topology.switch("hub")
        topology.node("store", part(Store, storage="values"), switch="hub", costs=Costs(commit=COMMIT), durable=True)
        for name in ("a", "b"):
            topology.node(name, part(self._copy, name), switch="hub")
        return topology

    def run(self) -> History:
        """What the clients saw, not checked yet."""
        with Simulation(self._topology(), seed=self.seed, faults=self.faults, trace="counters") as simulation:
            simulation.run(self._main(simulation))
        return self.history

    async def _main(self, simulation: Simulation) -> None:
        for name in ("a", "b"):
            await simulation.node(name).subscribed(Get, timeout=1.0)
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(WHERE):
                group.create_task(self._client(simulation, name, number))
        await asyncio.sleep(QUIET - simulation.now)
        for key in KEYS:
            await self.history.ask("at last", Get(key), self._ask(simulation, "b"), 5.0)

    def check(self) -> None:
        """Raise AssertionError where no store could have answered like that, or told those who watch of this."""
        self.history.check()
        last = [(one.act.key, one.result) for one in self.history.operations[-len(KEYS) :]]
        stored = {key: (unpack(entry.value), entry.version) for key, entry in last if entry is not None}
        for name, copy in self.copies.items():
            assert copy.held == stored, f"{name} has {copy.held}, and stored is {stored}"
            assert copy.late == []

    async def _client(self, simulation: Simulation, name: str, number: int) -> None:
        source = random.Random(f"store/{self.seed}/{number}")
        client = Client(f"{name}{number}", self.history, self._ask(simulation, name), source)
        await client.run(lambda: simulation.now < CALM, lambda: simulation.hosts[name].up, PAUSE)

    def _ask(self, simulation: Simulation, name: str) -> Any:
        return lambda act, timeout: simulation.node(name).request(act, timeout=timeout)


def main() -> None:
    for seed in map(int, sys.argv[1:]):
        model = Model(seed)
        print(f"seed {seed}:\n  " + "\n  ".join(map(repr, model.faults)))
        history = model.run()
        print("  " + "\n  ".join(map(str, history.operations)))
        model.check()


if __name__ == "__main__":
    main()
