"""What a router holds for the others: the rows of all lanes, within bounds, until they are settled or given up."""

from __future__ import annotations

import math

from edri_sim.links.flow.items import EVENTS, Change, Drop, Flow, Full, GivenUp, Item, Limits, News, Put
from edri_sim.links.flow.peer import Kept, Outgoing, Peer
from edri_sim.links.flow.send import Row, SendLane


class Holdings:
    """All that is held, by peer and lane; ``outbox`` is the identity of a durable outbox, None for one in memory.

    What happens to it is appended to ``news`` and, if it is durable, to the changes; ``dirty`` are the peers that
    there may be something to send to.
    """

    def __init__(self, incarnation: int, outbox: int | None, limits: Limits) -> None:
        self.incarnation = incarnation
        self.limits = limits
        self.peers: dict[str, Peer] = {}
        self.bytes = 0
        self.news: list[News] = []
        self.dirty: dict[Peer, None] = {}
        self._durable = outbox is not None
        self._outbox = incarnation if outbox is None else outbox
        self._generation = 1
        self._changes: list[Change] = []
        self._moved: dict[Peer, None] = {}

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

    def drop(self, name: str) -> bool:
        """Keep nothing of a router that can't be reached, unless something is held for it; whether that was done.

        What it has of the flows to it may be known there still: those that begin later must not be taken for them.
        """
        peer = self.peers.get(name)
        if peer is None:
            return True
        if peer.reachable or peer.kept or any(out.events or out.durable for out in peer.sends.values()):
            return False
        self._generation = max([self._generation, *[out.generation + 1 for out in peer.sends.values()]])
        self.dirty.pop(peer, None)
        del self.peers[name]
        return True

    def touch(self, peer: Peer) -> None:
        """There may be something to send to a router."""
        self.dirty[peer] = None

    # The durable outbox

    def take_changes(self) -> list[Change]:
        """What is to be written down, in order; where the flows stand comes last."""
        changes, self._changes = self._changes, []
        for peer in self._moved:
            out = peer.sends[EVENTS]
            changes.append(Flow(peer.name, peer.incarnation, out.generation, out.send.base, out.send.next))
        self._moved = {}
        return changes

    def moved(self, peer: Peer, out: Outgoing) -> None:
        """Something of where the flow on a lane stands has changed."""
        if out.durable:
            self._moved[peer] = None

    def uncommit(self, peer: Peer, out: Outgoing) -> None:
        """Hold what goes to a life that was not known yet until that is written down."""
        if out.durable:
            out.send.committed = 0
            self.moved(peer, out)

    def committed(self, flow: Flow) -> None:
        """What was changed up to here is written down, so that it may be sent."""
        peer = self.peers[flow.peer]
        out = peer.sends[EVENTS]
        if (peer.incarnation, out.generation) == (flow.incarnation, flow.generation):
            out.send.committed = max(out.send.committed, flow.next - 1)
            self.touch(peer)

    # Rows

    def begin(self, peer: Peer, lane: int, generation: int = 0, *, own: bool = False) -> Outgoing:
        """Begin a flow on a lane, in place of the one that was there; of the first generation unless one is given.

        ``own``: as a flow of this life, whatever the age of the outbox.
        """
        generation = generation or self._generation
        durable = self._durable and lane == EVENTS
        send = SendLane(committed=0 if durable else math.inf)
        outbox = self._outbox if durable and not own else self.incarnation
        out = Outgoing(lane, outbox, generation, send, durable=durable)
        peer.begin(out)
        self.moved(peer, out)
        return out

    def put(self, peer: Peer, out: Outgoing, item: Item, row: Row | None = None) -> Row:
        """Take an item for good; in its ``row``, if it comes from another flow."""
        row = out.push(item, row)
        peer.busy[out.lane] = out
        self.hold(peer, out, row)
        if out.durable:
            self._changes.append(Put(peer.name, out.generation, row.seq, item))
            self.moved(peer, out)
        self.dirty[peer] = None
        return row

    def hold(self, peer: Peer, out: Outgoing, row: Row) -> None:
        """Count the item of a row."""
        item: Item = row.item
        self.count(item)
        if item.handled:
            peer.kept[item.origin, item.number] = Kept(out.generation, row.seq, item)

    def count(self, item: Item) -> None:
        """One more holds the payload."""
        if not item.payload.holders:
            self.bytes += item.size
        item.payload.holders += 1

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

    # The end of a row

    def release(self, peer: Peer, item: Item, generation: int, seq: int, *, durable: bool) -> None:
        """Nothing holds the item in this place any more."""
        item.payload.holders -= 1
        if not item.payload.holders:
            self.bytes -= item.size
        if durable:
            self._changes.append(Drop(peer.name, generation, seq))

    def release_kept(self, peer: Peer, kept: Kept) -> None:
        """An item that has arrived need not be kept any more."""
        self.release(peer, kept.item, kept.generation, kept.seq, durable=self._durable)

    def release_row(self, peer: Peer, out: Outgoing, row: Row) -> None:
        """The row is settled, given up, or leaves this flow."""
        out.release(row.item)
        self.release(peer, row.item, out.generation, row.seq, durable=out.durable)

    def give_up(self, peer: Peer, out: Outgoing, row: Row, reason: str, *, sends: int | None = None) -> None:
        """Leave the row's place empty, and say so. ``sends``: how often it was sent, if the row does not say it."""
        item: Item = row.item
        was_sent = (row.sends if sends is None else sends) > 0 or item.redelivered
        self.release_row(peer, out, row)
        out.send.give_up(row)
        if item.handled:
            peer.kept.pop((item.origin, item.number), None)
        self.news.append(GivenUp(peer.name, item, row.seq, reason, was_sent))

    def end_lane(self, peer: Peer, lane: int) -> None:
        """Keep nothing of the lane of a tunnel: nobody waits any more for what is on it."""
        out = peer.end(lane)
        if out is not None:
            peer.forget_lane(out.closes)
            for row in out.send.in_doubt():
                self.release_row(peer, out, row)

    def give_up_kept(self, peer: Peer, reason: str, now: float = math.inf) -> None:
        """Give up what has arrived and was not handled, and is too old by now."""
        for key, kept in list(peer.kept.items()):
            if kept.item.created + self.limits.retention > now:
                break
            if kept.arrived:
                del peer.kept[key]
                self.release_kept(peer, kept)
                self.news.append(GivenUp(peer.name, kept.item, kept.seq, reason, True))

    def give_up_old(self, peer: Peer, now: float) -> None:
        """Give up what was kept too long."""
        retention = self.limits.retention
        for out in peer.busy.values():
            while (oldest := out.oldest()) is not None and oldest.item.created + retention <= now:
                self.give_up(peer, out, oldest, "retention")
        self.give_up_kept(peer, "retention", now)
