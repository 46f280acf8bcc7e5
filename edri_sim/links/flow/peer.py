"""All lanes between this router and one other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from edri_sim.links.flow.items import CONTROL, Item
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.flow.send import Row, SendLane


class Outgoing:
    """A lane to a router, with what tells its flow from others, and with what it holds."""

    def __init__(self, lane: int, outbox: int, generation: int, send: SendLane) -> None:
        self.lane = lane
        self.outbox = outbox
        self.generation = generation
        self.send = send
        self.events = 0
        self.bytes = 0
        self.latest: deque[Row] = deque()
        """Rows that a newer one may push out, oldest first; some may be settled."""
        self._ages: deque[Row] = deque()

    def push(self, item: Item) -> Row:
        """Put an item at the end of the lane."""
        row = self.send.push(item)
        self.events += 1
        self.bytes += item.size
        self._ages.append(row)
        if item.latest:
            self.latest.append(row)
        return row

    def release(self, item: Item) -> None:
        """The lane does not hold the item any more."""
        self.events -= 1
        self.bytes -= item.size

    def oldest(self) -> Row | None:
        """The row that has waited longest, of those that are not settled and not given up."""
        return _first(self._ages, self.send.base)

    def oldest_latest(self) -> Row | None:
        """The same, of those that a newer one may push out."""
        return _first(self.latest, self.send.base)


def _first(rows: deque[Row], base: int) -> Row | None:
    while rows and (rows[0].item is None or rows[0].seq < base):
        rows.popleft()
    return rows[0] if rows else None


class Peer:
    """Another router: its present life as far as it is known, and the lanes to and from it.

    ``held``: it began a new life, and it is not known yet what that wants.
    """

    def __init__(self, name: str, incarnation: int = 0) -> None:
        self.name = name
        self.incarnation = incarnation
        self.reachable = False
        self.held = False
        self.sends: dict[int, Outgoing] = {}
        self.receives: dict[int, ReceiveLane] = {}
        self.unhandled: dict[tuple[int, int], tuple[int, Item]] = {}
        """Seq and item of what has arrived and is kept until it was handled, by origin and number."""
        self.armed = math.inf

    def __repr__(self) -> str:
        return f"<Peer {self.name} {'up' if self.reachable else 'down'}>"

    @property
    def open(self) -> bool:
        """Whether it can be reached, and what it wants is known."""
        return self.reachable and not self.held

    def open_lanes(self) -> Iterator[Outgoing]:
        """The lanes that may send."""
        return (out for lane, out in self.sends.items() if lane == CONTROL or not self.held)

    def due(self, retention: float) -> float:
        """When something has to be done: a probe, an acknowledgement, or an event that is kept too long."""
        when = math.inf
        for out in self.sends.values():
            when = min(when, out.send.due)
            oldest = out.oldest()
            if oldest is not None:
                when = min(when, oldest.item.created + retention)
        for lane in self.receives.values():
            when = min(when, lane.due)
        for _, item in self.unhandled.values():
            return min(when, item.created + retention)
        return when

    def in_order(self, wanted: Callable[[Outgoing], bool] = lambda _: True) -> list[tuple[Outgoing, Row]]:
        """All rows that are neither settled nor given up, lane by lane."""
        return [(out, row) for out in self.sends.values() if wanted(out) for row in out.send.in_doubt()]
