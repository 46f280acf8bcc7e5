"""The receiving half of all flows of one router: lanes by the flow that a frame belongs to, or a reset in answer."""

from __future__ import annotations

from collections.abc import Callable

from edri_sim import trace
from edri_sim.links.flow.items import Delivered, Gap, Item, News, Payload
from edri_sim.links.flow.peer import Peer
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.frames import (
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

Observe = Callable[[int, Item, str], None]
"""Told a stage of the trace, the item and the other router."""
Handled = Callable[[Peer, int, int], None]
"""Told the origin and number of an event that the peer's handler has returned from."""


class Incoming:
    """Opens, continues and replaces the receiving ends of flows to the router ``node`` in this life."""

    def __init__(
        self,
        node: str,
        incarnation: int,
        report: Callable[[News], None],
        handled: Handled,
        observe: Observe | None,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self._report = report
        self._handled = handled
        self._observe = observe
        self._resets: list[tuple[str, bytes]] = []

    def take_resets(self) -> list[tuple[str, bytes]]:
        """The resets to send, each with the router that it goes to."""
        resets, self._resets = self._resets, []
        return resets

    def acknowledgements(self, peer: Peer, now: float) -> list[tuple[str, bytes]]:
        """The acknowledgements that are due."""
        found = []
        for number, lane in peer.receives.items():
            if lane.due <= now:
                key = (peer.name, self.node, 0, "", lane.outbox, lane.generation, self.incarnation, number)
                found.append((peer.name, encode(Ack(*key, *lane.acknowledgement()))))
        return found

    def data(self, peer: Peer, data: Data, flags: int, now: float) -> None:
        """Take an event; what is in order now is reported. Raises BadFrame."""
        if data.hops > MAX_HOPS:
            raise BadFrame("too_many_hops", f"DATA from {peer.name} passed {data.hops} routers: at most {MAX_HOPS} may")
        if data.seq < 1 or data.places < 1 or data.base > data.seq:
            raise BadFrame(
                "bad_place", f"DATA from {peer.name}: seq {data.seq}, {data.places} places, base {data.base}"
            )
        lane = self._lane_for(peer, data, data.base)
        if lane is None:
            return
        size = 0 if flags & GAP else len(data.payload) or 1
        duplicates = lane.duplicates
        for delivered, its_flags in lane.data(data.seq, data.places, data.base, size, (data, flags), now):
            if its_flags & GAP:
                self._report(Gap(peer.name, data.lane, delivered.seq, delivered.seq + delivered.places - 1))
            elif delivered.kind == HANDLED:
                self._handled(peer, delivered.origin, delivered.ref)
            else:
                self._report(Delivered(peer.name, lane, delivered, its_flags))
        if lane.duplicates > duplicates and self._observe is not None and not flags & GAP:
            self._observe(trace.DUPLICATE, _seen(data), peer.name)

    def _lane_for(self, peer: Peer, frame: FlowFrame, base: int) -> ReceiveLane | None:
        """The receiving end of the frame's flow; None after a Reset was sent in its place."""
        if frame.incarnation != self.incarnation:
            self._reset(peer, frame, STALE_DST)
            return None
        lane = peer.receives.get(frame.lane)
        theirs = (frame.outbox, frame.generation)
        if lane is None or theirs > (lane.outbox, lane.generation):
            if base > 1:
                self._reset(peer, frame, UNKNOWN_FLOW)
                return None
            lane = peer.receives[frame.lane] = ReceiveLane(*theirs)
        elif theirs < (lane.outbox, lane.generation):
            self._reset(peer, frame, FENCED)
            return None
        elif base > lane.next:
            self._reset(peer, frame, UNKNOWN_FLOW)
            return None
        return lane

    def _reset(self, peer: Peer, frame: FlowFrame, reason: str) -> None:
        key = (frame.outbox, frame.generation, frame.incarnation, frame.lane)
        self._resets.append((peer.name, encode(Reset(peer.name, self.node, 0, "", *key, reason, self.incarnation))))

    def sync(self, peer: Peer, sync: Sync, _: int, now: float) -> None:
        """Answer a Sync: with an acknowledgement, or with a reset."""
        lane = self._lane_for(peer, sync, sync.base)
        if lane is None:
            return
        if sync.last < lane.next - 1:
            self._reset(peer, sync, ROLLBACK)
            return
        lane.synchronise(sync.base, sync.sync, now)


def _seen(data: Data) -> Item:
    """An item as the receiver sees it, for the trace."""
    return Item(data.kind, data.type, Payload(b""), data.origin, data.event, 0.0)
