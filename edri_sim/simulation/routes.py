"""Which links a connection crosses: the path of least latency between two machines."""

from __future__ import annotations

import errno
import math
from collections.abc import Container, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING

from edri_sim.simulation.cables import Direction, Link
from edri_sim.topology import Pair, pair_of

if TYPE_CHECKING:
    from edri_sim.simulation.flights import Flight
    from edri_sim.simulation.lines import Line

SEGMENT = 64 * 1024
"""Bytes that cross a disturbed path in one piece, at most (what Linux hands to a network card at once)."""


class Path:
    """The way from one machine to another: the directions of links that it crosses, and the machines between them.

    A path without links is a wire, of a latency that nothing changes. ``plain``: no link of it has jitter, limited
    bandwidth or a fault, so that bytes need not be followed from link to link. ``up``: bytes get through.
    """

    def __init__(
        self, latency: float, hops: Sequence[Direction] = (), relays: Sequence[str] = (), dark: Container[str] = ()
    ) -> None:
        self.latency = latency
        self.hops = hops
        self.relays = relays
        self.queues = tuple(hop for hop in self.hops if hop.spec.queue is not None)
        self.segment = min([SEGMENT, *(hop.spec.queue or SEGMENT for hop in self.queues)])
        self.lines: dict[Line, None] = {}
        self._dark = dark
        self.plain = self.up = True
        for hop in self.hops:
            hop.paths.append(self)
        self.update()

    def __repr__(self) -> str:
        return f"<Path {' '.join(hop.name for hop in self.hops) or 'wire'}, {self.latency:.9g} s>"

    def update(self) -> None:
        """Look at the links again: something has changed."""
        relayed = not any(relay in self._dark for relay in self.relays)
        self.up = relayed and not any(hop.cut for hop in self.hops)
        self.plain = relayed and all(hop.plain for hop in self.hops)
        for line in list(self.lines):
            line.settle()

    def leave_express(self) -> None:
        """Something is about to change: from here on, bytes go from link to link."""
        for line in list(self.lines):
            line.leave_express()

    def stops_at(self, number: int) -> bool:
        """Whether a machine between the ends has no power, and forwards nothing; they are numbered from 0."""
        return self.relays[number] in self._dark

    def delay(self) -> float:
        """Seconds that a packet takes that is sent now."""
        return math.fsum(hop.delay() for hop in self.hops) if self.hops else self.latency

    def place(self, flight: Flight, line: Line, now: float) -> None:
        """Put what left as if the path were one wire onto the link that it is on now, to go from link to link."""
        rest = 0.0  # seconds on the links after the one that is looked at
        for number in range(len(self.hops) - 1, -1, -1):
            flight.hop = number
            if not number or flight.due - rest - self.hops[number].spec.latency <= now:
                self.hops[number].carry(flight, line, flight.due - rest)
                break
            rest += self.hops[number].spec.latency
        flight.due = 0.0  # it left before anything was disturbed

    def full(self, size: int) -> Direction | None:
        """A link whose queue has no room for ``size`` bytes now."""
        return next((hop for hop in self.queues if hop.is_full(size)), None)


class Routes:
    """The paths between the machines that links join, made when they are first asked for."""

    def __init__(self, links: Mapping[Pair, Link]) -> None:
        self._neighbours: dict[str, dict[str, Direction]] = {}
        for link in links.values():
            for (a, b), direction in link.directions.items():
                self._neighbours.setdefault(a, {})[b] = direction
        self._paths: dict[Pair, Path] = {}
        self._dark: dict[str, None] = {}

    def knows(self, name: str) -> bool:
        """Whether a machine is on any link."""
        return name in self._neighbours

    def path(self, a: str, b: str) -> Path:
        """The path of least latency, then of fewest links, then of the first names.

        Raises:
            OSError: ENETUNREACH, no links lead there.
        """
        if (a, b) not in self._paths:
            self._add(a, b)
        return self._paths[a, b]

    def darken(self, name: str) -> None:
        """A machine has no power, and forwards nothing."""
        for path in self._through(name):
            path.leave_express()
        self._dark[name] = None
        for path in self._through(name):
            path.update()

    def lighten(self, name: str) -> None:
        """A machine has power again."""
        if name in self._dark:
            del self._dark[name]
            for path in self._through(name):
                path.update()

    def _through(self, name: str) -> list[Path]:
        return [path for path in self._paths.values() if name in path.relays]

    def _add(self, a: str, b: str) -> None:
        machines = _least_latency(self._neighbours, *pair_of(a, b))
        if machines is None:
            raise OSError(errno.ENETUNREACH, f"Network is unreachable: no links lead from '{a}' to '{b}'")
        for way in (machines, machines[::-1]):
            hops = [self._neighbours[here][there] for here, there in pairwise(way)]
            latency = math.fsum(hop.spec.latency for hop in hops)
            self._paths[way[0], way[-1]] = Path(latency, hops, way[1:-1], self._dark)


def _least_latency(neighbours: Mapping[str, Mapping[str, Direction]], start: str, goal: str) -> tuple[str, ...] | None:
    """Dijkstra's algorithm; the machines on the way, both ends included."""
    heap: list[tuple[float, int, tuple[str, ...]]] = [(0.0, 0, (start,))]
    done: dict[str, None] = {}
    while heap:
        latency, links, way = heappop(heap)
        if way[-1] == goal:
            return way
        if way[-1] in done:
            continue
        done[way[-1]] = None
        for name, direction in neighbours[way[-1]].items():
            if name not in done:
                heappush(heap, (latency + direction.spec.latency, links + 1, (*way, name)))
    return None
