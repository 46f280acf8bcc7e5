"""Flows between two routers: what is given up, what is kept until it was handled, bounds and lives."""

from __future__ import annotations

import math

import pytest

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import (
    CONTROL,
    EVENTS,
    Accepted,
    Delivered,
    Fenced,
    Full,
    Gap,
    GivenUp,
    Item,
    Payload,
    Restarted,
    Returned,
)
from edri_sim.links.frames import (
    HANDLED_WANTED,
    REDELIVERED,
    REPLY,
    REQUEST,
    STALE_DST,
    Ack,
    Data,
    Reset,
)
from tests.links.exchanges import Pair, only, raw

# What is dropped and given up


def test_latest_events_push_out_the_oldest_and_both_ends_know_which() -> None:
    pair = Pair(events=3)
    for _ in range(10):
        pair.push(latest=True)
    pair.meet().settle()
    assert pair.delivered() == [8, 9, 10]
    assert [gap[2:] for gap in pair.heard("b", Gap)] == [(1, 7)]
    given_up = pair.heard("a", GivenUp)
    assert [(news.seq, news.was_sent) for news in given_up] == [(seq, False) for seq in range(1, 8)]
    assert {news.reason for news in given_up} == {"outbox full, dropped as the oldest"}


def test_a_latest_event_pushes_out_no_reliable_one() -> None:
    pair = Pair(events=3)
    for latest in (False, True, False):
        pair.push(latest=latest)
    pair.push(latest=True)
    with pytest.raises(Full, match=r"^it holds 3 events, the most for one router$"):
        pair.push()
    pair.meet().settle()
    assert pair.delivered() == [1, 3, 4]


def test_an_outbox_is_bounded_by_events_by_bytes_and_by_the_bytes_of_all() -> None:
    pair = Pair(flow_bytes=10, node_bytes=15)
    pair.push(Payload(b"12345678"))
    with pytest.raises(Full, match=r"^it holds 8 bytes for this router, the most are 10$"):
        pair.push(Payload(b"123"))
    other = Item(1, "Note", Payload(b"12345678"), 1, 99, 0.0)
    with pytest.raises(Full, match=r"^it holds 8 bytes in all, the most are 15$"):
        pair.a.push("c", EVENTS, other, 0.0)
    pair.meet().settle()
    assert pair.a.bytes == 0
    pair.push(Payload(b"123"))


def test_a_payload_for_many_is_held_once() -> None:
    pair = Pair(node_bytes=100)
    payload = Payload(b"x" * 60)
    for name in "bcd":
        pair.a.push(name, EVENTS, Item(1, "Note", payload, 1, 1, 0.0), 0.0)
    assert pair.a.bytes == 60
    for name in "bcd":
        pair.a.forget(name, "gone")
    assert pair.a.bytes == 0


def test_what_expires_becomes_a_gap() -> None:
    pair = Pair()
    for deadline in (math.inf, 1.0, math.inf):
        pair.push(deadline=deadline)
    pair.now = 1.0
    pair.meet().settle()
    assert pair.delivered() == [1, 3]
    assert [gap[2:] for gap in pair.heard("b", Gap)] == [(2, 2)]
    assert [(news.seq, news.reason, news.was_sent) for news in pair.heard("a", GivenUp)] == [(2, "expired", False)]


def test_a_deadline_travels_as_the_time_that_is_left() -> None:
    pair = Pair().meet()
    pair.push(deadline=5.0)
    pair.push()
    pair.now = 2.0
    assert [data.remaining for data in only(Data, pair.a.frames(2.0))] == [3.0, -1.0]


def test_retention_gives_up_what_nobody_fetches() -> None:
    pair = Pair(retention=10.0)
    for second in range(5):
        pair.push(created=float(second))
    pair.a.frames(4.0)
    assert pair.a.next_time() == 10.0
    pair.a.tick(12.0)
    pair.hear()
    assert [(news.seq, news.reason) for news in pair.heard("a", GivenUp)] == [(seq, "retention") for seq in (1, 2, 3)]
    pair.a.frames(12.0)
    assert pair.a.next_time() == 13.0


def test_a_router_that_never_comes_back_costs_no_more_and_more() -> None:
    pair = Pair(retention=10.0, events=100)
    for second in range(2_000):
        pair.now = float(second)
        pair.push(latest=True)
        pair.a.frames(pair.now)
        pair.a.tick(pair.now)
    out = pair.a.peers["b"].sends[EVENTS]
    assert len(out.send.rows) <= 12
    assert len(out._ages._rows) <= 2 * out.events + 65
    assert len(out._latest._rows) <= 2 * out.events + 65
    assert pair.a.bytes == out.events == 10


