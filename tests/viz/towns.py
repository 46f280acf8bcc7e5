"""Runs to be pictured: nodes at a switch that write to each other, with a cut link and a crash."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from edri_sim import EdriError, Manager, Notification, Pool, Request, Run, Simulation, Topology, Worker, event, handles
from edri_sim.faults import Crash, Fault, Outage
from edri_sim.service import Constant, Service


@event(name="towns.Letter")
class Letter(Notification):
    number: int


@event(name="towns.Question")
class Question(Request[str]):
    number: int


class Clerk(Worker):
    @handles
    async def question(self, event: Question) -> str:
        return f"answer {event.number}"


class Office(Manager):
    clerks = Pool(Clerk, size=2)


class Reader(Manager):
    @handles
    async def letter(self, event: Letter) -> None:
        """It is enough that it came."""


def towns(count: int, *, switches: int = 1, readers: int = 2) -> Topology:
    """``count`` nodes at ``switches`` switches; the first few read letters, and the last answers questions."""
    topology = Topology(f"towns-{count}")
    hubs = [f"hub{number}" if switches > 1 else "hub" for number in range(switches)]
    for name in hubs:
        topology.switch(name)
    for number in range(count):
        parts = [*([Reader] if number < readers else []), *([Office] if number == count - 1 else [])]
        topology.node(f"town{number:0{len(str(count - 1))}}", *parts, switch=hubs)
    return topology


def faults_of(topology: Topology) -> list[Fault]:
    """The second node's line is cut for a while, and then the last node crashes and comes back."""
    names = list(topology.nodes)
    hub = next(iter(topology.switches))
    return [Outage(names[1], hub, 0.4, 0.5), Crash(names[-1], 1.2, restart_after=0.3)]


def simulate(topology: Topology, *, rounds: int = 40, every: float = 0.05, broken: bool = True) -> Run:
    """In each round one node after another writes a letter, and asks a question and waits for the answer."""

    async def ask(simulation: Simulation, name: str, number: int) -> None:
        with suppress(EdriError):  # What fails is in the picture too.
            await simulation.node(name).request(Question(number), timeout=1)

    async def main(simulation: Simulation) -> None:
        names = list(topology.nodes)
        await simulation.node(names[0]).subscribed(Letter, min(2, len(names)))
        async with asyncio.TaskGroup() as group:
            for number in range(rounds):
                name = names[number % (len(names) - 1)]
                await simulation.node(name).notify(Letter(number))
                group.create_task(ask(simulation, name, number))
                await asyncio.sleep(every)
        await asyncio.sleep(0.2)

    services = {Question: Service(cpu=Constant(0.03))}
    faults = faults_of(topology) if broken else []
    with Simulation(topology, seed=1, service=services, faults=faults) as simulation:
        simulation.run(main(simulation))
        return simulation.result()
