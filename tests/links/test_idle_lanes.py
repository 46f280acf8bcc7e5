"""A tunnel on which nothing is under way costs the others nothing: its lanes are not looked at."""

from __future__ import annotations

from typing import Any

import pytest

from edri_sim.links.flow.items import EVENTS, Delivered, Item, Payload
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.flow.send import SendLane
from edri_sim.links.frames import ITEM
from tests.links.exchanges import Pair

BUSY = EVENTS + 1


class Looks:
    """Counts how often lanes are asked when they are due."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def due(lane: Any) -> float:
            self.count += 1
            found: float = lane.__dict__["due"]
            return found

        def set_due(lane: Any, when: float) -> None:
            lane.__dict__["due"] = when

        for cls in (SendLane, ReceiveLane):
            monkeypatch.setattr(cls, "due", property(due, set_due), raising=False)


def send(pair: Pair, lane: int, number: int) -> None:
    pair.b.lanes.expect("a", lane)
    pair.a.push("b", lane, Item(ITEM, "", Payload(b"x"), 1, number, pair.now), pair.now)


def pour(looks: Looks, idle: int) -> int:
    """How often lanes are looked at while 200 items go over one, and ``idle`` others are open."""
    pair = Pair().meet()
    for lane in range(BUSY + 1, BUSY + 1 + idle):
        send(pair, lane, 1)
    pair.settle(1.0)
    assert len(pair.heard("b", Delivered)) == idle
    before = looks.count
    for number in range(200):
        send(pair, BUSY, number)
    pair.settle()
    assert pair.delivered()[idle:] == list(range(200))
    return looks.count - before


def test_the_cost_of_a_busy_tunnel_does_not_depend_on_idle_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    assert pour(looks, 400) == pour(looks, 0)


def test_an_idle_tunnel_is_looked_at_again_once_something_comes_and_after_a_cut() -> None:
    pair = Pair().meet()
    send(pair, BUSY, 1)
    pair.settle(1.0)
    assert (pair.a.peer("b").busy, pair.b.peer("a").heard) == ({}, {})
    pair.a.down("b")
    send(pair, BUSY, 2)
    pair.settle()
    assert pair.delivered() == [1]
    pair.meet().settle()
    assert pair.delivered() == [1, 2]
    assert not pair.a.bytes
