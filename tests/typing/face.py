"""The public face as a user meets it: type-checked as it stands, and run on both loops."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edri_sim import (
    Host,
    Manager,
    Node,
    Notification,
    Pool,
    Request,
    Run,
    Scenario,
    Scheduler,
    Simulation,
    Switch,
    Topology,
    Worker,
    event,
    faults,
    handles,
    load,
    part,
    run_real,
    service,
    simulate,
    sleep,
)
from edri_sim.scheduling import Schedule, ScheduleInfo, Unschedule
from edri_sim.service import Service


@dataclass(frozen=True)
class Thumbnail:
    path: str


@event(name="face.Resize")
class Resize(Request[Thumbnail]):
    image: str
    width: int = 128


@event(name="face.Resized")
class Resized(Notification):
    image: str


class Resizer(Worker):
    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    @handles
    def resize(self, event: Resize) -> Thumbnail:
        sleep(0.01)
        self.blocking.notify(Resized(event.image))
        return Thumbnail(f"{event.image}{self.suffix}")


class Images(Manager):
    resizers = Pool(Resizer, mode="process", size=2, queue=1_000, args=(".small",))

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    @handles
    async def on_resized(self, event: Resized) -> None:
        self.seen.append(event.image)


async def by_hand() -> list[str]:
    """A node by hand, on whichever loop runs."""
    seen: list[str] = []
    async with Node("solo", part(Images, seen)) as node:
        thumbnail: Thumbnail = await node.request(Resize("cat.jpg"), timeout=20)
        await node.notify(Resized("dog.jpg"))
    return [thumbnail.path, *seen]


async def over_a_switch(address: str, host: Host) -> str:
    """Two nodes that a switch joins, by hand."""
    async with (
        Switch("hub", address, host),
        Node("images", part(Images, []), switches=[address]),
        Node("web", switches=[address]) as web,
    ):
        thumbnail = await web.request(Resize("cat.jpg"), timeout=20)
        return thumbnail.path


class Bell(Manager):
    def __init__(self, rung: asyncio.Event) -> None:
        self.rung = rung

    @handles
    async def on_resized(self, event: Resized) -> None:
        self.rung.set()


async def scheduled() -> str:
    """An event that is published again and again, until its schedule is removed."""
    rung = asyncio.Event()
    async with Node("solo", Scheduler, part(Bell, rung)) as node:
        info: ScheduleInfo = await node.request(Schedule(Resized("owl.jpg"), every=0.01, id="owl"))
        await rung.wait()
        await node.request(Unschedule(info.id))
    return info.id


def simulated() -> Run:
    """A topology in simulated time, with a fault."""
    topology = Topology("photos")
    topology.switch("hub")
    topology.node("web", switch="hub")
    topology.node("images", part(Images, []), switch="hub", cores=4)
    costs = {Resize: Service(cpu=service.LogNormal(mean=0.05, cv=0.4), wait=0.1)}
    outage = faults.Outage("images", "hub", at=0.05, duration=0.2)
    with Simulation(topology, seed=7, service=costs, faults=[outage]) as sim:
        thumbnail: Thumbnail | None = sim.run(sim.node("web").request(Resize("cat.jpg"), timeout=2))
        assert thumbnail is not None
        assert thumbnail.path == "cat.jpg.small"
        return sim.result()


def rush() -> Scenario:
    """A scenario, for either loop."""
    topology = Topology("photos")
    topology.switch("hub")
    topology.node("web", switch="hub")
    topology.node("images", part(Images, []), switch="hub", cores=4)
    return Scenario(
        topology,
        duration=1,
        load=[load.Poisson(lambda i: Resize(f"{i}.jpg"), rate=20, node="web")],
        faults=[faults.Outage("images", "hub", at=0.2, duration=0.3)],
        service={Resize: service.LogNormal(mean=0.05, cv=0.4)},
    )


async def on_both_loops() -> tuple[Run, Run]:
    """The same scenario in simulated and in real time."""
    return simulate(rush(), seed=7), await run_real(rush())
