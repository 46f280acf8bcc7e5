"""Traffic: what a trace says of events between routers, of lines, and of faults."""

from __future__ import annotations

import pytest

from edri_sim import Run, trace
from edri_sim.trace import Recorder
from edri_sim.traffic import Account, Period, Traffic, account, steps


class Script:
    """Writes rows as the routers of a run would; times in nanoseconds."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    def event(self, time: int, stage: int, number: int, here: str, there: str, type_: str = "Ping") -> None:
        """What happened at the router ``here`` to an event of camera's, with regard to the router ``there``."""
        name = self.recorder.names.number
        row = (time, stage, name(here), name(f"{here}/connector"), name("camera/1"), number, name(type_), name(there))
        self.recorder.open.extend(row)

    def sent(self, time: int, number: int, stage: int = trace.SENT) -> None:
        self.event(time, stage, number, "camera", "album")

    def came(self, time: int, number: int, stage: int = trace.DELIVERED) -> None:
        self.event(time, stage, number, "album", "camera")

    def mark(self, time: int, stage: int, subject: str, here: str = "camera") -> None:
        name = self.recorder.names.number
        self.recorder.open.extend((time, stage, name(here), name(f"{here}/connector"), 0, 0, name(subject), 0))

    def read(self) -> Traffic:
        return Traffic(self.recorder)


@pytest.fixture
def script() -> Script:
    return Script()


# Crossings


def test_a_crossing_has_all_that_happened_to_an_event_at_both_ends(script: Script) -> None:
    script.sent(10, 1, trace.HELD)
    script.sent(20, 1)
    script.sent(30, 1, trace.RESENT)
    script.came(40, 1)
    script.came(50, 1, trace.DUPLICATE)
    (crossing,) = script.read().between()
    assert (crossing.event_id, crossing.type, crossing.source, crossing.target) == (
        "camera/1/1", "Ping", "camera", "album",
    )  # fmt: skip
    assert (crossing.held, crossing.sent, crossing.resent) == (10, [20, 30], [30])
    assert (crossing.delivered, crossing.duplicates, crossing.given_up) == (40, [50], None)


@pytest.mark.parametrize(("stage", "accepted"), [(trace.HELD, 10), (trace.GIVEN_UP, 20)])
def test_an_event_is_accepted_when_it_is_held_or_else_when_it_is_sent(
    script: Script, stage: int, accepted: int
) -> None:
    script.sent(10, 1, stage)
    script.sent(20, 1)
    script.sent(30, 1, trace.RESENT)
    assert script.read().between()[0].accepted == accepted


def test_what_was_never_held_nor_sent_was_not_accepted(script: Script) -> None:
    script.came(10, 1)
    assert script.read().between()[0].accepted is None


def test_the_first_of_two_rows_of_a_kind_counts(script: Script) -> None:
    for time in (10, 20):
        script.sent(time, 1, trace.HELD)
    for time in (30, 40):
        script.came(time, 1)
    (crossing,) = script.read().between()
    assert (crossing.held, crossing.delivered) == (10, 30)


def test_an_event_that_goes_to_two_routers_crosses_twice(script: Script) -> None:
    for there in ("album", "wall"):
        script.event(10, trace.SENT, 1, "camera", there)
    script.event(20, trace.DELIVERED, 1, "wall", "camera")
    traffic = script.read()
    assert traffic.pairs == [("camera", "album"), ("camera", "wall")]
    assert [each.delivered for each in traffic.between(target="album")] == [None]
    assert [each.delivered for each in traffic.between(target="wall")] == [20]
    assert len(traffic.between("camera")) == 2
    assert traffic.between("album") == []
    assert traffic.between("camera", "wall") == traffic.between(target="wall")


def test_rows_inside_a_router_are_no_traffic(script: Script) -> None:
    for stage in (trace.CREATED, trace.ROUTED, trace.STARTED, trace.FINISHED):
        script.event(10, stage, 1, "camera", "album")
    assert script.read().crossings == {}


# Lines and faults


def test_a_line_is_up_from_each_beginning_to_its_end(script: Script) -> None:
    for time, stage in ((10, trace.LINK_UP), (20, trace.LINK_DOWN), (30, trace.LINK_UP)):
        script.mark(time, stage, "hub")
    script.mark(15, trace.LINK_UP, "hub", "album")
    assert script.read().lines == {
        ("camera", "hub"): [Period(10, 20), Period(30, None)],
        ("album", "hub"): [Period(15, None)],
    }


def test_a_line_that_only_went_down_was_never_up(script: Script) -> None:
    script.mark(10, trace.LINK_DOWN, "hub")
    assert script.read().lines == {("camera", "hub"): []}
    script.mark(20, trace.LINK_UP, "hub")
    for time in (30, 40):
        script.mark(time, trace.LINK_DOWN, "hub")
    assert script.read().lines == {("camera", "hub"): [Period(20, 30)]}


def test_a_fault_lasts_to_its_end_or_to_that_of_the_run(script: Script) -> None:
    script.mark(10, trace.FAULT_BEGINS, "kill hub", "faults")
    script.mark(20, trace.FAULT_BEGINS, "outage camera-hub", "faults")
    script.mark(30, trace.FAULT_ENDS, "outage camera-hub", "faults")
    script.mark(40, trace.FAULT_ENDS, "a fault that never began", "faults")
    assert script.read().faults == [("outage camera-hub", Period(20, 30)), ("kill hub", Period(10, None))]


# Accounts


def test_an_account_says_what_became_of_all_that_was_owed(script: Script) -> None:
    script.sent(10, 1)
    script.came(20, 1)
    script.sent(11, 2, trace.HELD)
    script.sent(30, 2, trace.GIVEN_UP)
    script.sent(12, 3, trace.HELD)
    for time in (13, 14, 15):
        script.sent(time, 4, trace.SENT if time == 13 else trace.RESENT)
    script.came(20, 4)
    for time in (21, 22):
        script.came(time, 4, trace.DUPLICATE)
    found = account(script.read().between())
    assert found == Account(owed=4, delivered=2, given_up=1, pending=1, held=2, resent=2, duplicates=2)
    assert str(found) == (
        "owed 4 = delivered 2 + given up 1 + pending 1; held 2, resent 2, duplicates dropped 2"
    )  # fmt: skip


def test_what_was_given_up_and_arrived_all_the_same_was_delivered(script: Script) -> None:
    script.sent(10, 1)
    script.sent(20, 1, trace.GIVEN_UP)
    script.came(30, 1)
    assert account(script.read().between())[:4] == (1, 1, 0, 0)


def test_nothing_is_owed_where_nothing_was_sent(script: Script) -> None:
    assert account(script.read().between()) == Account(0, 0, 0, 0, 0, 0, 0)


def test_a_run_reads_its_traffic_once(script: Script) -> None:
    script.sent(10, 1)
    run = Run(script.recorder, simulated=True)
    assert run.traffic is run.traffic
    assert run.traffic.pairs == [("camera", "album")]


# Steps


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], ([], [])),
        ([(5, 1)], ([5], [1])),
        ([(9, -1), (5, 1), (7, 2)], ([5, 7, 9], [1, 3, 2])),
        ([(5, 1), (5, 1), (6, -1), (5, -1)], ([5, 6], [1, 0])),
    ],
)
def test_steps_are_running_totals_with_one_point_a_time(
    changes: list[tuple[int, int]], expected: tuple[list[int], list[int]]
) -> None:
    assert steps(changes) == expected
