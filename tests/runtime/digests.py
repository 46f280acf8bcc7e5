"""Prints the digest of one simulated run that uses everything; run as a program, on any Python."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edri_sim import Manager, Notification, Pool, Request, Simulation, Topology, Worker, event, handles, service, sleep
from edri_sim.routing.mailbox import drop_oldest


@event
class Draw(Request[int]):
    number: int


@event
class Drawn(Notification):
    number: int


class Painter(Worker):
    @handles
    async def draw(self, event: Draw) -> int:
        await asyncio.sleep(0.01)
        await self.notify(Drawn(event.number))
        if event.number % 7 == 0:
            raise LookupError("seven")
        return event.number


class PlainPainter(Worker):
    @handles
    def draw(self, event: Draw) -> int:
        sleep(0.02)
        self.blocking.notify(Drawn(event.number))
        return -event.number


class Studio(Manager):
    fast = Pool(Painter, mode="process", size=2)
    slow = Pool(PlainPainter, mode="thread", size=3)


class Gallery(Manager):
    concurrency = 1
    queue = 2
    overflow = drop_oldest

    @handles
    async def drawn(self, event: Drawn) -> None:
        await asyncio.sleep(0.015)


def digest(seed: int = 3) -> str:
    """The digest of a run with pools of all kinds, random service, time-outs, dead letters, a crash and a restart."""
    topology = Topology("studio")
    topology.node("studio", Studio, Gallery, cores=2)
    painting = service.Service(cpu=service.LogNormal(0.02, 0.5), wait=service.Exponential(0.01), gil=0.4)
    with Simulation(topology, seed=seed, service={Draw: painting}, shuffle_ties=seed == 4) as simulation:
        node = simulation.node("studio")

        async def client(number: int) -> None:
            for count in range(10):
                await asyncio.sleep(0.01 * number)
                await asyncio.gather(node.request(Draw(10 * number + count), timeout=0.15), return_exceptions=True)

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(client(number))
                await asyncio.sleep(0.3)
                simulation.hosts["studio"].crash()
                await asyncio.sleep(0.1)
                simulation.hosts["studio"].restart()

        simulation.run(main())
        return f"{simulation.result().digest} {len(simulation.recorder)} {simulation.now:.9f}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        __import__(name)
    print(digest())
