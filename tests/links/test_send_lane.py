"""The sending end of a lane, rule by rule, with the figures of DESIGN's section on delivery."""

from __future__ import annotations

import math

import pytest

from edri_sim.links.flow.send import BadAck, Row, SendLane, Settled

RTT = 0.05


def lane(count: int = 0, *, window: int = 10_000) -> SendLane:
    """A lane that can be sent on, with so many rows, to a receiver that has said how much it admits."""
    found = SendLane()
    found.window = window
    found.connect(0.0)
    for number in range(1, count + 1):
        found.push(f"item {number}")
    return found


def ack(
    sender: SendLane, cum: int, *ranges: tuple[int, int], window: int = 10_000, sync: int = 0, now: float = RTT,
    rejected: tuple[tuple[int, str], ...] = (),
) -> list[Settled]:  # fmt: skip
    return sender.acknowledge(cum, ranges, window, sync, rejected, now)


def seqs(rows: list[Row]) -> list[int]:
    return [row.seq for row in rows]


# The windows


def test_eight_events_go_before_anything_was_heard() -> None:
    sender = SendLane()
    sender.connect(0.0)
    for _ in range(100):
        sender.push("item")
    assert seqs(sender.transmit(0.0)) == list(range(1, 9))
    assert sender.limited
    assert sender.transmit(0.0) == []


def test_no_more_goes_than_the_receiver_admits() -> None:
    sender = lane(100)
    sender.window = 5
    assert seqs(sender.transmit(0.0)) == [1, 2, 3, 4, 5]
    ack(sender, 5, window=6)
    assert seqs(sender.transmit(RTT)) == [6]
    ack(sender, 6, window=3)
    assert sender.window == 6, "a window does not shrink"


def test_a_window_that_no_receiver_has_is_not_believed() -> None:
    sender = lane(20, window=8)
    sender.transmit(0.0)
    ack(sender, 1, window=2**60)
    assert sender.window == 8 + 4096


def test_the_congestion_window_grows_by_one_an_event_and_after_a_loss_by_one_a_window() -> None:
    sender = lane(1000)
    sender.transmit(0.0)
    ack(sender, 8)
    assert sender.cwnd == 16
    sender.transmit(RTT)
    ack(sender, 12, (14, 16), now=2 * RTT)
    assert sender.cwnd == 10, "halved from the 20 that it had become"
    sender.transmit(2 * RTT)
    ack(sender, 24, now=3 * RTT)
    assert sender.cwnd == 10, "no growth before all that was under way at the loss is settled"
    sender.transmit(3 * RTT)
    last = sender.fresh - 1
    assert last - 24 == 10
    ack(sender, last, now=4 * RTT)
    assert sender.cwnd == 11


def test_a_window_that_is_not_used_does_not_grow() -> None:
    sender = lane()
    for number in range(1, 100):
        sender.push("item")
        sender.transmit(0.0)
        ack(sender, number)
    assert sender.cwnd == 8


def test_the_congestion_window_is_halved_once_for_what_was_under_way() -> None:
    sender = lane(1000)
    sender.cwnd = 40
    sender.transmit(0.0)
    ack(sender, 0, (4, 6))
    assert sender.cwnd == 20
    ack(sender, 0, (4, 6), (8, 20))
    assert sender.cwnd == 20
    ack(sender, 40, now=2 * RTT)
    sender.transmit(2 * RTT)
    ack(sender, 40, (42, 44), now=3 * RTT)
    assert sender.cwnd == 10


def test_the_congestion_window_is_never_below_two() -> None:
    sender = lane(10)
    sender.cwnd = 2
    sender.transmit(0.0)
    sender.probe(0.2)
    assert sender.cwnd == 2


# Losses


@pytest.mark.parametrize(("ranges", "again"), [([(3, 4)], []), ([(3, 5)], [1, 2]), ([(2, 2), (4, 5)], [1])])
def test_three_later_events_prove_a_gap(ranges: list[tuple[int, int]], again: list[int]) -> None:
    sender = lane(8)
    sender.transmit(0.0)
    ack(sender, 0, *ranges)
    assert seqs(sender.transmit(RTT)) == again
    ack(sender, 0, *ranges, now=2 * RTT)
    assert sender.transmit(2 * RTT) == [], "once a window"


def test_what_is_lost_goes_lowest_first_however_it_was_found() -> None:
    sender = lane(8)
    sender.transmit(0.0)
    ack(sender, 0, (6, 8))  # 1 to 5 are lost, and the window is 4: 1 to 4 may go
    assert seqs(sender.transmit(RTT)) == [1, 2, 3, 4]
    sender.probe(1.0)
    assert seqs(sender.transmit(1.0)) == [1], "the lowest does not wait behind 5, which the window holds back"


