"""All lanes between this router and one other."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import msgspec

from edri_sim.links.flow.items import CONTROL, EVENTS, Item
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.flow.send import Row, SendLane

EventKey = tuple[int, int]
"""Origin and number of an event: with the router that sends it, the event id."""


class Outgoing:
    """A lane to a router, with what tells its flow from others, and with what it holds."""

    def __init__(self, lane: int, outbox: int, generation: int, send: SendLane, *, durable: bool) -> None:
        self.lane = lane
        self.outbox = outbox
        self.generation = generation
        self.send = send
        self.durable = durable
        self.closes = 0
        """The lane from the other router that is done with, as this one is, once what is on this one has settled."""
        self.events = 0
        self.bytes = 0
        self._ages = Waiting()
        self._latest: Waiting | None = None

    def push(self, item: Item, row: Row | None = None) -> Row:
        """Put an item at the end of the lane; in its ``row``, if it comes from another flow."""
        row = self.send.push(item, row)
        self.track(row)
        return row

    def track(self, row: Row) -> None:
        """The lane holds the item of a row."""
        item: Item = row.item
        self.events += 1
        self.bytes += item.size
        self._ages.add(row, self)
        if item.latest:
            self._latest = self._latest or Waiting()
            self._latest.add(row, self)

    def release(self, item: Item) -> None:
        """The lane does not hold the item any more."""
        self.events -= 1
        self.bytes -= item.size

    @property
    def idle(self) -> bool:
        """Whether nothing is on it, and nothing is asked."""
        return not self.send.rows and self.send.due == math.inf

    def holds(self, row: Row) -> bool:
        """Whether the row is neither settled nor given up."""
        return row.item is not None and self.send.rows.get(row.seq) is row

    def oldest(self) -> Row | None:
        """The row that has waited longest, of those that are not settled and not given up."""
        return self._ages.first(self)

    def oldest_latest(self) -> Row | None:
        """The same, of those that a newer one may push out."""
        return self._latest.first(self) if self._latest is not None else None


class Waiting:
    """Rows of a lane in the order in which they came; those that it does not hold any more leave in time."""

    def __init__(self) -> None:
        self._rows: deque[Row] = deque()

    def add(self, row: Row, out: Outgoing) -> None:
        """The newest."""
        rows = self._rows
        rows.append(row)
        if len(rows) > 2 * out.events + 64:  # An old one that stays must not keep those that came and went after it.
            self._rows = deque(row for row in rows if out.holds(row))

    def first(self, out: Outgoing) -> Row | None:
        """The oldest that the lane holds."""
        rows = self._rows
        while rows and not out.holds(rows[0]):
            rows.popleft()
        return rows[0] if rows else None


class Kept(msgspec.Struct, eq=False):
    """An item that is kept until a handler has returned from it, and the place that it had."""

    generation: int
    seq: int
    item: Item
    arrived: bool = False


class Peer:
    """Another router: its present life as far as it is known, and the lanes to and from it.

    ``held``: it began a new life, and it is not known yet what that wants.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.incarnation = 0
        self.reachable = False
        self.held = False
        self.sends: dict[int, Outgoing] = {}
        self.busy: dict[int, Outgoing] = {}
        """Those of them on which something may be under way, so that a tunnel costs nothing while it is idle."""
        self.receives: dict[int, ReceiveLane] = {}
        self.heard: dict[int, ReceiveLane] = {}
        """Those of them that may have something to acknowledge."""
        self.expected: dict[int, None] = {}
        """The lanes of tunnels that it may send on."""
        self.kept: dict[EventKey, Kept] = {}
        """What is kept until it was handled, in the order in which it came."""
        self.armed = math.inf

    def __repr__(self) -> str:
        return f"<Peer {self.name} {'up' if self.reachable else 'down'}>"

    @property
    def open(self) -> bool:
        """Whether it can be reached, and what it wants is known."""
        return self.reachable and not self.held

    def may_send(self, lane: int) -> bool:
        """Whether what is on a lane may go out."""
        return self.reachable and (lane == CONTROL or not self.held)

    def settle(self, out: Outgoing) -> None:
        """Forget a lane that is done with, if all that was on it has settled, and the one that it closes."""
        if out.closes and not out.send.rows:
            self.end(out.lane)
            self.forget_lane(out.closes)

    def begin(self, out: Outgoing) -> None:
        """Send on a lane from now on, in place of what was there."""
        self.sends[out.lane] = self.busy[out.lane] = out
        out.send.reachable = self.may_send(out.lane)

    def end(self, lane: int) -> Outgoing | None:
        """Send on a lane no more."""
        self.busy.pop(lane, None)
        return self.sends.pop(lane, None)

    def hear(self, number: int, lane: ReceiveLane) -> None:
        """Something came on a lane."""
        self.receives[number] = self.heard[number] = lane

    def rest(self) -> None:
        """Pass over the lanes of tunnels on which nothing is under way, until something is."""
        for number in [number for number, out in self.busy.items() if number > EVENTS and out.idle]:
            del self.busy[number]
        for number in [number for number, lane in self.heard.items() if number > EVENTS and lane.due == math.inf]:
            del self.heard[number]

    def forget_lane(self, lane: int) -> None:
        """Take nothing more on the lane of a tunnel; 0 is none."""
        if lane:
            self.expected.pop(lane, None)
            self.receives.pop(lane, None)
            self.heard.pop(lane, None)

    def forget_tunnels(self) -> None:
        """It began a new life, which knows nothing of the tunnels with the former one."""
        self.expected = {}
        self.receives = {lane: receiving for lane, receiving in self.receives.items() if lane <= EVENTS}
        self.heard = dict(self.receives)

    def connect(self, now: float) -> None:
        """Go on with all lanes that may send."""
        self.busy = dict(self.sends)
        for out in self.sends.values():
            if self.may_send(out.lane):
                out.send.connect(now)

    def due(self, retention: float) -> float:
        """When something has to be done: a probe, an acknowledgement, or an event that is kept too long."""
        when = math.inf
        for out in self.busy.values():
            when = min(when, out.send.due)
            oldest = out.oldest()
            if oldest is not None:
                when = min(when, oldest.item.created + retention)
        for lane in self.heard.values():
            when = min(when, lane.due)
        for kept in self.kept.values():
            return min(when, kept.item.created + retention)
        return when

    def in_order(self, wanted: Callable[[Outgoing], bool] = lambda _: True) -> list[tuple[Outgoing, Row]]:
        """All rows that are neither settled nor given up, lane by lane."""
        return [(out, row) for out in self.sends.values() if wanted(out) for row in out.send.in_doubt()]
