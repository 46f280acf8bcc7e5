"""What the receivers of a router's flows answer: acknowledgements, word of what was handled, and resets."""

from __future__ import annotations

from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import EVENTS, Accepted, Fenced, Item
from edri_sim.links.flow.lives import Lives
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.send import BadAck, Row
from edri_sim.links.frames import FENCED, STALE_DST, Ack, BadFrame, FlowFrame, Reset


class Answers:
    """Settles in the ``holdings`` what has arrived, and begins anew what can't go on."""

    def __init__(self, holdings: Holdings, lives: Lives) -> None:
        self._holdings = holdings
        self._lives = lives

    def handled(self, peer: Peer, origin: int, number: int) -> None:
        """The peer's handler has returned from an event that was kept until then."""
        found = peer.unhandled.pop((origin, number), None)
        if found is not None:
            self._holdings.release(peer, found[1], found[0])

    def ack(self, peer: Peer, ack: Ack, _: int, now: float) -> None:
        """Take an acknowledgement. Raises BadFrame."""
        out = _flow_of(peer, ack)
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
            self._holdings.release(peer, item, row.seq, durable=out.lane == EVENTS)
        self._holdings.news.append(Accepted(peer.name, item, rejected))

    def reset(self, peer: Peer, reset: Reset, _: int, now: float) -> None:
        """The receiver can't go on with a flow."""
        out = _flow_of(peer, reset)
        if out is None:
            return
        if reset.reason == STALE_DST:
            self._lives.learn(peer.name, reset.now, now)
        elif reset.reason == FENCED:
            self._holdings.news.append(Fenced(peer.name))
        else:
            self._lives.renew(peer, out, now)


def _flow_of(peer: Peer, frame: FlowFrame) -> Outgoing | None:
    """This router's end of the flow that a frame answers; None if that flow is no more."""
    out = peer.sends.get(frame.lane)
    if out is None or (out.outbox, out.generation) != (frame.outbox, frame.generation):
        return None
    return out if frame.incarnation == peer.incarnation else None