def test_what_has_arrived_is_not_sent_again() -> None:
    sender = lane(8)
    sender.transmit(0.0)
    ack(sender, 0, (6, 8))
    ack(sender, 0, (1 + 1, 3), (6, 8))
    assert seqs(sender.transmit(RTT)) == [1, 4]


def test_a_receiver_that_has_the_lowest_and_does_not_settle_it_gets_it_again() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    sender.rows[1].arrived = True
    sender.probe(0.2)
    assert seqs(sender.transmit(0.2)) == [1]


# Probes


def test_probes_double_from_a_fifth_of_a_second_to_ten() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    times, now = [], 0.0
    for _ in range(9):
        times.append(sender.due - now)
        now = sender.due
        sender.probe(now)
        assert sender.sync_due()
        assert seqs(sender.transmit(now)) == [1], "the lowest goes with the Sync"
    assert times == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0])


def test_a_probe_that_comes_too_early_does_nothing() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    sender.probe(0.1)
    assert not sender.sync_due()


def test_the_answer_to_a_probe_tells_all_that_is_lost() -> None:
    sender = lane(8)
    sender.transmit(0.0)
    sender.probe(0.2)
    assert sender.sync_due()
    sender.transmit(0.2)
    ack(sender, 1, sync=sender.syncs, now=0.25)
    assert seqs(sender.transmit(0.25))[:3] == [2, 3, 4], "though the probe's own event settled something"
    assert sender.due == pytest.approx(0.25 + sender.timeout)


def test_a_window_that_opens_unheard_is_asked_for() -> None:
    sender = lane(10)
    sender.window = 2
    sender.transmit(0.0)
    ack(sender, 2, window=2)
    assert sender.transmit(RTT) == []
    sender.probe(sender.due)
    assert sender.sync_due()
    ack(sender, 2, window=10, sync=sender.syncs, now=1.0)
    assert seqs(sender.transmit(1.0)) == [3, 4, 5, 6, 7, 8, 9, 10]


def test_nothing_wakes_a_lane_that_has_nothing_to_do() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    assert sender.due == 0.2
    ack(sender, 3)
    assert sender.due == math.inf
    sender.disconnect()
    sender.push("item")
    assert sender.transmit(1.0) == []
    assert sender.due == math.inf


def test_an_answer_that_comes_after_the_line_is_gone_wakes_nothing() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    sender.disconnect()
    ack(sender, 1)
    assert sender.due == math.inf


def test_what_is_not_committed_is_neither_sent_nor_asked_about() -> None:
    sender = lane(3)
    sender.committed = 0
    assert sender.transmit(0.0) == []
    sender.probe(sender.due)
    assert not sender.sync_due()
    assert sender.due == math.inf
    sender.committed = 2
    assert seqs(sender.transmit(1.0)) == [1, 2]
    assert sender.due == pytest.approx(1.2)


# The time to and fro


def test_the_timeout_follows_the_time_to_and_fro() -> None:
    sender = lane(2)
    sender.transmit(0.0)
    ack(sender, 1, now=1.0)
    assert sender.timeout == pytest.approx(1.0 + 4 * 0.5)
    ack(sender, 2, now=1.0)
    assert sender.timeout == pytest.approx(1.0 + 4 * 0.375)


def test_karn_what_was_sent_twice_tells_no_time() -> None:
    sender = lane(1)
    sender.transmit(0.0)
    sender.probe(0.2)
    sender.transmit(0.2)
    ack(sender, 1, now=0.21)
    assert sender.timeout == pytest.approx(0.4), "and the timeout stays as long as it became"


@pytest.mark.parametrize("late", [False, True], ids=["held up by a gap", "asked for"])
def test_what_was_held_up_tells_no_time(late: bool) -> None:
    sender = lane(6)
    sender.transmit(0.0)
    if late:
        sender.probe(0.2)
    else:
        ack(sender, 0, (2, 6), now=RTT)
    sender.transmit(0.3)
    ack(sender, 6, now=5.0)
    assert sender.timeout <= 0.4


def test_a_way_that_is_longer_than_the_first_timeout_is_learnt() -> None:
    """Every event is sent twice at first, and so none of them tells the time; the answer to a numbered Sync does."""
    sender = lane()
    way: list[tuple[float, int, int]] = []
    got, now, sent = 0, 0.0, 0
    while now < 60.0:
        now = round(now + 0.01, 2)
        if len(sender.rows) < 8:
            sender.push("item")
        sender.probe(now)
        asked = sender.sync_due()
        rows = sender.transmit(now)
        sent += len(rows)
        way += [(now + 0.7, row.seq, 0) for row in rows] + ([(now + 0.7, 0, sender.syncs)] if asked else [])
        for _, seq, sync in [each for each in way if each[0] <= now]:
            got = max(got, seq)
            ack(sender, got, sync=sync, now=now)
        way = [each for each in way if each[0] > now]
    assert sender.timeout == pytest.approx(0.7, abs=0.1)
    assert sent < 1.1 * got


