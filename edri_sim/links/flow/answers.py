"""What the receivers of a router's flows answer: acknowledgements, word of what was handled, and resets."""

from __future__ import annotations

from collections.abc import Callable

from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import EVENTS, Accepted, Fenced, Item, LaneLost
from edri_sim.links.flow.lives import Lives
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import BadAck, Row
from edri_sim.links.frames import FENCED, ROLLBACK, STALE_DST, UNKNOWN_FLOW, Ack, BadFrame, FlowFrame, Reset


class Answers:
    """Settles in the ``holdings`` what has arrived, and begins anew what can't go on."""

    def __init__(self, holdings: Holdings, lives: Lives) -> None:
        self._holdings = holdings
        self._lives = lives
        self._resets: dict[str, Callable[[Peer, Outgoing, Reset, float], None]] = {
            STALE_DST: self._stale, FENCED: self._fenced, UNKNOWN_FLOW: self._unknown, ROLLBACK: self._rollback,
        }  # fmt: skip

    def handled(self, peer: Peer, origin: int, number: int) -> None:
        """The peer's handler has returned from an event that was kept until then."""
        kept = peer.kept.pop((origin, number), None)
        if kept is None:
            return
        if kept.arrived:
            self._holdings.release_kept(peer, kept)
        else:
            kept.item.handled = False  # This came before the acknowledgement.

    def ack(self, peer: Peer, ack: Ack, _: int, now: float) -> None:
        """Take an acknowledgement. Raises BadFrame."""
        out = _flow_of(peer, ack)
        if out is None:
            return
        try:
            settled = out.send.acknowledge(ack.cum, ack.ranges, ack.window, ack.sync, ack.rejected, now)
        except BadAck as error:
            raise BadFrame("bad_ack", f"ACK from {peer.name}: {error}") from error
        if settled:
            self._holdings.moved(peer, out)
        for row, rejected in settled:
            if row.item is not None:
                self._settle(peer, out, row, rejected)
        peer.settle(out)

    def _settle(self, peer: Peer, out: Outgoing, row: Row, rejected: str | None) -> None:
        item: Item = row.item
        kept = peer.kept.get((item.origin, item.number)) if item.handled else None
        if kept is not None and rejected is None:
            out.release(item)
            kept.arrived = True
        else:
            self._holdings.release_row(peer, out, row)
            if kept is not None:
                del peer.kept[item.origin, item.number]
        self._holdings.news.append(Accepted(peer.name, item, rejected))

    def reset(self, peer: Peer, reset: Reset, _: int, now: float) -> None:
        """The receiver can't go on with a flow. Raises BadFrame."""
        out = _flow_of(peer, reset)
        handle = self._resets.get(reset.reason)
        if handle is None:
            raise BadFrame("unknown_reason", f"RESET from {peer.name}: the reason {reset.reason!r}")
        if out is not None:
            handle(peer, out, reset, now)

    def _stale(self, peer: Peer, _: Outgoing, reset: Reset, now: float) -> None:
        self._lives.learn(peer.name, reset.now, now)

    def _fenced(self, peer: Peer, out: Outgoing, _: Reset, now: float) -> None:
        # An outbox is as old as its first life: one without it, or another copy, may have come between. The newest
        # life goes on; one that is fenced as itself has been followed by another.
        if out.outbox < self._holdings.incarnation:
            self._lives.renew(peer, out, now, own=True)
        else:
            self._holdings.news.append(Fenced(peer.name))

    def _unknown(self, peer: Peer, out: Outgoing, _: Reset, now: float) -> None:
        if out.lane > EVENTS:  # Its tunnel is no more.
            self._holdings.end_lane(peer, out.lane)
            self._holdings.news.append(LaneLost(peer.name, out.lane))
        else:
            self._lives.renew(peer, out, now)

    def _rollback(self, peer: Peer, out: Outgoing, reset: Reset, now: float) -> None:
        # Only an earlier life can have sent more than this one knows; else an old Sync came late.
        if out.send.resumed and reset.sync == out.send.syncs:
            self._lives.renew(peer, out, now)


def _flow_of(peer: Peer, frame: FlowFrame) -> Outgoing | None:
    """This router's end of the flow that a frame answers; None if that flow is no more."""
    out = peer.sends.get(frame.lane)
    if out is None or (out.outbox, out.generation) != (frame.outbox, frame.generation):
        return None
    return out if frame.incarnation == peer.incarnation else None
