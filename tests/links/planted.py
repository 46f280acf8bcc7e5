"""Faults to plant in the flow code, each by what it leaves out: the model has to catch them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edri_sim.links.flow.answers import Answers
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import EVENTS, Item
from edri_sim.links.flow.peer import Outgoing, Peer
from edri_sim.links.flow.receive import Arrived, ReceiveLane
from edri_sim.links.flow.send import Row, SendLane
from edri_sim.links.flow.tunnel_lanes import TunnelLanes
from edri_sim.links.frames import HANDLED, NOTIFY, OPEN, REQUEST

Plant = Callable[[pytest.MonkeyPatch], None]


def no_dedupe(patch: pytest.MonkeyPatch) -> None:
    """What has been delivered is delivered again when it comes again."""
    right = ReceiveLane.data

    def data(self: ReceiveLane, seq: int, places: int, base: int, size: int, item: Any, now: float) -> list[Arrived]:
        again = [(seq, seq, item)] if seq < self.next and size else []
        return right(self, seq, places, base, size, item, now) or again

    patch.setattr(ReceiveLane, "data", data)


def no_order(patch: pytest.MonkeyPatch) -> None:
    """What comes is delivered as it comes, once."""
    right = ReceiveLane.data

    def data(self: ReceiveLane, seq: int, places: int, base: int, size: int, item: Any, now: float) -> list[Arrived]:
        waiting = set(self._waiting)
        found = right(self, seq, places, base, size, item, now)
        early = [(seq, seq, item)] if seq in self._waiting and seq not in waiting else []
        return early + [arrived for arrived in found if arrived[0] not in waiting]

    patch.setattr(ReceiveLane, "data", data)


def cumulative_is_highest(patch: pytest.MonkeyPatch) -> None:
    """The receiver acknowledges up to the highest that has come, holes and all."""
    right = ReceiveLane.acknowledgement

    def acknowledgement(self: ReceiveLane) -> tuple[Any, ...]:
        cum, ranges, *rest = right(self)
        return (ranges[-1][1] if ranges else cum, [], *rest)

    patch.setattr(ReceiveLane, "acknowledgement", acknowledgement)


def no_retransmission(patch: pytest.MonkeyPatch) -> None:
    """What is lost is never sent again."""

    def lose(self: SendLane, lost: Sequence[Row]) -> None:
        """Forget it."""

    patch.setattr(SendLane, "_lose", lose)


def no_reset(patch: pytest.MonkeyPatch) -> None:
    """A sender does not heed that its flow can't go on."""

    def reset(self: Answers, *_: object) -> None:
        """Ignore it."""

    patch.setattr(Answers, "reset", reset)


def one_lane(patch: pytest.MonkeyPatch) -> None:
    """Replies and cancels queue up behind events."""
    right, room = Exchange.push, Holdings.make_room

    def push(self: Exchange, name: str, lane: int, item: Item, now: float) -> Row:
        return right(self, name, lane if lane > EVENTS or item.kind == HANDLED else EVENTS, item, now)

    def make_room(self: Holdings, peer: Peer, out: Outgoing, item: Item) -> None:
        if item.kind in (NOTIFY, REQUEST, OPEN):
            room(self, peer, out, item)

    patch.setattr(Exchange, "push", push)
    patch.setattr(Holdings, "make_room", make_room)


def no_wait_at_the_end(patch: pytest.MonkeyPatch) -> None:
    """A side that ends its tunnel keeps nothing of what is on its way."""

    def finish(self: TunnelLanes, name: str, lane: int, theirs: int) -> None:
        self.drop(name, lane)
        self.refuse(name, theirs, 0.0)

    patch.setattr(TunnelLanes, "finish", finish)


def no_refusal(patch: pytest.MonkeyPatch) -> None:
    """The lanes of tunnels that are over are kept."""

    def refuse(self: TunnelLanes, *_: object) -> None:
        """Ignore it."""

    patch.setattr(TunnelLanes, "refuse", refuse)


def all_rest(patch: pytest.MonkeyPatch) -> None:
    """The lane of a tunnel is passed over though something is on it."""
    patch.setattr(Outgoing, "idle", True)


PLANTS: tuple[Plant, ...] = (
    no_dedupe, no_order, cumulative_is_highest, no_retransmission, no_reset, one_lane, no_wait_at_the_end, no_refusal,
    all_rest,
)  # fmt: skip
