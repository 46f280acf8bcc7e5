"""Flows that outlive their sender: what a durable outbox writes down, when it may be sent, and how a flow goes on."""

from __future__ import annotations

from copy import copy

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import (
    EVENTS,
    Accepted,
    Change,
    Delivered,
    Drop,
    Flow,
    Gap,
    GivenUp,
    Payload,
    Put,
)
from edri_sim.links.frames import REDELIVERED, REQUEST, ROLLBACK, Data, Reset, Sync, encode
from tests.links.exchanges import Pair, only, raw


class Disk:
    """What was written of the flow to ``b``."""

    def __init__(self) -> None:
        self.flow = Flow("b", 0, 1, 1, 1)
        self.rows: dict[tuple[int, int], Put] = {}

    def write(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.rows[change.generation, change.seq] = change
            elif isinstance(change, Drop):
                self.rows.pop((change.generation, change.seq), None)
            else:
                self.flow = change

    def copy(self) -> Disk:
        found = Disk()
        found.flow, found.rows = self.flow, dict(self.rows)
        return found

    def puts(self) -> list[Put]:
        found = []
        for put in self.rows.values():
            item = copy(put.item)
            item.payload = Payload(item.payload.data)
            found.append(put._replace(item=item))
        return found


class DurablePair(Pair):
    """``a`` has a durable outbox, and a disk."""

    def __init__(self) -> None:
        super().__init__(outbox=7)
        self.disk = Disk()

    def commit(self) -> None:
        changes = self.a.take_changes()
        self.disk.write(changes)
        if changes:
            self.a.committed(self.disk.flow)

    def restart(self, disk: Disk | None = None) -> None:
        """The next life of ``a``, with what the disk has."""
        disk = disk or self.disk
        self.a = Exchange("a", self.a.incarnation + 1, outbox=7)
        self.a.restore(disk.flow, disk.puts())
        self.hear()


def met() -> DurablePair:
    pair = DurablePair()
    pair.meet()
    return pair


def test_nothing_is_sent_before_it_is_written_down() -> None:
    pair = met()
    pair.push()
    assert pair.a.frames(0.0) == []
    changes = pair.a.take_changes()
    assert [type(change) for change in changes] == [Put, Flow]
    assert changes[-1] == Flow("b", 1, 1, 1, 2)
    pair.a.committed(changes[-1])
    assert [data.seq for data in only(Data, pair.a.frames(0.0))] == [1]


def test_a_commit_of_a_former_flow_lets_nothing_of_the_next_one_go() -> None:
    pair = met()
    for _ in range(5):
        pair.push()
    before = pair.a.take_changes()[-1]
    pair.a.learn_life("b", 2, 0.0)
    pair.a.admit("b", lambda _: True)
    pair.a.committed(before)
    assert pair.a.frames(0.0) == []
    pair.commit()
    assert len(only(Data, pair.a.frames(0.0))) == 5


def test_nothing_goes_to_a_life_before_it_is_written_down_that_it_went_there() -> None:
    pair = DurablePair()
    pair.push()
    pair.commit()
    assert pair.disk.flow.incarnation == 0
    pair.meet()
    assert pair.a.frames(0.0) == []
    pair.commit()
    assert pair.disk.flow.incarnation == 1
    assert len(pair.a.frames(0.0)) == 1


def test_what_is_settled_is_dropped() -> None:
    pair = met()
    for _ in range(20):
        pair.push()
    pair.settle()
    assert pair.disk.rows == {}
    assert pair.disk.flow == Flow("b", 1, 1, 21, 21)


def test_a_crash_of_the_sender_loses_nothing_and_repeats_nothing() -> None:
    pair = met()
    for _ in range(20):
        pair.push()
    pair.commit()
    pair.move(pair.a, pair.b)  # 8 arrive, and the answer is lost
    pair.restart()
    pair.meet().settle()
    assert pair.delivered() == list(range(1, 21))
    assert not any(news.flags & REDELIVERED for news in pair.heard("b", Delivered))
    assert len(pair.heard("a", Accepted)) == 20
    assert pair.disk.rows == {}


def test_nothing_is_sent_on_a_flow_that_goes_on_before_its_sync_was_answered() -> None:
    pair = met()
    pair.push()
    pair.commit()
    pair.restart()
    pair.push()
    pair.commit()
    pair.meet()
    assert [type(raw(whole).open()) for _, whole in pair.a.frames(0.0)] == [Sync]


def test_what_was_given_up_is_a_gap_in_the_next_life_too_with_its_exact_range() -> None:
    pair = DurablePair()
    rows = [pair.push() for _ in range(10)]
    for number in (1, 2, 5, 6, 10):
        pair.a.withdraw("b", rows[number - 1], "cancelled")
    pair.commit()
    pair.restart()
    pair.meet().settle()
    assert pair.delivered() == [3, 4, 7, 8, 9]
    assert [gap[2:] for gap in pair.heard("b", Gap)] == [(1, 2), (5, 6), (10, 10)]


def test_gaps_of_two_lives_that_overlap_do_not_block_the_flow() -> None:
    pair = met()
    rows = [pair.push() for _ in range(8)]
    pair.commit()
    for data, (_, whole) in zip(rows, pair.a.frames(0.0), strict=True):
        if data.seq in (1, 5, 6):
            pair.b.receive(raw(whole), 0.0)  # 1 is delivered, 5 and 6 wait
    for row in rows[:6]:
        pair.a.withdraw("b", row, "cancelled")
    pair.commit()
    pair.restart()
    pair.meet().settle()
    assert pair.delivered() == [1, 7, 8]
    assert [gap[2:] for gap in pair.heard("b", Gap)] == [(2, 6)]


def test_requests_of_an_earlier_life_are_given_up() -> None:
    pair = DurablePair()
    pair.push()
    pair.push(kind=REQUEST)
    pair.push(kind=REQUEST, handled=True)
    pair.commit()
    pair.restart()
    assert [(news.seq, news.reason) for news in pair.heard("a", GivenUp)] == [(2, "its requester is no more")]
    pair.meet().settle()
    assert pair.delivered() == [1, 3]


def test_both_ends_begin_a_new_life() -> None:
    pair = met()
    for _ in range(3):
        pair.push()
    pair.commit()
    pair.move(pair.a, pair.b)
    pair.b = Exchange("b", 2)
    pair.restart()
    pair.meet()
    pair.a.admit("b", lambda _: True)
    pair.settle()
    assert pair.delivered() == [1, 2, 3, 1, 2, 3]
    assert [bool(news.flags & REDELIVERED) for news in pair.heard("b", Delivered)] == [False] * 3 + [True] * 3


def test_word_of_a_handler_reaches_the_next_life_of_a_durable_sender() -> None:
    pair = met()
    pair.push(handled=True)
    pair.settle()
    pair.b.down("a")
    pair.b.handled("a", 1, 1, pair.now)
    pair.restart()
    assert pair.a.bytes == 1, "it has arrived, and is kept"
    pair.meet().settle()
    assert pair.a.bytes == 0
    assert pair.delivered() == [1]


def test_word_of_a_handler_that_is_not_on_the_disk_is_lost_with_the_life_that_heard_it() -> None:
    pair = met()
    pair.push(handled=True)
    pair.settle()
    disk = pair.disk.copy()
    pair.b.handled("a", 1, 1, pair.now)
    pair.settle()
    assert pair.a.bytes == 0
    pair.restart(disk)
    pair.meet().settle()
    assert pair.a.bytes == 1
    pair.b = Exchange("b", 2, limits=pair.limits)
    pair.a.down("b")
    pair.meet()
    pair.a.admit("b", lambda _: True)
    pair.settle()
    assert pair.delivered() == [1, 1]
    first, again = pair.heard("b", Delivered)
    assert (first.flags & REDELIVERED, again.flags & REDELIVERED) == (0, REDELIVERED)


def test_an_outbox_restored_from_a_copy_is_found_out_and_loses_nothing_new() -> None:
    pair = met()
    pair.push()
    pair.settle()
    pair.push()
    pair.commit()
    copied = pair.disk.copy()
    for _ in range(5):
        pair.push()
    pair.settle()
    assert pair.delivered() == [1, 2, 3, 4, 5, 6, 7]
    pair.restart(copied)
    new = [pair.push().item.number for _ in range(9)]  # they take places that the receiver has seen filled
    pair.commit()
    pair.meet()
    pair.move(pair.a, pair.b)
    assert [reset.reason for reset in only(Reset, pair.move(pair.b, pair.a))] == [ROLLBACK]
    pair.settle()
    again = pair.heard("b", Delivered)[7]
    assert (again.data.event, bool(again.flags & REDELIVERED)) == (2, True), "where the guarantee ends"
    assert pair.delivered()[8:] == new


def test_an_old_sync_that_comes_late_rolls_nothing_back() -> None:
    pair = met()
    for _ in range(4):
        pair.push()
    pair.settle()
    late = encode(Sync("b", "a", 0, "", 7, 1, 1, EVENTS, 1, 2, 1))
    pair.b.receive(raw(late), pair.now)
    assert [reset.reason for reset in only(Reset, pair.move(pair.b, pair.a))] == [ROLLBACK]
    pair.push()
    pair.settle()
    assert pair.delivered() == [1, 2, 3, 4, 5]


def test_an_answer_to_an_earlier_life_does_no_harm() -> None:
    pair = met()
    for _ in range(8):
        pair.push()
    pair.commit()
    copied = pair.disk.copy()
    pair.move(pair.a, pair.b)
    for _ in range(8):
        pair.push()
    pair.commit()
    pair.a.frames(0.0)
    pair.now = 1.0
    late = pair.b.frames(pair.now)
    pair.restart(copied)
    for _, whole in late:
        pair.a.receive(raw(whole), pair.now)
    assert pair.a.take_news() == []
    pair.meet().settle()
    assert pair.delivered() == list(range(1, 9))
