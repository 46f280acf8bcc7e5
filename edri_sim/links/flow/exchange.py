"""All flows of one router: what the shell that has the wire and the clock talks to.

No I/O and no clock: frames and the time go in; frames (:meth:`Exchange.frames`), news and, for a durable outbox,
changes come out when they are pulled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from edri_sim import trace
from edri_sim.links.flow.answers import Answers
from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.incoming import Incoming, Observe
from edri_sim.links.flow.items import CONTROL, EVENTS, Change, Item, Limits, News, Payload
from edri_sim.links.flow.lives import Lives
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import Row
from edri_sim.links.frames import (
    GAP,
    HANDLED,
    HANDLED_WANTED,
    REDELIVERED,
    Ack,
    Data,
    Frame,
    RawFrame,
    Reset,
    Sync,
    encode,
)

Ready = tuple[str, bytes]
"""A frame, after the router that it goes to."""


class Exchange:
    """The flows of the router ``node`` in this life, its ``incarnation``.

    ``outbox`` is the identity of a durable outbox, which lives longer; None for one in memory. ``observe`` is told of
    what is sent, resent and found to be a duplicate.
    """

    def __init__(
        self, node: str, incarnation: int, *, outbox: int | None = None, limits: Limits | None = None,
        observe: Observe | None = None,
    ) -> None:  # fmt: skip
        self.node = node
        self.incarnation = incarnation
        self.limits = limits or Limits()
        self._observe = observe
        self._holdings = Holdings(incarnation, outbox, self.limits)
        self._lives = Lives(self._holdings)
        answers = Answers(self._holdings, self._lives)
        self._incoming = Incoming(node, incarnation, self._news_of, answers.handled, observe)
        self._wakes: list[tuple[float, int, Peer]] = []
        self._ticket = count().__next__
        self._handlers: dict[type[Frame], Callable[[Peer, Any, int, float], None]] = {
            Data: self._incoming.data, Sync: self._incoming.sync, Ack: answers.ack, Reset: answers.reset,
        }  # fmt: skip
        self.up = self._lives.up
        self.down = self._lives.down
        self.learn_life = self._lives.learn
        self.admit = self._lives.admit
        self.forget = self._lives.forget
        self.settle_handled = answers.handled
        self.peer = self._holdings.peer

    @property
    def peers(self) -> dict[str, Peer]:
        """What is between this router and each other, by name."""
        return self._holdings.peers

    @property
    def bytes(self) -> int:
        """Bytes of all payloads that are held."""
        return self._holdings.bytes

    def renumber(self, incarnation: int) -> None:
        """This life has another number than was thought; only before anything was sent or received."""
        self._holdings.renumber(incarnation)
        self.incarnation = self._incoming.incarnation = incarnation

    def _news_of(self, news: News) -> None:
        self._holdings.news.append(news)

    # Pulled

    def take_news(self) -> list[News]:
        """What has happened since the last call, in order."""
        news, self._holdings.news = self._holdings.news, []
        return news

    def take_changes(self) -> list[Change]:
        """What a durable outbox has to write down before it says :meth:`committed`."""
        changes, self._holdings.changes = self._holdings.changes, []
        return changes

    def frames(self, now: float) -> list[Ready]:
        """What to send now, each with the router that it goes to; saying so counts as sending it."""
        dirty, self._holdings.dirty = self._holdings.dirty, {}
        ready = self._incoming.take_resets()
        for peer in dirty:
            self._collect(peer, ready, now)
            self._arm(peer)
        return ready

    def _collect(self, peer: Peer, ready: list[Ready], now: float) -> None:
        for out in peer.open_lanes():
            send = out.send
            if send.sync_due(now):
                key = (peer.name, self.node, 0, "", out.outbox, out.generation, peer.incarnation, out.lane)
                ready.append((peer.name, encode(Sync(*key, send.base, send.last, send.syncs))))
            for row in send.transmit(now):
                ready.append(self._encode(peer, out, row, now))
        ready += self._incoming.acknowledgements(peer, now)

    def _encode(self, peer: Peer, out: Outgoing, row: Row, now: float) -> Ready:
        item: Item | None = row.item
        key = (out.outbox, out.generation, peer.incarnation, out.lane, out.send.base, row.seq)
        if item is not None and item.deadline <= now:
            self._holdings.give_up(peer, out, row, "expired")
            item = None
        if item is None:
            gap = Data(peer.name, self.node, 0, "", *key, 0, 0, 0, "", -1.0, "", 1, b"", row.places)
            return peer.name, encode(gap, GAP)
        if self._observe is not None:
            self._observe(trace.SENT if row.sends == 1 else trace.RESENT, item, peer.name)
        flags = (REDELIVERED if item.redelivered else 0) | (HANDLED_WANTED if item.handled else 0)
        remaining = -1.0 if item.deadline == math.inf else item.deadline - now
        data = Data(
            peer.name, self.node, item.kind, item.type, *key, item.origin, item.number, item.ref, item.schema,
            remaining, item.trace, 1, item.payload.data,
        )  # fmt: skip
        return peer.name, encode(data, flags)

    # Time

    def next_time(self) -> float:
        """When to call :meth:`tick`; infinity for never."""
        wakes = self._wakes
        while wakes and wakes[0][0] != wakes[0][2].armed:
            heappop(wakes)
        return wakes[0][0] if wakes else math.inf

    def tick(self, now: float) -> None:
        """Do what is due: probes, acknowledgements, and giving up what was kept too long."""
        wakes = self._wakes
        while wakes and wakes[0][0] <= now:
            when, _, peer = heappop(wakes)
            if when != peer.armed:
                continue
            peer.armed = math.inf
            for out in peer.sends.values():
                out.send.probe(now)
            self._holdings.give_up_old(peer, now)
            self._holdings.dirty[peer] = None

    def _arm(self, peer: Peer) -> None:
        when = peer.due(self.limits.retention)
        if when < peer.armed:
            peer.armed = when
            heappush(self._wakes, (when, self._ticket(), peer))

    # Sending

    def push(self, name: str, lane: int, item: Item, now: float) -> Row:
        """Take an item for a router, to be sent as soon as that can be.

        Raises:
            Full: a bound of the outbox is met, and nothing may be dropped for this item.
        """
        holdings = self._holdings
        peer = holdings.peer(name)
        out = peer.sends.get(lane) or holdings.begin(peer, lane)
        if lane != CONTROL:
            holdings.make_room(peer, out, item)
        row = holdings.put(peer, out, item)
        if peer.reachable and out.send.due == math.inf:
            out.send.due = now + out.send.timeout
        return row

    def holds(self, name: str, row: Row) -> bool:
        """Whether an item that was pushed on the lane of events has to wait before it can be sent."""
        out = self.peers[name].sends.get(EVENTS)
        return out is None or not out.send.admits(row.seq)

    def withdraw(self, name: str, row: Row, reason: str) -> bool:
        """Give up an item on the lane of events; whether it may have arrived, so that it has to be cancelled there."""
        peer = self.peers[name]
        out = peer.sends.get(EVENTS)
        if out is None or row.item is None or out.send.rows.get(row.seq) is not row:
            return True
        self._holdings.give_up(peer, out, row, reason)
        self._holdings.dirty[peer] = None
        return row.sends > 0

    def handled(self, name: str, origin: int, number: int, now: float) -> None:
        """Tell a router that a handler has returned from an event that it keeps until then."""
        self.push(name, CONTROL, Item(HANDLED, "", Payload(b""), origin, 0, now, ref=number), now)

    def committed(self, name: str, seq: int) -> None:
        """All changes up to this place of the lane of events are written down, so that it may be sent."""
        peer = self.peers.get(name)
        out = peer.sends.get(EVENTS) if peer is not None else None
        if peer is not None and out is not None:
            out.send.committed = max(out.send.committed, seq)
            self._holdings.dirty[peer] = None

    # Receiving

    def receive(self, raw: RawFrame, now: float) -> None:
        """Take a frame about a flow.

        Raises:
            BadFrame: it breaks the rules; nothing of it is taken.
        """
        frame = raw.open()
        peer = self._holdings.peer(frame.src)
        self._holdings.dirty[peer] = None
        self._handlers[type(frame)](peer, frame, raw.flags, now)
