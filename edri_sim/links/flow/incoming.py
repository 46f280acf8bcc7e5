"""The receiving half of all flows of one router: lanes by the flow that a frame belongs to, or a reset in answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edri_sim import trace
from edri_sim.audit import FlowLane
from edri_sim.links.flow.items import EVENTS, Delivered, Gap, Item, News, Payload
from edri_sim.links.flow.peer import Peer
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.frames import (
    ACK_NOW,
    FENCED,
    GAP,
    HANDLED,
    MAX_HOPS,
    ROLLBACK,
    STALE_DST,
    UNKNOWN_FLOW,
    Ack,
    BadFrame,
    Data,
    FlowFrame,
    Reset,
    Sync,
    encode,
)

LAST_PLACE = 1 << 62
"""The highest seq that a flow may come to: far from what a frame can't carry."""

Observe = Callable[[int, Item, str], None]
"""Told a stage of the trace, the item and the other router."""
Handled = Callable[[Peer, int, int], None]
"""Told the origin and number of an event that the peer's handler has returned from."""
Placed = Callable[[FlowLane, int, int], None]
"""Told a lane, and the first and last place of it that came."""
Learn = Callable[[str, int, float], None]
"""Told the name of a router, a life that it has been in, and the time."""


class Incoming:
    """Opens, continues and replaces the receiving ends of flows to the router ``node`` in this life."""

    def __init__(
        self,
        node: str,
        incarnation: int,
        report: Callable[[News], None],
        handled: Handled,
        learn: Learn,
        touch: Callable[[Peer], None],
        observe: Observe | None,
        placed: Placed | None,
        window: int,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self._report = report
        self._handled = handled
        self._learn = learn
        self._touch = touch
        self._observe = observe
        self._placed = placed
        self._window = window
        self._resets: dict[tuple[str, bytes], None] = {}

    def take_resets(self) -> list[tuple[str, bytes]]:
        """The resets to send, each with the router that it goes to."""
        resets, self._resets = self._resets, {}
        return list(resets)

    def acknowledgements(self, peer: Peer, now: float) -> list[tuple[str, bytes]]:
        """The acknowledgements that are due."""
        found = []
        over = []
        for number, lane in peer.heard.items():
            if lane.due <= now:
                key = (peer.name, self.node, 0, "", lane.outbox, lane.generation, self.incarnation, number)
                found.append((peer.name, encode(Ack(*key, *lane.acknowledgement()))))
                if number > EVENTS and number not in peer.expected:
                    over.append(number)
        for number in over:
            peer.forget_lane(number)
        return found

    def data(self, peer: Peer, data: Data, flags: int, now: float) -> None:
        """Take an event; what is in order now is reported. Raises BadFrame."""
        gap = bool(flags & GAP)
        _check(peer, data, gap)
        lane = self._lane_for(peer, data, data.base)
        if lane is None:
            return
        if data.origin > peer.incarnation and data.lane == EVENTS:  # It came before word of the life that sent it.
            self._learn(peer.name, data.origin, now)
        size = 0 if gap else len(data.payload) or 1
        duplicates = lane.duplicates
        for first, last, (arrived, its_flags) in lane.data(data.seq, data.places, data.base, size, (data, flags), now):
            if self._placed is not None:
                flow = FlowLane(self.node, self.incarnation, peer.name, lane.outbox, lane.generation, data.lane)
                self._placed(flow, first, last)
            if its_flags & GAP:
                self._report(Gap(peer.name, data.lane, first, last))
            elif arrived.kind == HANDLED:
                self._handled(peer, arrived.origin, arrived.ref)
            else:
                self._report(Delivered(peer.name, lane, arrived, its_flags))
        if flags & ACK_NOW:
            lane.hurry(now)
        if lane.duplicates > duplicates and self._observe is not None and not gap:
            self._observe(trace.DUPLICATE, _seen(data), peer.name)

    def _lane_for(self, peer: Peer, frame: FlowFrame, base: int) -> ReceiveLane | None:
        """The receiving end of the frame's flow; None after a Reset was sent in its place."""
        if frame.incarnation != self.incarnation:
            self._reset(peer, frame, STALE_DST)
            return None
        if frame.lane > EVENTS and frame.lane not in peer.expected:
            self._reset(peer, frame, UNKNOWN_FLOW)  # Its tunnel is no more, or never was.
            return None
        lane = peer.receives.get(frame.lane)
        theirs = (frame.outbox, frame.generation)
        if lane is None or theirs > (lane.outbox, lane.generation):
            if base > 1:
                self._reset(peer, frame, UNKNOWN_FLOW)
                return None
            wake = partial(self._touch, peer)
            lane = ReceiveLane(*theirs, wake, window=self._window)
        elif theirs < (lane.outbox, lane.generation):
            self._reset(peer, frame, FENCED)
            return None
        elif base > lane.next:
            self._reset(peer, frame, UNKNOWN_FLOW)
            return None
        peer.hear(frame.lane, lane)
        return lane

    def _reset(self, peer: Peer, frame: FlowFrame, reason: str) -> None:
        key = (frame.outbox, frame.generation, frame.incarnation, frame.lane)
        sync = frame.sync if isinstance(frame, Sync) else 0
        reset = Reset(peer.name, self.node, 0, "", *key, reason, self.incarnation, sync)
        self._resets[peer.name, encode(reset)] = None

    def sync(self, peer: Peer, sync: Sync, _: int, now: float) -> None:
        """Answer a Sync: with an acknowledgement, or with a reset. Raises BadFrame."""
        if not sync.base - 1 <= sync.last <= LAST_PLACE:
            raise BadFrame("bad_place", f"SYNC from {peer.name}: base {sync.base}, last {sync.last}")
        lane = self._lane_for(peer, sync, sync.base)
        if lane is None:
            return
        if sync.last < lane.next - 1:
            self._reset(peer, sync, ROLLBACK)
            return
        lane.synchronise(sync.base, sync.sync, now)


def _check(peer: Peer, data: Data, gap: bool) -> None:
    """Raises BadFrame for what no router may send."""
    if data.hops > MAX_HOPS:
        raise BadFrame("too_many_hops", f"DATA from {peer.name} passed {data.hops} routers: at most {MAX_HOPS} may")
    places = data.places
    if not 1 <= data.seq <= LAST_PLACE or data.base > data.seq or not 1 <= places <= LAST_PLACE:
        raise BadFrame("bad_place", f"DATA from {peer.name}: seq {data.seq}, base {data.base}, {places} places")
    if data.payload if gap else places > 1:
        raise BadFrame("bad_gap", f"DATA from {peer.name}: {places} places with {len(data.payload)} bytes, gap {gap}")


def _seen(data: Data) -> Item:
    """An item as the receiver sees it, for the trace."""
    return Item(data.kind, data.type, Payload(b""), data.origin, data.event, 0.0)