def test_an_old_event_keeps_none_of_those_that_came_and_went_after_it() -> None:
    pair = Pair()
    pair.push()
    for _ in range(5_000):
        pair.a.withdraw("b", pair.push(kind=REQUEST), "cancelled")
    out = pair.a.peers["b"].sends[EVENTS]
    assert (len(out.send.rows), out.events) == (2, 1)
    assert len(out._ages._rows) < 100


def test_forget_gives_up_everything_and_tells_why() -> None:
    pair = Pair().meet()
    pair.push(handled=True)
    pair.settle()
    pair.push()
    pair.a.forget("b", "node 'b' has left")
    pair.hear()
    assert [news.reason for news in pair.heard("a", GivenUp)] == ["node 'b' has left"] * 2
    assert pair.a.bytes == 0
    assert pair.a.frames(pair.now) == []
    pair.a.tick(1.0)
    assert pair.a.frames(1.0) == []
    assert pair.a.next_time() == math.inf


# Withdrawal


def test_a_request_that_was_not_sent_is_withdrawn_without_a_trace() -> None:
    pair = Pair()
    row = pair.push(kind=REQUEST)
    assert pair.a.withdraw("b", row, "cancelled") is False
    pair.meet().settle()
    assert pair.delivered() == []
    assert [gap[2:] for gap in pair.heard("b", Gap)] == [(1, 1)]


@pytest.mark.parametrize("accepted", [False, True])
def test_a_request_that_may_have_arrived_has_to_be_cancelled_there(accepted: bool) -> None:
    pair = Pair().meet()
    row = pair.push(kind=REQUEST)
    if accepted:
        pair.settle()
    else:
        pair.a.frames(0.0)
    assert pair.a.withdraw("b", row, "cancelled") is True


def test_a_request_can_be_withdrawn_after_its_flow_began_anew() -> None:
    pair = Pair().meet()
    pair.push()
    pair.settle()
    row = pair.push(kind=REQUEST, handled=True)
    pair.a.learn_life("b", 2, pair.now)
    assert pair.a.withdraw("b", row, "cancelled") is False
    assert pair.a.bytes == 0


# Events that are kept until they were handled


def test_an_event_is_kept_until_a_handler_has_returned() -> None:
    pair = Pair().meet()
    pair.push(handled=True)
    pair.settle()
    (news,) = pair.heard("b", Delivered)
    assert news.flags & HANDLED_WANTED
    assert len(pair.heard("a", Accepted)) == 1
    assert pair.a.bytes == 1, "it has arrived, and is kept"
    pair.b.handled("a", news.data.origin, news.data.event, pair.now)
    pair.settle()
    assert (pair.a.bytes, pair.a.peers["b"].kept) == (0, {})


def test_word_of_a_handler_may_come_before_the_acknowledgement() -> None:
    pair = Pair().meet()
    pair.push(handled=True)
    pair.move(pair.a, pair.b)
    pair.b.handled("a", 1, 1, pair.now)
    pair.move(pair.b, pair.a)  # HANDLED; the acknowledgement waits for more
    assert pair.heard("a", Accepted) == []
    pair.settle()
    assert len(pair.heard("a", Accepted)) == 1
    assert (pair.a.bytes, pair.a.peers["b"].kept) == (0, {})


def test_an_event_that_was_not_handled_comes_again_to_the_next_life_and_once_to_that() -> None:
    pair = Pair().meet()
    pair.push(handled=True)
    pair.push(handled=True)
    pair.settle()
    pair.b.handled("a", 1, 1, pair.now)
    pair.settle()
    pair.b = Exchange("b", 2)
    pair.meet().settle()
    assert pair.delivered() == [1, 2], "nothing goes before it is known what the new life wants"
    pair.a.admit("b", lambda _: True)
    pair.settle()
    assert pair.delivered() == [1, 2, 2]
    again = pair.heard("b", Delivered)[-1]
    assert again.flags & REDELIVERED
    assert (again.data.origin, again.data.event) == (1, 2), "under the same event id"
    pair.b.handled("a", 1, 2, pair.now)
    pair.settle(1.0)
    assert pair.delivered() == [1, 2, 2]
    assert pair.a.bytes == 0


def test_a_rejected_event_is_not_kept() -> None:
    pair = Pair().meet()
    pair.push(handled=True)
    for _, whole in pair.a.frames(0.0):
        pair.b.receive(raw(whole), 0.0)
    (news,) = pair.b.take_news()
    news.lane.reject(1, "bad payload")
    pair.settle()
    assert [news.rejected for news in pair.heard("a", Accepted)] == ["bad payload"]
    assert pair.a.bytes == 0


# Lives