# Lines that come and go


def test_after_a_cut_nothing_is_sent_again_before_it_was_asked_about() -> None:
    sender = lane(8)
    sender.transmit(0.0)
    sender.disconnect()
    sender.connect(60.0)
    assert sender.sync_due()
    assert sender.transmit(60.0) == []
    ack(sender, 5, sync=sender.syncs - 1, now=60.0)
    assert sender.transmit(60.0) == [], "that was an answer to another one"
    ack(sender, 5, sync=sender.syncs, now=60.0 + RTT)
    assert seqs(sender.transmit(60.0 + RTT)) == [6, 7, 8], "all of it, after one round trip"


def test_a_cut_before_anything_was_sent_costs_no_round_trip() -> None:
    sender = lane()
    sender.disconnect()
    sender.push("item")
    sender.connect(60.0)
    assert not sender.sync_due()
    assert seqs(sender.transmit(60.0)) == [1]


def test_a_resumed_flow_sends_nothing_before_its_sync_was_answered() -> None:
    sender = SendLane()
    sender.resume(5, 11, [(6, "six"), (9, "nine")], life=3)
    sender.connect(0.0)
    assert sender.sync_due()
    sender.push("eleven")
    sender.committed = 11
    assert sender.transmit(0.0) == []
    assert ack(sender, 10, sync=7) == [], "an answer to an earlier life says nothing"
    settled = ack(sender, 6, sync=sender.syncs)
    assert [(row.seq, row.places, row.item) for row, _ in settled] == [(5, 1, None), (6, 1, "six")]
    rows = sender.transmit(RTT)
    assert [(row.seq, row.places, row.item) for row in rows] == [
        (7, 2, None), (9, 1, "nine"), (10, 1, None), (11, 1, "eleven"),
    ]  # fmt: skip


def test_a_resumed_flow_without_rows_asks_too() -> None:
    sender = SendLane()
    sender.resume(5, 5, [], life=3)
    sender.connect(0.0)
    assert sender.sync_due()
    sender.probe(sender.due)
    assert sender.sync_due(), "until it is answered"
    ack(sender, 4, sync=sender.syncs)
    assert sender.due == math.inf


# What is given up


def test_what_is_given_up_before_it_was_sent_becomes_one_row() -> None:
    sender = lane(20)
    sender.cwnd = 2
    sender.transmit(0.0)
    for seq in (5, 7, 6, 3, 4, 10, 9, 8):
        sender.give_up(sender.rows[seq])
    assert [(row.seq, row.places) for row in sender.rows.values() if row.item is None] == [(3, 8)]
    ack(sender, 2)
    first = sender.transmit(RTT)[0]
    assert (first.seq, first.places) == (3, 8), "one frame for all of it"


def test_rows_of_a_receiver_that_never_comes_back_are_compacted() -> None:
    sender = SendLane()
    for _ in range(10_000):
        sender.give_up(sender.push("item"))
    assert len(sender.rows) == 1
    assert len(sender._gaps) == 1


def test_what_is_given_up_under_way_keeps_its_place() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    for row in list(sender.rows.values()):
        sender.give_up(row)
    assert [(row.seq, row.places) for row in sender.rows.values()] == [(1, 1), (2, 1), (3, 1)]


# What no receiver may say


@pytest.mark.parametrize(
    ("cum", "ranges", "sync"),
    [(9, [], 0), (0, [(5, 9)], 0), (3, [(3, 4)], 0), (0, [(5, 4)], 0), (0, [(0, 1)], 0), (0, [], 1)],
    ids=["beyond", "range beyond", "range below", "empty range", "range at 0", "sync that was not sent"],
)
def test_an_impossible_acknowledgement_is_refused(cum: int, ranges: list[tuple[int, int]], sync: int) -> None:
    sender = lane(20)
    sender.transmit(0.0)
    with pytest.raises(BadAck, match=r"sent were 8 and sync 0$"):
        ack(sender, cum, *ranges, sync=sync)
    assert sender.base == 1


def test_an_old_acknowledgement_does_no_harm() -> None:
    sender = lane(20)
    sender.transmit(0.0)
    ack(sender, 6)
    assert ack(sender, 2, (4, 5)) == []
    assert sender.base == 7


def test_a_rejected_event_is_settled() -> None:
    sender = lane(3)
    sender.transmit(0.0)
    settled = ack(sender, 3, rejected=((2, "bad payload"), (9, "never sent")))
    assert [(row.seq, why) for row, why in settled] == [(1, None), (2, "bad payload"), (3, None)]
