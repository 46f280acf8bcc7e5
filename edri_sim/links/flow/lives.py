"""Lives of the other routers: who can be reached, what moves to a new life, and what dies with the old one."""

from __future__ import annotations

from collections.abc import Callable

from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import CONTROL, EVENTS, GivenUp, Item, Restarted, Returned
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.frames import HANDLED, REQUEST

_KEPT = (HANDLED,)
"""Kinds on the control lane that outlive the life of the router that they go to; the rest is for that life alone."""


class Lives:
    """Follows the lives of the other routers, and moves in the ``holdings`` what is for them."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def up(self, name: str, incarnation: int, now: float) -> None:
        """A router can be reached, in this life."""
        peer = self._holdings.peer(name)
        self.learn(name, incarnation, now)
        if peer.incarnation == incarnation and not peer.reachable:
            peer.reachable = True
            for out in peer.sends.values():
                out.send.connect(now)
            self._holdings.dirty[peer] = None

    def down(self, name: str) -> None:
        """A router can't be reached; what is for it is held."""
        peer = self._holdings.peer(name)
        peer.reachable = False
        for out in peer.sends.values():
            out.send.disconnect()
        self._holdings.dirty[peer] = None

    def learn(self, name: str, incarnation: int, now: float) -> None:
        """A router is in this life; an older one than is known says nothing."""
        peer = self._holdings.peer(name)
        if incarnation <= peer.incarnation:
            return
        known, peer.incarnation = peer.incarnation, incarnation
        if known:
            self._restart(peer, now)

    def _restart(self, peer: Peer, now: float) -> None:
        """Move to the new life what may go there: it has never heard of the flows to the old one."""
        holdings = self._holdings
        holdings.news.append(Restarted(peer.name, peer.incarnation))
        peer.held = True
        former, peer.sends = peer.sends, {}
        unhandled, peer.unhandled = peer.unhandled, {}
        moving = [(EVENTS, item, True) for _, item in unhandled.values()]
        for lane, out in former.items():
            moving += [(lane, row.item, row.sends > 0) for row in out.send.in_doubt()]
        for _, item, _ in moving:
            holdings.release(peer, item, 0, durable=False)
        if EVENTS in former:
            holdings.begin(peer, EVENTS, former[EVENTS].generation)
        for lane, item, was_sent in moving:
            self._move(peer, lane, item, was_sent)
        if peer.reachable:
            for out in peer.sends.values():
                out.send.connect(now)

    def _move(self, peer: Peer, lane: int, item: Item, was_sent: bool) -> None:
        holdings = self._holdings
        if item.kind == REQUEST and not item.handled:
            holdings.news.append(Returned(peer.name, item, was_sent))
        elif lane != CONTROL or item.kind in _KEPT:
            item.redelivered |= was_sent
            holdings.put(peer, peer.sends.get(lane) or holdings.begin(peer, lane), item)

    def renew(self, peer: Peer, out: Outgoing, now: float) -> None:
        """Begin the flow anew: its receiver knows nothing of it, or knows more than its sender."""
        rows = out.send.in_doubt()
        for row in rows:
            self._holdings.release(peer, row.item, 0, durable=False)
        fresh = self._holdings.begin(peer, out.lane, out.generation + 1)
        for row in rows:
            row.item.redelivered |= row.sends > 0
            self._holdings.put(peer, fresh, row.item)
        if peer.reachable:
            fresh.send.connect(now)

    def admit(self, name: str, wanted: Callable[[str], bool]) -> None:
        """Let go what was held for a router's new life, but for the types that it does not want."""
        peer = self._holdings.peer(name)
        if not peer.held:
            return
        peer.held = False
        for out, row in peer.in_order(lambda out: out.lane == EVENTS):
            if not wanted(row.item.type):
                self._holdings.give_up(peer, out, row, "unsubscribed")
        self._holdings.dirty[peer] = None

    def forget(self, name: str, reason: str) -> None:
        """A router has left for good: give up what is for it."""
        holdings = self._holdings
        peer = holdings.peers.get(name)
        if peer is None:
            return
        for out, row in peer.in_order():
            holdings.give_up(peer, out, row, reason)
        for seq, item in peer.unhandled.values():
            holdings.release(peer, item, seq)
            holdings.news.append(GivenUp(name, item, seq, reason, True))
        peer.unhandled.clear()
        self.down(name)
