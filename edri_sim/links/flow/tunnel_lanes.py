"""The lanes of tunnels, which come and go with them."""

from __future__ import annotations

from edri_sim.links.flow.holdings import Holdings


class TunnelLanes:
    """Opens and closes them in the ``holdings``."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def expect(self, name: str, lane: int) -> None:
        """A router may send on a lane from now on."""
        self._holdings.peer(name).expected[lane] = None

    def refuse(self, name: str, lane: int, now: float) -> None:
        """It may not any more: what has come is acknowledged, and the lane forgotten."""
        peer = self._holdings.peer(name)
        peer.expected.pop(lane, None)
        receiving = peer.receives.get(lane)
        if receiving is not None:
            receiving.hurry(now)
            peer.hear(lane, receiving)
            self._holdings.touch(peer)

    def finish(self, name: str, lane: int, theirs: int) -> None:
        """Nothing more is sent on a lane: forget it, and the router's own, once what is on it has arrived.

        What comes until then is taken, for the router has not heard that nobody wants it.
        """
        out = self._holdings.peer(name).sends.get(lane)
        if out is not None:
            out.closes = theirs

    def drop(self, name: str, lane: int) -> None:
        """Send nothing more on a lane, and nothing again."""
        self._holdings.end_lane(self._holdings.peer(name), lane)
