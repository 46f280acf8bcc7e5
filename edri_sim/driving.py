"""Publishing what a load says, on whichever loop runs, and counting what came of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from edri_sim.errors import HostDown, NodeStopped, RequestError
from edri_sim.events import Request
from edri_sim.host import RandomStream
from edri_sim.load import Clients, Event, Load, OpenLoad
from edri_sim.topology import Topology

STEPS = 100
"""How often it is said how far a run has come."""

Progress = Callable[[float], None]
"""Told the share of a run's duration that has passed, 0 to 1."""


class Door(Protocol):
    """What a load needs of its node."""

    async def request(self, event: Request[Any], *, timeout: float | None = None) -> Any:
        """Send a request, return its reply."""

    async def notify(self, event: Any) -> None:
        """Send a notification."""


class Place(Protocol):
    """A node of a scenario, on either loop or in a process of its own."""

    async def takes(self, event: type[Any]) -> bool:
        """Whether a part of it takes events of this class."""

    async def subscribed(self, event: type[Any], count: int = 1, *, timeout: float | None = None) -> None:
        """Return once it knows ``count`` nodes, itself included, that want events of this class."""

    async def settled(self) -> None:
        """Return once nothing that it published to others waits."""


async def meet(loads: Iterable[Load], topology: Topology, places: Mapping[str, Place], patience: float) -> None:
    """Return once each node that publishes knows all that take what it does.

    Raises:
        NoRoute: it does not after ``patience`` seconds.
    """
    joined = [place for name, place in places.items() if topology.nodes[name].switches]
    takers: dict[type[Event], int] = {}
    for load in loads:
        event = load.event_type()
        if topology.nodes[load.node].switches:
            if event not in takers:
                takers[event] = sum([await place.takes(event) for place in joined])
            await places[load.node].subscribed(event, takers[event], timeout=patience)


@dataclass(slots=True)
class Tally:
    """What became of one load: ``offered == ended + missed + sum(failed) + open``.

    ``missed`` are the events that found their node down, or lost it; of the former its trace knows nothing.
    """

    load: Load
    offered: int = 0
    ended: int = 0
    missed: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """Those of which the end was not seen."""
        return self.offered - self.ended - self.missed - self.failed.total()

    def __str__(self) -> str:
        words = [f"{self.load}: {self.offered} offered, {self.ended} ended"]
        words += [f"{number} {code}" for code, number in self.failed.items()]
        words += [f"{number} {name}" for name, number in (("missed", self.missed), ("open", self.open)) if number]
        return ", ".join(words)


class Driver:
    """Publishes the events of one load through ``door``.

    The run that it is a part of takes ``duration`` seconds; ``stream`` is where chance comes from. One that goes on in
    the place of another, ``since`` seconds after the run began, passes over what that had ``offered``, and counts as
    missed what was due meanwhile.
    """

    def __init__(
        self, load: Load, door: Door, stream: RandomStream, duration: float, *, since: float = 0.0, offered: int = 0
    ) -> None:  # fmt: skip
        self.tally = Tally(load)
        self._since = since
        self._offered = offered
        self._door = door
        self._stream = stream
        self._duration = duration
        self._make = load.maker()
        self._numbers = count(offered)

    async def run(self) -> None:
        """Begin now, and return when the load is over and its events have ended; cancelled, it leaves those open."""
        load = self.tally.load
        async with asyncio.TaskGroup() as group:
            if isinstance(load, Clients):
                for _ in range(load.count):
                    group.create_task(self._client(load))
            else:
                assert isinstance(load, OpenLoad)
                await self._arrive(load, group.create_task)

    async def _arrive(self, load: OpenLoad, start: Callable[[Any], Any]) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time() - self._since
        for number, at in enumerate(load.arrivals(self._stream, self._duration)):
            if at < self._since:
                self._miss(number)
                continue
            pause = begin + at - loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            start(self._send(self._make(number)))

    def _miss(self, number: int) -> None:
        """The event of this number was due before this driver began."""
        if number >= self._offered:
            self.tally.offered += 1
            self.tally.missed += 1

    async def _client(self, load: Clients) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() - self._since + load.end(self._duration)
        await asyncio.sleep(max(0.0, load.start - self._since))
        well = True
        while True:
            pause = load.pause(self._stream, failed=not well)
            if loop.time() + pause >= end:
                return
            await asyncio.sleep(pause)
            well = await self._send(self._make(next(self._numbers)))

    async def _send(self, event: Event) -> bool:
        """Publish one event and wait for its end; whether it ended well."""
        tally, door = self.tally, self._door
        tally.offered += 1
        try:
            if isinstance(event, Request):
                await door.request(event, timeout=tally.load.timeout)
            else:
                await door.notify(event)
        except (HostDown, NodeStopped):
            tally.missed += 1
        except RequestError as error:
            tally.failed[error.code] += 1
        else:
            tally.ended += 1
            return True
        return False


async def pass_time(begin: float, duration: float, progress: Progress) -> None:
    """Sleep until ``duration`` seconds after ``begin`` on the loop's clock, and say at each hundredth how far it is.

    The steps are there whether somebody looks or not, so that it is the same run.
    """
    loop = asyncio.get_running_loop()
    for step in range(1, STEPS + 1):
        await asyncio.sleep(max(0.0, begin + duration * step / STEPS - loop.time()))
        progress(step / STEPS)


def unseen(_: float) -> None:
    """Nobody looks."""


def first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception of those that a task group, or one inside it, has collected."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
