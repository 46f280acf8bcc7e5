"""What a router holds for the others: the rows of all lanes, within bounds, until they are settled or given up."""

from __future__ import annotations

import math

from edri_sim.links.flow.items import EVENTS, Begin, Change, Drop, Full, GivenUp, Item, Limits, News, Put
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import Row, SendLane


class Holdings:
    """All that is held, by peer and lane; ``outbox`` is the identity of a durable outbox, None for one in memory.

    What happens to it is appended to ``news`` and, if it is durable, to ``changes``; ``dirty`` are the peers that
    there may be something to send to.
    """

    def __init__(self, incarnation: int, outbox: int | None, limits: Limits) -> None:
        self.incarnation = incarnation
        self.limits = limits
        self.peers: dict[str, Peer] = {}
        self.bytes = 0
        self.news: list[News] = []
        self.changes: list[Change] = []
        self.dirty: dict[Peer, None] = {}
        self._durable = outbox is not None
        self._outbox = incarnation if outbox is None else outbox

    def renumber(self, incarnation: int) -> None:
        """This life has another number than was thought; a durable outbox keeps its own."""
        self.incarnation = incarnation
        if not self._durable:
            self._outbox = incarnation

    def peer(self, name: str) -> Peer:
        """The state of what is between this router and another."""
        peer = self.peers.get(name)
        if peer is None:
            peer = self.peers[name] = Peer(name)
        return peer

    def begin(self, peer: Peer, lane: int, generation: int = 1) -> Outgoing:
        """Begin a flow on a lane, in place of the one that was there."""
        durable = self._durable and lane == EVENTS
        outbox = self._outbox if durable else self.incarnation
        out = peer.sends[lane] = Outgoing(lane, outbox, generation, SendLane(committed=0 if durable else math.inf))
        out.send.reachable = peer.reachable
        if durable:
            self.changes.append(Begin(peer.name, peer.incarnation, generation))
        return out

    def put(self, peer: Peer, out: Outgoing, item: Item) -> Row:
        """Take an item for good: its place in the order, its bytes, its change."""
        row = out.push(item)
        if not item.payload.holders:
            self.bytes += item.size
        item.payload.holders += 1
        if out.lane == EVENTS and self._durable:
            self.changes.append(Put(peer.name, row.seq, item))
        self.dirty[peer] = None
        return row

    def make_room(self, peer: Peer, out: Outgoing, item: Item) -> None:
        """Drop the oldest for an item that may do so. Raises Full where that is of no avail."""
        while (bound := self._bound_met(out, item)) is not None:
            oldest = out.oldest_latest() if item.latest else None
            if oldest is None:
                raise Full(bound)
            self.give_up(peer, out, oldest, "outbox full, dropped as the oldest")

    def _bound_met(self, out: Outgoing, item: Item) -> str | None:
        limits = self.limits
        if out.events >= limits.events:
            return f"it holds {out.events} events, the most for one router"
        if out.bytes + item.size > limits.flow_bytes:
            return f"it holds {out.bytes} bytes for this router, the most are {limits.flow_bytes}"
        if not item.payload.holders and self.bytes + item.size > limits.node_bytes:
            return f"it holds {self.bytes} bytes in all, the most are {limits.node_bytes}"
        return None

    def give_up(self, peer: Peer, out: Outgoing, row: Row, reason: str) -> None:
        """Leave the row's place empty, and say so."""
        item: Item = row.item
        was_sent = row.sends > 0
        out.send.give_up(row)
        out.release(item)
        self.release(peer, item, row.seq, durable=out.lane == EVENTS)
        self.news.append(GivenUp(peer.name, item, row.seq, reason, was_sent))

    def give_up_old(self, peer: Peer, now: float) -> None:
        """Give up what was kept too long."""
        retention = self.limits.retention
        for out in peer.sends.values():
            while (oldest := out.oldest()) is not None and oldest.item.created + retention <= now:
                self.give_up(peer, out, oldest, "retention")
        for key, (seq, item) in list(peer.unhandled.items()):
            if item.created + retention > now:
                break
            del peer.unhandled[key]
            self.release(peer, item, seq)
            self.news.append(GivenUp(peer.name, item, seq, "retention", True))

    def release(self, peer: Peer, item: Item, seq: int, *, durable: bool = True) -> None:
        """Nothing holds the item for this router any more."""
        item.payload.holders -= 1
        if not item.payload.holders:
            self.bytes -= item.size
        if durable and self._durable:
            self.changes.append(Drop(peer.name, seq))