def test_a_new_life_of_the_receiver_gets_what_it_wants_and_requests_go_back() -> None:
    pair = Pair().meet()
    pair.push()
    pair.settle()
    pair.push(type_="Note")
    pair.a.frames(pair.now)  # it is lost
    pair.push(type_="Other")
    pair.push(kind=REQUEST)
    pair.a.push("b", CONTROL, Item(REPLY, "", Payload(b"!"), 1, 0, pair.now, ref=9), pair.now)
    pair.b = Exchange("b", 2)
    pair.meet().settle()
    assert [news.incarnation for news in pair.heard("a", Restarted)] == [2]
    assert [(news.item.number, news.was_sent) for news in pair.heard("a", Returned)] == [(4, False)]
    pair.a.admit("b", lambda type_: type_ == "Note")
    pair.settle()
    assert pair.delivered() == [1, 2], "and a reply to the former life went with it"
    assert pair.heard("b", Delivered)[-1].flags & REDELIVERED
    assert [news.reason for news in pair.heard("a", GivenUp)] == ["unsubscribed"]
    assert pair.a.bytes == 0


def test_a_reset_tells_of_a_life_that_nobody_announced() -> None:
    pair = Pair().meet()
    pair.push()
    pair.settle()
    pair.b = Exchange("b", 5)
    pair.push()
    frames = pair.move(pair.a, pair.b)
    assert [data.incarnation for data in only(Data, frames)] == [1]
    resets = only(Reset, pair.move(pair.b, pair.a))
    assert [(reset.reason, reset.now) for reset in resets] == [(STALE_DST, 5)]
    assert [news.incarnation for news in pair.heard("a", Restarted)] == [5]
    pair.a.admit("b", lambda _: True)
    pair.settle()
    assert pair.delivered() == [1, 2]


def test_one_reset_answers_many_frames() -> None:
    pair = Pair().meet()
    for _ in range(8):
        pair.push()
    pair.b = Exchange("b", 5)
    pair.move(pair.a, pair.b)
    assert len(pair.b.frames(pair.now)) == 1


def test_a_request_tells_of_a_life_that_was_not_announced_yet() -> None:
    """Else its reply would be held to be for nobody."""
    pair = Pair().meet()
    pair.settle()
    pair.a = Exchange("a", 2)
    pair.a.up("b", 1, pair.now)
    pair.push(kind=REQUEST)
    pair.move(pair.a, pair.b)
    assert pair.b.peer("a").incarnation == 2
    kinds = [type(news) for news in pair.news["b"]]
    assert kinds == [Restarted, Delivered]


def test_two_lives_of_one_node_at_once_end_with_the_older_one_fenced() -> None:
    pair = Pair().meet()
    pair.push()
    pair.settle()
    older, pair.a = pair.a, Exchange("a", 2)
    pair.meet()
    pair.push()
    pair.settle()
    older.push("b", EVENTS, Item(1, "Note", Payload(b"x"), 1, 9, pair.now), pair.now)
    pair.move(older, pair.b)
    pair.move(pair.b, older)
    assert [type(news) for news in older.take_news()] == [Fenced]
    assert pair.delivered() == [1, 2]


def test_no_frame_of_an_earlier_life_touches_the_next_one() -> None:
    pair = Pair().meet()
    for _ in range(3):
        pair.push()
    late = pair.a.frames(0.0)
    pair.a = Exchange("a", 2)
    pair.meet()
    pair.push()
    pair.settle()
    for _, whole in late:
        pair.b.receive(raw(whole), pair.now)
    pair.hear()
    pair.settle()
    assert pair.delivered() == [4]
    assert pair.heard("a", Fenced) == []


# A slow receiver


def test_room_that_was_found_wakes_the_sender_without_a_probe() -> None:
    pair = Pair(window=8).meet()
    for _ in range(20):
        pair.push()
    lane = None
    for _ in range(4):
        pair.move(pair.a, pair.b)
        for news in pair.heard("b", Delivered):
            lane = news.lane
            lane.park(1)
        pair.news["b"].clear()
        pair.move(pair.b, pair.a)
    assert lane is not None
    assert lane.parked == 8
    pair.b.frames(pair.now)
    for _ in range(8):
        lane.unpark(1, pair.now)
    pair.move(pair.b, pair.a)
    assert [data.seq for data in only(Data, pair.a.frames(pair.now))] == list(range(9, 17))


def test_the_last_event_that_the_windows_let_go_asks_for_an_answer() -> None:
    pair = Pair().meet()
    for _ in range(9):
        pair.push()
    frames = pair.move(pair.a, pair.b)
    assert len(frames) == 8
    assert [ack.cum for ack in only(Ack, pair.b.frames(pair.now))] == [8], "8 are less than 16, and no time has passed"


def test_a_quiet_exchange_sleeps() -> None:
    pair = Pair().meet()
    for _ in range(100):
        pair.push()
    pair.settle(1.0)
    assert (pair.a.next_time(), pair.b.next_time()) == (math.inf, math.inf)
    assert (pair.a.bytes, len(pair.delivered())) == (0, 100)
