"""Lives of the other routers: who can be reached, what moves to a new life, and what dies with the old one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import EVENTS, Flow, GivenUp, Item, Put, Restarted, Returned
from edri_sim.links.flow.peer import Kept, Outgoing, Peer
from edri_sim.links.flow.send import Row
from edri_sim.links.frames import HANDLED, OPEN, REQUEST

_ASKED = (REQUEST, OPEN)
"""Kinds that one provider answers: they go back to who asked."""
_OUTLIVES = (HANDLED,)
"""Kinds on the control lane that outlive the life of the router that they go to; the rest is for that life alone."""


class Lives:
    """Follows the lives of the other routers, and moves in the ``holdings`` what is for them."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    # Who is there

    def up(self, name: str, incarnation: int, now: float) -> None:
        """A router can be reached, in this life."""
        peer = self._holdings.peer(name)
        self.learn(name, incarnation, now)
        if peer.incarnation == incarnation and not peer.reachable:
            peer.reachable = True
            peer.connect(now)
            self._holdings.touch(peer)

    def down(self, name: str) -> None:
        """A router can't be reached; what is for it is held."""
        peer = self._holdings.peers.get(name)
        if peer is None:
            return
        peer.reachable = False
        for out in peer.sends.values():
            out.send.disconnect()
        self._holdings.touch(peer)

    def learn(self, name: str, incarnation: int, now: float) -> None:
        """A router is in this life; an older one than is known says nothing."""
        peer = self._holdings.peer(name)
        if incarnation <= peer.incarnation:
            return
        known, peer.incarnation = peer.incarnation, incarnation
        if known:
            self._restart(peer, now)
        elif EVENTS in peer.sends:
            self._holdings.uncommit(peer, peer.sends[EVENTS])

    def admit(self, name: str, wanted: Callable[[str], bool]) -> None:
        """Let go what was held for a router's new life, but for the types that it does not want."""
        peer = self._holdings.peer(name)
        if not peer.held:
            return
        peer.held = False
        for out in peer.sends.values():
            out.send.reachable = peer.reachable
        for out, row in peer.in_order(lambda out: out.lane == EVENTS):
            if not wanted(row.item.type):
                self._holdings.give_up(peer, out, row, "unsubscribed")
        self._holdings.touch(peer)

    def refuse(self, name: str, type_: str, reason: str) -> None:
        """Give up what is for a router of one type, none of which has got through."""
        peer = self._holdings.peer(name)
        for out, row in peer.in_order(lambda out: out.lane == EVENTS):
            if row.item.type == type_:
                self._holdings.give_up(peer, out, row, reason, sends=0)
        self._holdings.touch(peer)

    def forget(self, name: str, reason: str) -> None:
        """A router has left for good: give up what is for it."""
        peer = self._holdings.peers.get(name)
        if peer is None:
            return
        for out, row in peer.in_order():
            self._holdings.give_up(peer, out, row, reason)
        self._holdings.give_up_kept(peer, reason)
        self.down(name)

    # Flows that can't go on

    def _restart(self, peer: Peer, now: float) -> None:
        """Move to the new life what may go there: it has never heard of the flows to the old one."""
        holdings = self._holdings
        holdings.news.append(Restarted(peer.name, peer.incarnation))
        peer.held = True
        former, peer.sends, peer.busy = peer.sends, {}, {}
        peer.forget_tunnels()
        kept, peer.kept = peer.kept, {}
        arrived = [each for each in kept.values() if each.arrived]
        rows = [(out, row) for out in former.values() for row in out.send.in_doubt()]
        for each in arrived:
            holdings.release_kept(peer, each)
        for out, row in rows:
            holdings.release_row(peer, out, row)
        if EVENTS in former:
            holdings.begin(peer, EVENTS, former[EVENTS].generation + 1)
        for each in arrived:
            self._move(peer, EVENTS, each.item, None, was_sent=True)
        for out, row in rows:
            self._move(peer, out.lane, row.item, row, was_sent=row.sends > 0)
        if peer.reachable:
            peer.connect(now)
        holdings.touch(peer)

    def _move(self, peer: Peer, lane: int, item: Item, row: Row | None, *, was_sent: bool) -> None:
        holdings = self._holdings
        if item.kind in _ASKED and not item.handled:
            holdings.news.append(Returned(peer.name, item, was_sent or item.redelivered))
        elif lane == EVENTS or item.kind in _OUTLIVES:
            item.redelivered |= was_sent
            holdings.put(peer, peer.sends.get(lane) or holdings.begin(peer, lane), item, row)

    def renew(self, peer: Peer, out: Outgoing, now: float, *, own: bool = False) -> None:
        """Begin the flow anew: its receiver knows nothing of it, or knows more than its sender.

        ``own``: as a flow of this life, which no earlier one can fence.
        """
        rows = out.send.in_doubt()
        for row in rows:
            self._holdings.release_row(peer, out, row)
        fresh = self._holdings.begin(peer, out.lane, out.generation + 1, own=own)
        for row in rows:
            row.item.redelivered |= row.sends > 0
            self._holdings.put(peer, fresh, row.item, row)
        if fresh.send.reachable:
            fresh.send.connect(now)

    # A new life of this router

    def restore(self, flow: Flow, puts: Iterable[Put]) -> None:
        """Go on with a flow of an earlier life of this router: with what a durable outbox has of it.

        ``created`` and ``deadline`` of the items are to be on this life's clock. Nobody waits any more for the
        replies to its requests: they are given up.
        """
        holdings = self._holdings
        peer = holdings.peer(flow.peer)
        peer.incarnation = flow.incarnation
        out = holdings.begin(peer, EVENTS, flow.generation)
        ordered = sorted(puts, key=lambda put: (put.generation, put.seq))
        places = []
        for put in ordered:
            item = put.item
            if item.kind in _ASKED and not item.handled:
                self._disown(peer, put)
            elif put.generation < flow.generation or put.seq < flow.base:
                holdings.count(item)
                peer.kept[item.origin, item.number] = Kept(put.generation, put.seq, item, arrived=True)
            else:
                places.append((put.seq, item))
        out.send.resume(flow.base, flow.next, places, holdings.incarnation)
        for row in out.send.in_doubt():
            out.track(row)
            holdings.hold(peer, out, row)

    def _disown(self, peer: Peer, put: Put) -> None:
        self._holdings.count(put.item)
        self._holdings.release(peer, put.item, put.generation, put.seq, durable=True)
        self._holdings.news.append(GivenUp(peer.name, put.item, put.seq, "its requester is no more", True))
