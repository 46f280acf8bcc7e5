"""All flows of one router: lives and generations of the other ends, what is redelivered, and what is given up.

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
from edri_sim.links.flow.incoming import Incoming, Observe
from edri_sim.links.flow.items import (
    CONTROL,
    EVENTS,
    Accepted,
    Begin,
    Change,
    Drop,
    Fenced,
    Full,
    GivenUp,
    Item,
    Limits,
    News,
    Payload,
    Put,
    Restarted,
    Returned,
)
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import BadAck, Row, SendLane
from edri_sim.links.frames import (
    FENCED,
    GAP,
    HANDLED,
    HANDLED_WANTED,
    REDELIVERED,
    REQUEST,
    STALE_DST,
    Ack,
    BadFrame,
    Data,
    FlowFrame,
    Frame,
    RawFrame,
    Reset,
    Sync,
    encode,
)

_KEPT = (HANDLED,)
"""Kinds on the control lane that outlive the life of the router that they go to; the rest is for that life alone."""


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
        self.peers: dict[str, Peer] = {}
        self.bytes = 0
        """Bytes of all payloads that are held."""
        self._durable = outbox is not None
        self._outbox = incarnation if outbox is None else outbox
        self._observe = observe
        self._news: list[News] = []
        self._changes: list[Change] = []
        self._incoming = Incoming(node, incarnation, self._news_of, self.settle_handled, observe)
        self._dirty: dict[Peer, None] = {}
        self._wakes: list[tuple[float, int, Peer]] = []
        self._ticket = count().__next__
        self._handlers: dict[type[Frame], Callable[[Peer, Any, int, float], None]] = {
            Data: self._incoming.data, Sync: self._incoming.sync, Ack: self._on_ack, Reset: self._on_reset,
        }  # fmt: skip

    def renumber(self, incarnation: int) -> None:
        """This life has another number than was thought; only before anything was sent or received."""
        if not self._durable:
            self._outbox = incarnation
        self.incarnation = self._incoming.incarnation = incarnation

    def _news_of(self, news: News) -> None:
        self._news.append(news)

    # Pulled

    def take_news(self) -> list[News]:
        """What has happened since the last call, in order."""
        news, self._news = self._news, []
        return news

    def take_changes(self) -> list[Change]:
        """What a durable outbox has to write down before it says :meth:`committed`."""
        changes, self._changes = self._changes, []
        return changes

    def frames(self, now: float) -> list[tuple[str, bytes]]:
        """What to send now, each with the router that it goes to; saying so counts as sending it."""
        dirty, self._dirty = self._dirty, {}
        ready = self._incoming.take_resets()
        for peer in dirty:
            self._collect(peer, ready, now)
            self._arm(peer)
        return ready

    def _collect(self, peer: Peer, ready: list[tuple[str, bytes]], now: float) -> None:
        for out in peer.open_lanes():
            send = out.send
            if send.sync_due(now):
                key = (peer.name, self.node, 0, "", out.outbox, out.generation, peer.incarnation, out.lane)
                ready.append((peer.name, encode(Sync(*key, send.base, send.last, send.syncs))))
            for row in send.transmit(now):
                ready.append((peer.name, self._encode(peer, out, row, now)))
        ready += self._incoming.acknowledgements(peer, now)

    def _encode(self, peer: Peer, out: Outgoing, row: Row, now: float) -> bytes:
        item: Item | None = row.item
        key = (out.outbox, out.generation, peer.incarnation, out.lane, out.send.base, row.seq)
        if item is not None and item.deadline <= now:
            self._give_up(peer, out, row, "expired")
            item = None
        if item is None:
            return encode(Data(peer.name, self.node, 0, "", *key, 0, 0, 0, "", -1.0, "", 1, b"", row.places), GAP)
        if self._observe is not None:
            self._observe(trace.SENT if row.sends == 1 else trace.RESENT, item, peer.name)
        flags = (REDELIVERED if item.redelivered else 0) | (HANDLED_WANTED if item.handled else 0)
        remaining = -1.0 if item.deadline == math.inf else item.deadline - now
        return encode(
            Data(
                peer.name, self.node, item.kind, item.type, *key, item.origin, item.number, item.ref, item.schema,
                remaining, item.trace, 1, item.payload.data,
            ),
            flags,
        )  # fmt: skip

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
            self._give_up_old(peer, now)
            self._dirty[peer] = None

    def _arm(self, peer: Peer) -> None:
        when = peer.due(self.limits.retention)
        if when < peer.armed:
            peer.armed = when
            heappush(self._wakes, (when, self._ticket(), peer))

    def _give_up_old(self, peer: Peer, now: float) -> None:
        retention = self.limits.retention
        for out in peer.sends.values():
            while (oldest := out.oldest()) is not None and oldest.item.created + retention <= now:
                self._give_up(peer, out, oldest, "retention")
        for key, (seq, item) in list(peer.unhandled.items()):
            if item.created + retention > now:
                break
            del peer.unhandled[key]
            self._release(peer, item, seq)
            self._news.append(GivenUp(peer.name, item, seq, "retention", True))

    # Sending

    def push(self, name: str, lane: int, item: Item, now: float) -> Row:
        """Take an item for a router, to be sent as soon as that can be.

        Raises:
            Full: a bound of the outbox is met, and nothing may be dropped for this item.
        """
        peer = self.peer(name)
        out = peer.sends.get(lane) or self._begin(peer, lane)
        if lane != CONTROL:
            self._make_room(peer, out, item)
        row = self._put(peer, out, item)
        if peer.reachable and out.send.due == math.inf:
            out.send.due = now + out.send.timeout
        return row

    def _put(self, peer: Peer, out: Outgoing, item: Item) -> Row:
        row = out.push(item)
        if not item.payload.holders:
            self.bytes += item.size
        item.payload.holders += 1
        if out.lane == EVENTS and self._durable:
            self._changes.append(Put(peer.name, row.seq, item))
        self._dirty[peer] = None
        return row

    def _make_room(self, peer: Peer, out: Outgoing, item: Item) -> None:
        while (bound := self._bound_met(out, item)) is not None:
            oldest = out.oldest_latest() if item.latest else None
            if oldest is None:
                raise Full(bound)
            self._give_up(peer, out, oldest, "outbox full, dropped as the oldest")

    def _bound_met(self, out: Outgoing, item: Item) -> str | None:
        limits = self.limits
        if out.events >= limits.events:
            return f"it holds {out.events} events, the most for one router"
        if out.bytes + item.size > limits.flow_bytes:
            return f"it holds {out.bytes} bytes for this router, the most are {limits.flow_bytes}"
        if not item.payload.holders and self.bytes + item.size > limits.node_bytes:
            return f"it holds {self.bytes} bytes in all, the most are {limits.node_bytes}"
        return None

    def withdraw(self, name: str, row: Row, reason: str) -> bool:
        """Give up an item on the lane of events; whether it may have arrived, so that it has to be cancelled there."""
        peer = self.peers[name]
        out = peer.sends.get(EVENTS)
        if out is None or row.item is None or out.send.rows.get(row.seq) is not row:
            return True
        self._give_up(peer, out, row, reason)
        self._dirty[peer] = None
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
            self._dirty[peer] = None

    def _begin(self, peer: Peer, lane: int, generation: int = 1) -> Outgoing:
        durable = self._durable and lane == EVENTS
        outbox = self._outbox if durable else self.incarnation
        out = peer.sends[lane] = Outgoing(lane, outbox, generation, SendLane(committed=0 if durable else math.inf))
        out.send.reachable = peer.reachable
        if durable:
            self._changes.append(Begin(peer.name, peer.incarnation, generation))
        return out

    def _give_up(self, peer: Peer, out: Outgoing, row: Row, reason: str) -> None:
        item: Item = row.item
        was_sent = row.sends > 0
        out.send.give_up(row)
        out.release(item)
        self._release(peer, item, row.seq, durable=out.lane == EVENTS)
        self._news.append(GivenUp(peer.name, item, row.seq, reason, was_sent))

    def _release(self, peer: Peer, item: Item, seq: int, *, durable: bool = True) -> None:
        """Nothing holds the item for this router any more."""
        item.payload.holders -= 1
        if not item.payload.holders:
            self.bytes -= item.size
        if durable and self._durable:
            self._changes.append(Drop(peer.name, seq))

    # The other routers

    def peer(self, name: str) -> Peer:
        """The state of what is between this router and another."""
        peer = self.peers.get(name)
        if peer is None:
            peer = self.peers[name] = Peer(name)
        return peer

    def up(self, name: str, incarnation: int, now: float) -> None:
        """A router can be reached, in this life."""
        peer = self.peer(name)
        self.learn_life(name, incarnation, now)
        if peer.incarnation == incarnation and not peer.reachable:
            peer.reachable = True
            for out in peer.sends.values():
                out.send.connect(now)
            self._dirty[peer] = None

    def down(self, name: str) -> None:
        """A router can't be reached; what is for it is held."""
        peer = self.peer(name)
        peer.reachable = False
        for out in peer.sends.values():
            out.send.disconnect()
        self._dirty[peer] = None

    def learn_life(self, name: str, incarnation: int, now: float) -> None:
        """A router is in this life; an older one than is known says nothing."""
        peer = self.peer(name)
        if incarnation <= peer.incarnation:
            return
        known, peer.incarnation = peer.incarnation, incarnation
        if known:
            self._restart(peer, now)

    def _restart(self, peer: Peer, now: float) -> None:
        """Move to the new life what may go there: it has never heard of the flows to the old one."""
        self._news.append(Restarted(peer.name, peer.incarnation))
        peer.held = True
        former, peer.sends = peer.sends, {}
        unhandled, peer.unhandled = peer.unhandled, {}
        moving = [(EVENTS, item, True) for _, item in unhandled.values()]
        for lane, out in former.items():
            moving += [(lane, row.item, row.sends > 0) for row in out.send.in_doubt()]
        for _, item, _ in moving:
            self._release(peer, item, 0, durable=False)
        if EVENTS in former:
            self._begin(peer, EVENTS, former[EVENTS].generation)
        for lane, item, was_sent in moving:
            self._move(peer, lane, item, was_sent)
        if peer.reachable:
            for out in peer.sends.values():
                out.send.connect(now)

    def _move(self, peer: Peer, lane: int, item: Item, was_sent: bool) -> None:
        if item.kind == REQUEST and not item.handled:
            self._news.append(Returned(peer.name, item, was_sent))
        elif lane != CONTROL or item.kind in _KEPT:
            item.redelivered |= was_sent
            self._put(peer, peer.sends.get(lane) or self._begin(peer, lane), item)

    def admit(self, name: str, wanted: Callable[[str], bool]) -> None:
        """Let go what was held for a router's new life, but for the types that it does not want."""
        peer = self.peer(name)
        if not peer.held:
            return
        peer.held = False
        for out, row in peer.in_order(lambda out: out.lane == EVENTS):
            if not wanted(row.item.type):
                self._give_up(peer, out, row, "unsubscribed")
        self._dirty[peer] = None

    def forget(self, name: str, reason: str) -> None:
        """A router has left for good: give up what is for it."""
        peer = self.peers.get(name)
        if peer is None:
            return
        for out, row in peer.in_order():
            self._give_up(peer, out, row, reason)
        for seq, item in peer.unhandled.values():
            self._release(peer, item, seq)
            self._news.append(GivenUp(name, item, seq, reason, True))
        peer.unhandled.clear()
        self.down(name)

    # Receiving

    def receive(self, raw: RawFrame, now: float) -> None:
        """Take a frame about a flow.

        Raises:
            BadFrame: it breaks the rules; nothing of it is taken.
        """
        frame = raw.open()
        peer = self.peer(frame.src)
        self._dirty[peer] = None
        self._handlers[type(frame)](peer, frame, raw.flags, now)

    def settle_handled(self, peer: Peer, origin: int, number: int) -> None:
        """The peer's handler has returned from an event that was kept until then."""
        found = peer.unhandled.pop((origin, number), None)
        if found is not None:
            self._release(peer, found[1], found[0])

    def _on_ack(self, peer: Peer, ack: Ack, _: int, now: float) -> None:
        out = self._flow_of(peer, ack)
        if out is None:
            return
        try:
            settled = out.send.acknowledge(ack.cum, ack.ranges, ack.window, ack.sync, ack.rejected, now)
        except BadAck as error:
            raise BadFrame("bad_ack", f"ACK from {peer.name}: {error}") from error
        for row, rejected in settled:
            if row.item is not None:
                self._settle(peer, out, row, rejected)

    def _settle(self, peer: Peer, out: Outgoing, row: Row, rejected: str | None) -> None:
        item: Item = row.item
        out.release(item)
        if item.handled and rejected is None:
            peer.unhandled[item.origin, item.number] = (row.seq, item)
        else:
            self._release(peer, item, row.seq, durable=out.lane == EVENTS)
        self._news.append(Accepted(peer.name, item, rejected))

    def _flow_of(self, peer: Peer, frame: FlowFrame) -> Outgoing | None:
        """This router's end of the flow that a frame answers; None if that flow is no more."""
        out = peer.sends.get(frame.lane)
        if out is None or (out.outbox, out.generation) != (frame.outbox, frame.generation):
            return None
        return out if frame.incarnation == peer.incarnation else None

    def _on_reset(self, peer: Peer, reset: Reset, _: int, now: float) -> None:
        out = self._flow_of(peer, reset)
        if out is None:
            return
        if reset.reason == STALE_DST:
            self.learn_life(peer.name, reset.now, now)
        elif reset.reason == FENCED:
            self._news.append(Fenced(peer.name))
        else:
            self._renew(peer, out, now)

    def _renew(self, peer: Peer, out: Outgoing, now: float) -> None:
        """Begin the flow anew: its receiver knows nothing of it, or knows more than its sender."""
        rows = out.send.in_doubt()
        for row in rows:
            self._release(peer, row.item, 0, durable=False)
        self._begin(peer, out.lane, out.generation + 1)
        for row in rows:
            row.item.redelivered |= row.sends > 0
            self._put(peer, peer.sends[out.lane], row.item)
        if peer.reachable:
            peer.sends[out.lane].send.connect(now)
