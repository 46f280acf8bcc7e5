"""How a connector is doing: its lines to the switches, and what it holds for other nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edri_sim.links.flow.items import EVENTS
from edri_sim.routing.health import DEGRADED, FAILED, OK, LinkHealth, PartHealth, PeerHealth

if TYPE_CHECKING:
    from edri_sim.links.fabric import Fabric
    from edri_sim.links.flow.exchange import Exchange
    from edri_sim.links.flow.items import Limits
    from edri_sim.links.flow.peer import Peer
    from edri_sim.links.line import SwitchLine


class Reporting:
    """What a running connector is asked from outside."""

    label: str
    exchange: Exchange
    fabric: Fabric

    async def health(self) -> PartHealth:
        """See :class:`~edri_sim.routing.context.RunningPart`; it has failed where no line is up."""
        lines: Sequence[SwitchLine] = getattr(self.fabric, "lines", ())  # Another fabric need not consist of lines.
        links = tuple(LinkHealth(str(line.address), line.up) for line in lines)
        peers = tuple(_peer(peer) for peer in self.exchange.peers.values())
        return PartHealth(self.label, _state([link.up for link in links]), links=links, peers=peers)

    def overfull(self) -> Iterator[str]:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        for peer in self.exchange.peers.values():
            yield from _overfull(self.label, peer, self.exchange.limits)


def _overfull(label: str, peer: Peer, limits: Limits) -> Iterator[str]:
    events = peer.sends.get(EVENTS)  # No other lane has bounds: what is on those has its room before it is sent.
    if events is not None and (events.events > limits.events or events.bytes > limits.flow_bytes):
        yield f"the outbox of {label} for {peer.name} holds {events.events} events, {events.bytes} bytes"
    for lane, out in peer.sends.items():
        if out.send.overrun:
            yield f"lane {lane} from {label} to {peer.name} is beyond its window"
    for lane, came in peer.receives.items():
        if came.overfull:
            yield f"lane {lane} from {peer.name} to {label} holds more than its window"


def _state(up: list[bool]) -> str:
    if all(up):
        return OK
    return DEGRADED if any(up) else FAILED


def _peer(peer: Peer) -> PeerHealth:
    sends = peer.sends.values()
    waiting, size = sum(out.events for out in sends), sum(out.bytes for out in sends)
    return PeerHealth(peer.name, peer.reachable, waiting, size, len(peer.kept))
