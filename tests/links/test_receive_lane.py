"""The receiving end of a lane, rule by rule, with the figures of DESIGN's section on delivery."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim.links.flow import receive
from edri_sim.links.flow.receive import ReceiveLane


def lane(window: int = 1024, wake: Callable[[], None] = lambda: None) -> ReceiveLane:
    return ReceiveLane(1, 1, wake, window=window)


def take(receiver: ReceiveLane, seq: int, *, places: int = 1, base: int = 1, size: int = 1, now: float = 0.0) -> Any:
    """The places that are delivered."""
    return [(first, last) for first, last, _ in receiver.data(seq, places, base, size, f"item {seq}", now)]


# Order


def test_what_comes_in_order_is_delivered_at_once() -> None:
    receiver = lane()
    assert [take(receiver, seq) for seq in (1, 2, 3)] == [[(1, 1)], [(2, 2)], [(3, 3)]]


def test_what_comes_early_waits_for_what_is_missing() -> None:
    receiver = lane()
    assert [take(receiver, seq) for seq in (3, 2, 5)] == [[], [], []]
    assert take(receiver, 1) == [(1, 1), (2, 2), (3, 3)]
    assert take(receiver, 4) == [(4, 4), (5, 5)]


def test_duplicates_are_dropped_and_counted() -> None:
    receiver = lane()
    for seq in (1, 1, 3, 3, 2, 2, 3):
        take(receiver, seq)
    assert (receiver.next, receiver.duplicates) == (4, 4)


def test_a_run_of_given_up_events_fills_its_places() -> None:
    receiver = lane()
    take(receiver, 9)
    assert take(receiver, 1, places=8, size=0) == [(1, 8), (9, 9)]


def test_runs_that_overlap_are_joined() -> None:
    """A sender that restarted may have given up more than it had told of, and joins its gaps in other ways."""
    receiver = lane()
    take(receiver, 1)
    take(receiver, 4)  # it came early, and was then given up by its sender
    take(receiver, 6, places=3, size=0)
    assert take(receiver, 1, places=6, size=0) == [(2, 6), (7, 8)]
    assert (receiver.next, receiver._waiting, receiver._waiting_bytes) == (9, {}, 0)


# The window


def test_what_lies_beyond_the_window_is_refused() -> None:
    receiver = lane(4)
    assert [take(receiver, seq) for seq in (5, 4)] == [[], []]
    assert receiver.refused == 1
    assert receiver.acknowledgement()[:3] == (0, [(4, 4)], 4)


def test_parked_events_take_up_the_window() -> None:
    receiver = lane(4)
    for seq in (1, 2, 3):
        take(receiver, seq)
        receiver.park(1)
    assert receiver.acknowledgement()[2] == 4, "7, but for the 3 that wait"
    receiver.unpark(1, 0.0)
    assert receiver.acknowledgement()[2] == 5


def test_a_window_that_was_promised_is_kept() -> None:
    receiver = lane(4)
    take(receiver, 1)
    assert receiver.acknowledgement()[2] == 5
    for _ in range(4):
        receiver.park(1)
    assert receiver.acknowledgement()[2] == 5


def test_a_sender_is_told_of_a_quarter_of_the_window_and_not_of_each_event() -> None:
    woken: list[int] = []
    receiver = lane(8, lambda: woken.append(1))
    for seq in range(1, 9):
        take(receiver, seq)
        receiver.park(1)
    receiver.acknowledgement()
    receiver.unpark(1, 1.0)
    assert (receiver.due, woken) == (math.inf, [])
    receiver.unpark(1, 2.0)
    assert (receiver.due, woken) == (2.0, [1])


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receive, "ROOM_BYTES", 100)
    receiver = lane()
    take(receiver, 2, size=60)
    take(receiver, 3, size=60)
    assert receiver.refused == 1
    assert take(receiver, 1, size=80) == [(1, 1), (2, 2)], "what is next does not wait for what waits behind it"
    receiver.park(80)
    assert take(receiver, 3, size=60) == []
    receiver.unpark(80, 0.0)
    assert take(receiver, 3, size=200) == [(3, 3)], "and one that is larger than all room still comes through"


def test_a_hole_is_filled_whatever_waits_behind_it() -> None:
    receiver = lane(4)
    receiver._window = 100
    for seq in (2, 3, 4, 5):
        take(receiver, seq)
    take(receiver, 6)
    assert receiver.refused == 1
    assert take(receiver, 1) == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]


# Acknowledgements


def test_sixteen_events_or_twenty_milliseconds() -> None:
    receiver = lane()
    take(receiver, 1, now=1.0)
    assert receiver.due == pytest.approx(1.02)
    for seq in range(2, 16):
        take(receiver, seq, now=1.01)
    assert receiver.due == pytest.approx(1.02)
    take(receiver, 16, now=1.01)
    assert receiver.due == 1.01
    assert receiver.acknowledgement() == (16, [], 16 + 1024, 0, [])
    assert receiver.due == math.inf


@pytest.mark.parametrize("seq", [3, 1], ids=["a gap", "a duplicate"])
def test_a_gap_or_a_duplicate_is_answered_at_once(seq: int) -> None:
    receiver = lane()
    take(receiver, 1)
    receiver.acknowledgement()
    take(receiver, seq, now=5.0)
    assert receiver.due == 5.0


def test_a_sync_is_answered_at_once_with_its_number() -> None:
    receiver = lane()
    receiver.synchronise(1, 7, 5.0)
    assert receiver.due == 5.0
    assert receiver.acknowledgement()[3] == 7


def test_ranges_are_joined_and_bounded() -> None:
    receiver = lane()
    for seq in (3, 4, 6, 8):
        take(receiver, seq)
    take(receiver, 9, places=3, size=0)
    assert receiver.acknowledgement()[1] == [(3, 4), (6, 6), (8, 11)]
    for seq in range(20, 200, 2):
        take(receiver, seq)
    assert len(receiver.acknowledgement()[1]) == 32


def test_a_rejection_is_repeated_until_its_sender_is_past_it() -> None:
    receiver = lane()
    for seq in (1, 2):
        take(receiver, seq)
    receiver.reject(1, "unknown type")
    receiver.reject(2, "x" * 100)
    both = [(1, "unknown type"), (2, "x" * 64)]
    assert receiver.acknowledgement()[4] == both
    assert receiver.acknowledgement()[4] == both
    take(receiver, 3, base=2)
    assert receiver.acknowledgement()[4] == both[1:]
    receiver.synchronise(4, 1, 0.0)
    assert receiver.acknowledgement()[4] == []
