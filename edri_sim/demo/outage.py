"""An outage between two nodes: the same topology, the same photos and the same cut link, in both loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edri_sim import trace
from edri_sim.demo.drive import Requester
from edri_sim.errors import RequestError
from edri_sim.events import Notification, Request, event
from edri_sim.faults import Outage
from edri_sim.links.address import Address
from edri_sim.links.switch import Switch
from edri_sim.managers.manager import Manager
from edri_sim.managers.worker import handles
from edri_sim.node import Node, part
from edri_sim.realtime.chaos import LOOPBACK, Proxy
from edri_sim.realtime.deployment import Deployment
from edri_sim.realtime.host import LocalHost
from edri_sim.run import SECOND, Run
from edri_sim.settings import Settings
from edri_sim.simulation.simulate import Simulation
from edri_sim.topology import Topology
from edri_sim.traffic import Account, account

CAMERA, ALBUM, HUB = "camera", "album", "hub"
PATIENCE = 60.0
"""Seconds until the camera gives up hope that all its photos have arrived."""


@event
class Taken(Notification):
    """The camera has taken its photo ``number``."""

    number: int
    photo: str


@event
class Pages(Request[list[int]]):
    """Ask for the numbers of all photos that the album has filed, in the order in which they came."""


class Album(Manager):
    """Files photos; ``advance`` is called for each."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance
        self._filed: list[int] = []

    @handles
    async def taken(self, event: Taken) -> None:
        """File it."""
        self._filed.append(event.number)
        self._advance()

    @handles
    async def pages(self, _: Pages) -> list[int]:
        """All that was filed."""
        return list(self._filed)


class Camera(Requester, Protocol):
    """What taking photos needs of a node."""

    async def notify(self, event: Notification) -> None:
        """Send a notification."""

    async def subscribed(self, event: type[Any], count: int = 1, *, timeout: float | None = None) -> None:
        """Return once ``count`` nodes want such events."""


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens; in seconds. A photo of ``photos``, in turn, is taken ``every`` so often.

    The link is cut ``cut`` seconds after the first one, and healed ``duration`` later.
    """

    photos: Sequence[str]
    cut: float = 0.6
    duration: float = 1.5
    length: float = 4.0
    every: float = 0.005

    @property
    def count(self) -> int:
        """How many photos are taken."""
        return round(self.length / self.every)

    @property
    def fault(self) -> Outage:
        """The outage."""
        return Outage(CAMERA, HUB, self.cut, self.duration)


@dataclass(frozen=True, slots=True)
class Crossed:
    """What came of the outage in one loop: the trace, and the numbers of the photos as the album filed them."""

    run: Run
    filed: list[int]

    @property
    def account(self) -> Account:
        """What the camera owed the album: the photos, and one request."""
        return account(self.run.traffic.between(CAMERA, ALBUM))

    @property
    def longest_wait(self) -> float:
        """The most seconds between an event's acceptance by the outbox and its delivery; 0 if nothing arrived."""
        waits = (
            each.delivered - each.accepted
            for each in self.run.traffic.between(CAMERA, ALBUM)
            if each.delivered is not None and each.accepted is not None
        )
        return max(waits, default=0) / SECOND


@dataclass(frozen=True, slots=True)
class OutageShow:
    """Both loops' outages, and the topology and the plan that they share."""

    topology: Topology
    plan: Plan
    real: Crossed
    simulated: Crossed

    def kept(self, side: Crossed) -> bool:
        """Whether every photo arrived there, once, and in order."""
        return side.filed == list(range(self.plan.count))

    @property
    def verdicts(self) -> list[tuple[str, str, bool]]:
        """For each loop its name, what came of the photos in words, and whether they were kept."""
        return [
            (name, self._words(side), self.kept(side))
            for name, side in (("real time", self.real), ("simulated time", self.simulated))
        ]

    def _words(self, side: Crossed) -> str:
        count, filed = self.plan.count, len(side.filed)
        arrived = (
            f"{filed} of {count} photos filed, once each, in order"
            if self.kept(side)
            else f"{filed} photos filed of {count}, and not each of them once and in order"
        )
        return f"{arrived}; {side.account.held} held in the outbox, for {side.longest_wait:.2f} s at most"

    @property
    def complete(self) -> bool:
        """Whether every photo arrived in both loops, once each, and in order."""
        return self.kept(self.real) and self.kept(self.simulated)


