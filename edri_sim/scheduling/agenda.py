"""What is due next, by one clock: a heap, and at most one timer, set for the first of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count

import msgspec

from edri_sim.scheduling.events import Missed, PackedEvent
from edri_sim.scheduling.instants import Clock
from edri_sim.scheduling.rules import Rule

_SLACK = 64


class Spec(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for, as it is written down: ``at`` in microseconds since 1970, the others in seconds."""

    id: str
    event: PackedEvent
    at: int | None
    every: float | None
    cron: str | None
    tz: str | None
    jitter: float
    missed: Missed


@dataclass(slots=True, eq=False)
class Entry:
    """One schedule, with its next occurrence, in microseconds.

    ``due`` is when its rule says, and ``fire``, up to ``jitter`` later, when it is published, both by the rule's clock.
    ``last`` is the due time of the occurrence fired last, by the wall clock. ``gone``: it was removed or replaced.
    """

    spec: Spec
    rule: Rule
    jitter: int
    due: int
    fire: int
    last: int | None = None
    gone: bool = False


class Agenda:
    """The entries of one clock; ``ring()`` is called when the first of them is to be published."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self.clock = clock
        self._ring = ring
        self._heap: list[tuple[int, int, Entry]] = []
        self._ticket = count().__next__
        self._armed: int | None = None
        self._disarm: Callable[[], None] = lambda: None

    def put(self, entry: Entry) -> None:
        """Add an entry, unless it is gone."""
        if not entry.gone:
            heappush(self._heap, (entry.fire, self._ticket(), entry))

    def tidy(self, living: int) -> None:
        """Let go of what is gone, if that is most of the heap; ``living`` entries are not."""
        if len(self._heap) > 2 * living + _SLACK:
            self._heap[:] = [item for item in self._heap if not item[2].gone]
            heapify(self._heap)

    def take(self) -> list[Entry]:
        """Take out all that are to be published now, in order of their time."""
        now = self.clock.now()
        taken = []
        while (first := self._first()) is not None and first <= now:
            taken.append(heappop(self._heap)[2])
        return taken

    def _first(self) -> int | None:
        while self._heap and self._heap[0][2].gone:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def arm(self) -> None:
        """Set the timer for the first entry; no entry, no timer."""
        first = self._first()
        if first == self._armed:
            return
        self.disarm()
        if first is not None:
            self._armed = first
            self._disarm = self.clock.call_at(first, self._fired)

    def _fired(self) -> None:
        self._armed = None
        self._ring()

    def disarm(self) -> None:
        """Have no timer, until :meth:`arm` is called again."""
        self._disarm()
        self._disarm = lambda: None
        self._armed = None
