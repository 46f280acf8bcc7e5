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
from edri_sim.links.flow.incoming import Incoming, Observe, Placed
from edri_sim.links.flow.items import CONTROL, EVENTS, Item, Limits, News, Payload
from edri_sim.links.flow.lives import Lives
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import Row
from edri_sim.links.flow.tunnel_lanes import TunnelLanes
from edri_sim.links.frames import (
    ACK_NOW,
    GAP,
    HANDLED,
    HANDLED_WANTED,
    REDELIVERED,
    Ack,
    BadFrame,
    Data,
    Frame,
    RawFrame,
    Reset,
    Sync,
    encode,
)

MOST_PEERS = 50_000
"""Routers that are listened to; more are no more than names that somebody makes up."""

Encoded = bytes
Ready = tuple[str, Encoded]
"""A frame, after the router that it goes to."""


class Exchange:
    """The flows of the router ``node`` in this life, its ``incarnation``.

    ``outbox`` is the identity of a durable outbox, which lives longer; None for one in memory. ``observe`` is told of
    what is sent, resent and found to be a duplicate, and ``placed`` of the places of lanes that come, in their order.
    """

    def __init__(
        self, node: str, incarnation: int, *, outbox: int | None = None, limits: Limits | None = None,
        observe: Observe | None = None, placed: Placed | None = None,
    ) -> None:  # fmt: skip
        self.node = node
        self.incarnation = incarnation
        self.limits = limits or Limits()
        self._observe = observe
        self._holdings = Holdings(incarnation, outbox, self.limits)
        self._lives = Lives(self._holdings)
        answers = Answers(self._holdings, self._lives)
        self._incoming = Incoming(
            node, incarnation, self._news_of, answers.handled, self._lives.learn, self._holdings.touch, observe,
            placed, self.limits.window,
        )  # fmt: skip
        self.lanes = TunnelLanes(self._holdings)
        """The lanes of tunnels."""
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
        self.refuse = self._lives.refuse
        self.drop = self._holdings.drop
        self.restore = self._lives.restore
        self.settle_handled = answers.handled
        self.peer = self._holdings.peer
        self.take_changes = self._holdings.take_changes
        self.committed = self._holdings.committed

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

    def frames(self, now: float) -> list[Ready]:
        """What to send now, each with the router that it goes to; saying so counts as sending it."""
        dirty, self._holdings.dirty = self._holdings.dirty, {}
        ready = self._incoming.take_resets()
        for peer in dirty:
            self._collect(peer, ready, now)
            peer.rest()
            self._arm(peer)
        return ready

    def _collect(self, peer: Peer, ready: list[Ready], now: float) -> None:
        for out in peer.busy.values():
            send = out.send
            if send.sync_due():
                key = (peer.name, self.node, 0, "", out.outbox, out.generation, peer.incarnation, out.lane)
                ready.append((peer.name, encode(Sync(*key, send.base, send.fresh - 1, send.syncs))))
            rows = send.transmit(now)
            for row in rows:
                flags = ACK_NOW if send.limited and row is rows[-1] else 0
                ready.append((peer.name, self._encode(peer, out, row, flags, now)))
        ready += self._incoming.acknowledgements(peer, now)

    def _encode(self, peer: Peer, out: Outgoing, row: Row, flags: int, now: float) -> Encoded:
        item: Item | None = row.item
        key = (out.outbox, out.generation, peer.incarnation, out.lane, out.send.base, row.seq)
        if item is not None and item.deadline <= now:
            self._holdings.give_up(peer, out, row, "expired", sends=row.sends - 1)
            item = None
        if item is None:
            gap = Data(peer.name, self.node, 0, "", *key, 0, 0, 0, "", -1.0, "", 1, b"", row.places)
            return encode(gap, flags | GAP)
        if self._observe is not None:
            self._observe(trace.SENT if row.sends == 1 else trace.RESENT, item, peer.name)
        if item.redelivered:
            flags |= REDELIVERED
        if item.handled:
            flags |= HANDLED_WANTED
        remaining = -1.0 if item.deadline == math.inf else item.deadline - now
        data = Data(
            peer.name, self.node, item.kind, item.type, *key, item.origin, item.number, item.ref, item.schema,
            remaining, item.trace, 1, item.payload.data,
        )  # fmt: skip
        return encode(data, flags)

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
            for out in peer.busy.values():
                out.send.probe(now)
            self._holdings.give_up_old(peer, now)
            self._holdings.touch(peer)

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
        if lane == EVENTS:  # Answers have their room already, and tunnels have credit.
            holdings.make_room(peer, out, item)
        if out.send.reachable and out.send.due == math.inf:
            out.send.due = now + out.send.timeout
        return holdings.put(peer, out, item)

    def holds(self, name: str, row: Row) -> bool:
        """Whether an item that was pushed on the lane of events has to wait before it can be sent."""
        out = self.peers[name].sends.get(EVENTS)
        return out is None or not out.send.admits(row.seq)

    def withdraw(self, name: str, row: Row, reason: str) -> bool:
        """Give up an item on the lane of events; whether it may have arrived, so that it has to be cancelled there."""
        peer = self.peers[name]
        out = peer.sends.get(EVENTS)
        if out is None or not out.holds(row):
            return True
        was_sent = row.sends > 0 or row.item.redelivered
        self._holdings.give_up(peer, out, row, reason)
        self._holdings.touch(peer)
        return was_sent

    def handled(self, name: str, origin: int, number: int, now: float) -> None:
        """Tell a router that a handler has returned from an event that it keeps until then."""
        self.push(name, CONTROL, Item(HANDLED, "", Payload(b""), origin, 0, now, ref=number), now)

    # Receiving

    def hurry(self, now: float) -> None:
        """Acknowledge at once whatever has come and was not acknowledged yet."""
        for peer in self.peers.values():
            for lane in peer.heard.values():
                if lane.due < math.inf:
                    lane.hurry(now)
                    self._holdings.touch(peer)

    def receive(self, raw: RawFrame, now: float) -> None:
        """Take a frame about a flow.

        Raises:
            BadFrame: it breaks the rules; nothing of it is taken.
        """
        frame = raw.open()
        if len(self.peers) >= MOST_PEERS and frame.src not in self.peers:
            raise BadFrame("too_many_sources", f"a frame from {frame.src!r}, after those of {MOST_PEERS} others")
        peer = self._holdings.peer(frame.src)
        self._holdings.touch(peer)
        self._handlers[type(frame)](peer, frame, raw.flags, now)