def perform(plan: Plan, *, seed: int, advance: Callable[[], None]) -> OutageShow:
    """Run both; ``advance`` is called for each photo that is filed. Raises what the start of a node raises."""
    shared = topology(advance)
    real = asyncio.run(cross(shared, plan))
    return OutageShow(shared, plan, real, simulate(shared, plan, seed))


def topology(advance: Callable[[], None]) -> Topology:
    """A camera and an album, each joined to one switch."""
    pair = Topology("camera-and-album")
    pair.switch(HUB)
    pair.node(CAMERA, switch=HUB)
    pair.node(ALBUM, part(Album, advance), switch=HUB)
    return pair


async def ready(camera: Camera) -> None:
    """Return once the camera knows that there is an album."""
    for kind in (Taken, Pages):
        await camera.subscribed(kind)


async def take(camera: Camera, plan: Plan) -> list[int]:
    """Take all photos; returns what the album has filed by then, nothing if it does not answer.

    The request goes the way of the photos, and stays behind them.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(plan.count):
        await camera.notify(Taken(number, Path(plan.photos[number % len(plan.photos)]).name))
        await asyncio.sleep(begin + (number + 1) * plan.every - loop.time())
    try:
        return await camera.request(Pages(), timeout=PATIENCE)
    except RequestError:
        return []


def as_json(show: OutageShow) -> dict[str, Any]:
    """The outage for programs; times in seconds."""
    plan = show.plan
    sides = {"real": show.real, "simulated": show.simulated}
    return {
        "ok": show.complete,
        "link": f"{plan.fault.a}-{plan.fault.b}",
        "at": plan.cut,
        "duration": plan.duration,
        "photos": plan.count,
        **{name: {"ok": show.kept(side), **_side_json(side)} for name, side in sides.items()},
    }


def _side_json(side: Crossed) -> dict[str, Any]:
    return {
        "filed": len(side.filed),
        **side.account._asdict(),
        "longest_wait": side.longest_wait,
        "digest": side.run.digest,
    }


# Simulated time


def simulate(topology: Topology, plan: Plan, seed: int) -> Crossed:
    """The outage in simulated time."""
    with Simulation(topology, seed=seed, faults=[plan.fault]) as simulation:
        filed = simulation.run(_simulated(simulation.node(CAMERA), plan))
        assert filed is not None  # There is no `until` at which it could have stopped early.
        return Crossed(simulation.result(), filed)


async def _simulated(camera: Camera, plan: Plan) -> list[int]:
    await ready(camera)
    return await take(camera, plan)


# Real time


async def cross(topology: Topology, plan: Plan) -> Crossed:
    """The outage in real time: switch and nodes in this program, and a proxy on the link that is cut.

    Raises what the start of a node raises.
    """
    settings = Settings(trace="full")
    host = LocalHost(settings)  # One for all of them, so that one recorder has what each of them saw.
    listen = Deployment(topology, settings, [HUB]).switches[HUB].listen
    async with (
        Switch(HUB, str(listen), host),
        _link(listen) as (proxy, port),
        _node(topology, ALBUM, str(listen), host, settings),
        _node(topology, CAMERA, f"{LOOPBACK}:{port}", host, settings) as camera,
    ):
        await ready(camera)
        async with asyncio.TaskGroup() as group:
            group.create_task(_cut(proxy, plan, host.trace))
            filed = await take(camera, plan)
    return Crossed(Run(host.recorder, simulated=False), filed)


@asynccontextmanager
async def _link(target: Address) -> AsyncIterator[tuple[Proxy, int]]:
    """A proxy to the switch, and its port."""
    proxy = Proxy((target.host, target.port))
    try:
        yield proxy, await proxy.start()
    finally:
        await proxy.close()


def _node(topology: Topology, name: str, switch: str, host: LocalHost, settings: Settings) -> Node:
    return Node(name, *topology.nodes[name].parts, switches=[switch], host=host, settings=settings)


async def _cut(proxy: Proxy, plan: Plan, record: trace.Trace) -> None:
    component, name = record.component("faults"), str(plan.fault)
    await asyncio.sleep(plan.cut)
    proxy.cut()
    record.mark(trace.FAULT_BEGINS, component, name)
    try:
        await asyncio.sleep(plan.duration)
    finally:
        proxy.heal()
        record.mark(trace.FAULT_ENDS, component, name)
