"""The links of the physical network: what one does to the bytes that cross it, and what faults do to it."""

from __future__ import annotations

import math
import random
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edri_sim.simulation.flights import Flight
    from edri_sim.simulation.handles import Timer
    from edri_sim.simulation.kernel import Kernel
    from edri_sim.simulation.lines import Line
    from edri_sim.simulation.routes import Path
    from edri_sim.topology import LinkSpec


class Effect(NamedTuple):
    """What a fault does to one direction of a link: seconds that it adds, bytes per second that it leaves."""

    cut: bool = False
    latency: float = 0.0
    jitter: float = 0.0
    rate: float = math.inf


CUT = Effect(cut=True)


class Direction:
    """One direction of a link: a queue, a line of limited rate behind it, and a stretch that takes time to cross.

    Effects last from :meth:`impose` to :meth:`lift`: added latencies add up, of several rates the lowest counts, and
    with any cut nothing passes. What is under way at a cut is lost.
    """

    def __init__(self, kernel: Kernel, spec: LinkSpec, a: str, b: str, seed: object) -> None:
        self.name = f"{a}>{b}"
        self.spec = spec
        self.cut = False
        self.plain = False
        self.paths: list[Path] = []
        self._kernel = kernel
        self._env = kernel.env
        self._seed = seed
        self.crossed = 0
        """Bytes that have crossed, where the bandwidth is limited: elsewhere many take a shorter way than this code."""
        self._effects: dict[object, Effect] = {}
        self._carried: dict[Flight, Line] = {}
        self._queue: deque[Flight] = deque()
        self._left = 0.0  # bytes of the first in the queue that have not been put on the wire at `_since`
        self._since = 0.0
        self._next: Timer | None = None
        self._booked: dict[Flight, None] = {}
        self._booked_size = 0
        self._waiting: dict[Line, None] = {}
        self._offering = False
        self._rate = math.inf
        self._take_effects()

    def __repr__(self) -> str:
        return f"<Direction {self.name}{' cut' if self.cut else ''}>"

    # What is in effect --------------------------------------------------------------------------------------------

    def impose(self, key: object, effect: Effect) -> None:
        """Let ``effect`` last until it is lifted by its ``key``."""
        self._effects[key] = effect
        self._change()

    def lift(self, key: object) -> None:
        """End an effect."""
        if self._effects.pop(key, None) is not None:
            self._change()

    def _change(self) -> None:
        # First, for where bytes are on a path is told by the latencies until now.
        for path in self.paths:
            path.leave_express()
        before = self._rate
        self._take_effects()
        if self._queue and self._rate != before:
            self._change_rate(before)
        if self.cut:
            self._lose_all()
        for path in self.paths:
            path.update()

    def _take_effects(self) -> None:
        spec, effects = self.spec, self._effects.values()
        self.cut = any(effect.cut for effect in effects)
        self.latency = math.fsum([spec.latency, *(effect.latency for effect in effects)])
        self._jitter = math.fsum([spec.jitter, *(effect.jitter for effect in effects)])
        self._rate = min([spec.bandwidth or math.inf, *(effect.rate for effect in effects)])
        self.plain = not effects and not spec.jitter and spec.bandwidth is None

    @cached_property
    def _random(self) -> random.Random:
        """Made with the first need: its state takes as much as the rest of a link."""
        return random.Random(f"{self._seed}/link/{self.name}")

    def delay(self) -> float:
        """Seconds that the next bytes take to cross: the latency, and by chance up to the jitter."""
        return self.latency + self._jitter * self._random.random() if self._jitter else self.latency

    # Bytes that cross ---------------------------------------------------------------------------------------------

    def enter(self, flight: Flight, line: Line) -> None:
        """Take what has come to this end: it is lost if the link is cut, else it queues and crosses."""
        if self.cut:
            line.lose(flight)
            return
        flight.on = self
        self._carried[flight] = line
        if self._rate == math.inf and not self._queue:
            self._cross(flight)
            return
        self._queue.append(flight)
        if len(self._queue) == 1:
            self._begin()

    def carry(self, flight: Flight, line: Line, until: float) -> None:
        """Take what is on this link already, and leaves it at ``until`` (seconds)."""
        flight.on = self
        self._carried[flight] = line
        line.leave_at(flight, until)

    def _begin(self) -> None:
        self._left = self._queue[0].size
        self._schedule()

    def _schedule(self) -> None:
        self._since = self._env._now
        self._next = self._kernel.call_at(self._since + self._left / self._rate, self._sent)

    def _sent(self) -> None:
        flight = self._queue.popleft()
        self._next = None
        if self._queue:
            self._begin()
        self._cross(flight)

    def _change_rate(self, before: float) -> None:
        assert self._next is not None
        self._next.cancel()
        sent = 0.0 if before == math.inf else (self._env._now - self._since) * before
        self._left = max(0.0, self._left - sent)
        self._schedule()

    def _cross(self, flight: Flight) -> None:
        self.crossed += flight.size
        self._carried[flight].leave_at(flight, self._env._now + self.delay())
        self.give_back(flight)

    def left(self, flight: Flight) -> None:
        """It has come to the other end."""
        del self._carried[flight]

    def drop(self, flight: Flight) -> None:
        """Forget what is lost."""
        del self._carried[flight]
        if flight not in self._queue:
            return
        first = self._queue[0] is flight
        self._queue.remove(flight)
        if first:
            assert self._next is not None
            self._next.cancel()
            self._next = None
            if self._queue:
                self._begin()

    def _lose_all(self) -> None:
        while self._carried:
            flight, line = next(iter(self._carried.items()))
            line.lose(flight)

    # The bound of the queue ---------------------------------------------------------------------------------------

    def is_full(self, size: int) -> bool:
        """Whether ``size`` bytes more have to wait; an empty queue takes anything."""
        return self._booked_size > 0 and self._booked_size + size > (self.spec.queue or math.inf)

    def wait(self, line: Line) -> None:
        """Offer room to ``line`` when there is some, after those that wait already."""
        self._waiting.setdefault(line)

    def book(self, flight: Flight) -> None:
        """Keep room in the queue for what is on its way to it."""
        self._booked[flight] = None
        self._booked_size += flight.size

    def give_back(self, flight: Flight) -> None:
        """The room is free again."""
        if flight not in self._booked:
            return
        del self._booked[flight]
        self._booked_size -= flight.size
        if self._waiting and not self._offering:
            self._offering = True
            self._kernel.call_soon(self._offer)

    def _offer(self) -> None:
        """Let each that waits send one piece, in turn."""
        self._offering = False
        waiting, self._waiting = self._waiting, {}
        served = [line for line in waiting if line.send_one()]
        for line in served:
            if line.held:
                self._waiting.setdefault(line)


class Link:
    """A link of the topology, in both directions."""

    def __init__(self, kernel: Kernel, spec: LinkSpec, seed: object) -> None:
        self.spec = spec
        self.name = str(spec)
        self.directions = {(a, b): Direction(kernel, spec, a, b, seed) for a, b in ((spec.a, spec.b), (spec.b, spec.a))}

    def __repr__(self) -> str:
        return f"<Link {self.name} {'up' if self.up else 'down'}>"

    @property
    def up(self) -> bool:
        """Whether bytes pass in both directions."""
        return not any(direction.cut for direction in self.directions.values())
