"""The deadlines of all requests of a router: one heap and at most one timer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

from edri_sim.envelope import SETTLED, Envelope

_SLACK = 64


def check_timeout(what: str, timeout: Any) -> float:
    """The timeout itself (seconds; infinity is one). Raises ValueError unless it is a number above 0."""
    if not (isinstance(timeout, (float, int)) and timeout > 0):
        raise ValueError(f"{what}: timeout={timeout!r}: expected seconds above 0")
    seconds: float = timeout
    return seconds


Entry = tuple[float, int, int, Envelope]
"""When to look, the number of the request, and a ticket: requests of several routers may have one number."""


class Deadlines:
    """Calls ``expire(envelope)`` for each request that is not settled when its time comes.

    The timer is armed for the earliest entry only, and is left armed when that entry is settled in time: most
    requests end long before their deadline, and so cost one push and no timer. ``live`` is how many are unsettled;
    the router keeps it.
    """

    __slots__ = ("_armed", "_expire", "_heap", "_held", "_loop", "_ticket", "_timer", "live")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[Envelope], None]) -> None:
        self.live = 0
        self._loop = loop
        self._expire = expire
        self._heap: list[Entry] = []
        self._held: dict[Envelope, None] = {}
        self._armed = math.inf
        self._ticket = count().__next__
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, envelope: Envelope) -> None:
        """Watch a new request until its deadline."""
        self.live += 1
        self.add(envelope.deadline, envelope)

    def add(self, when: float, envelope: Envelope) -> None:
        """Look at ``envelope`` again at ``when`` (seconds on the loop's clock)."""
        heap = self._heap
        if len(heap) > 2 * self.live + _SLACK:
            self._compact()
        heappush(heap, (when, envelope.number, self._ticket(), envelope))
        if when < self._armed:
            self._arm(when)

    def hold(self, envelope: Envelope) -> None:
        """What was watched has no deadline any more: it stays unsettled until it is let go."""
        envelope.deadline = math.inf
        self._held[envelope] = None

    def let_go(self, envelope: Envelope) -> None:
        """What may be held is settled."""
        self._held.pop(envelope, None)

    def idle(self) -> bool:
        """Whether the armed timer waits for nothing: such a timer does not keep a simulation running."""
        return self.live == len(self._held)

    def unsettled(self) -> list[Envelope]:
        """Every request that has not ended, in order of publication."""
        watched = {envelope: None for _, _, _, envelope in self._heap if envelope.state != SETTLED}
        return sorted(watched | self._held, key=_number)

    def __call__(self) -> None:
        """The timer: expire what is due, forget what is settled, arm for the next."""
        self._armed = math.inf
        self._timer = None
        heap = self._heap
        now = self._loop.time()
        due = []
        while heap and (heap[0][3].state == SETTLED or heap[0][0] <= now):
            due.append(heappop(heap))
        # The newest first: a request that a handler made ends before the one that the handler works on, and so can
        # tell it why.
        for envelope in sorted([entry[3] for entry in due], key=_number, reverse=True):
            if envelope.state != SETTLED and envelope.deadline < math.inf:
                self._expire(envelope)
        if heap and heap[0][0] < self._armed:
            self._arm(heap[0][0])

    def close(self) -> None:
        """Drop the timer and all entries."""
        self._heap.clear()
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = when
        self._timer = self._loop.call_at(when, self)

    def _compact(self) -> None:
        self._heap[:] = [entry for entry in self._heap if entry[3].state != SETTLED]
        heapify(self._heap)


def _number(envelope: Envelope) -> int:
    return envelope.number
