"""When schedules are due: changes of the zones' clocks, a brute-force model, and what is refused."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edri_sim.scheduling import BadSchedule
from edri_sim.scheduling.instants import DAY, MINUTE, SECOND, datetime_of, instant_of
from edri_sim.scheduling.rules import At, Cron, Every, Rule, jitter_of, overdue, rule_of

PRAGUE, NEW_YORK, LORD_HOWE = "Europe/Prague", "America/New_York", "Australia/Lord_Howe"


def times(expression: str, zone: str, start: str, count: int) -> list[str]:
    """The first occurrences after a local time, as local times."""
    rule = rule_of(None, None, expression, zone)
    place = ZoneInfo(zone)
    found, now = [], instant_of(datetime.fromisoformat(start).replace(tzinfo=place))
    for _ in range(count):
        due = rule.after(now, now)
        assert due is not None
        now = due
        found.append(datetime_of(due).astimezone(place).isoformat()[5:16] + datetime_of(due).strftime(" %HZ"))
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        # Spring: 02:00 to 03:00 is not there. Once a day means once, at the end of the gap.
        ("30 2 * * *", PRAGUE, "2026-03-28T12:00", ["03-29T03:00 01Z", "03-30T02:30 00Z"]),
        ("0,30 2 * * *", PRAGUE, "2026-03-28T12:00", ["03-29T03:00 01Z", "03-30T02:00 00Z"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["03-08T03:00 07Z", "03-09T02:30 06Z"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["10-04T02:30 15Z", "10-05T02:15 15Z"]),
        # Every half hour goes on as time does.
        ("*/30 * * * *", PRAGUE, "2026-03-29T01:15", ["03-29T01:30 00Z", "03-29T03:00 01Z", "03-29T03:30 01Z"]),
        # Autumn: 02:00 to 03:00 is there twice. Once a day means once, the first time.
        ("30 2 * * *", PRAGUE, "2026-10-24T12:00", ["10-25T02:30 00Z", "10-26T02:30 01Z"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["11-01T01:30 05Z", "11-02T01:30 06Z"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["04-05T01:45 14Z", "04-06T01:45 15Z"]),
        ("*/30 * * * *", PRAGUE, "2026-10-25T01:45",
         ["10-25T02:00 00Z", "10-25T02:30 00Z", "10-25T02:00 01Z", "10-25T02:30 01Z", "10-25T03:00 02Z"]),
        ("15 * * * *", NEW_YORK, "2026-11-01T00:30", ["11-01T01:15 05Z", "11-01T01:15 06Z", "11-01T02:15 07Z"]),
        # Leap days, ends of months, and either of the two days.
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29T00:00 00Z", "02-29T00:00 00Z"]),
        ("0 0 L * *", "UTC", "2026-01-31T00:00", ["02-28T00:00 00Z", "03-31T00:00 00Z"]),
        ("0 0 13 * FRI", "UTC", "2026-02-07T00:00", ["02-13T00:00 00Z", "02-20T00:00 00Z"]),
    ],
)  # fmt: skip
def test_a_cron_rule_and_the_clock_of_its_zone(expression: str, zone: str, start: str, expected: list[str]) -> None:
    assert times(expression, zone, start, len(expected)) == expected


def test_a_once_a_day_rule_in_the_second_of_two_equal_hours_is_due_the_next_day() -> None:
    zone = ZoneInfo(PRAGUE)
    second = instant_of(datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=zone))
    due = rule_of(None, None, "30 2 * * *", PRAGUE).first(second)
    assert due == instant_of(datetime(2026, 10, 26, 2, 30, tzinfo=zone))


def test_every_knows_nothing_of_zones() -> None:
    rule = rule_of(None, 86_400.0, None, None)
    assert (rule.clock, rule.first(0), rule.after(DAY, DAY)) == ("loop", DAY, 2 * DAY)


# A model


def daily(hour: int, minute: int, zone: ZoneInfo, day: datetime) -> int:
    """When a zone's clock shows a time on a day: the first time, or the first minute after the gap that it is in."""
    wanted = day.replace(hour=hour, minute=minute, tzinfo=None)
    start = instant_of(datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=16))
    for number in range(3 * 24 * 60):
        shown = datetime_of(start + number * MINUTE).astimezone(zone).replace(tzinfo=None)
        if shown >= wanted:
            return start + number * MINUTE
    raise AssertionError("each day ends")


@given(
    hour=st.integers(0, 23), minute=st.integers(0, 59), zone=st.sampled_from([PRAGUE, NEW_YORK, LORD_HOWE, "UTC"]),
    day=st.sampled_from([(3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31), (6, 1)]),
    begin=st.integers(0, 2 * 24 * 60 - 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_daily_rule_matches_a_clock_that_is_watched_minute_by_minute(
    hour: int, minute: int, zone: str, day: tuple[int, int], begin: int
) -> None:
    place = ZoneInfo(zone)
    now = instant_of(datetime(2026, *day, tzinfo=place)) + begin * MINUTE
    expected = (daily(hour, minute, place, datetime(2026, *day) + timedelta(days=n)) for n in range(-1, 5))  # noqa: DTZ001
    due = rule_of(None, None, f"{minute} {hour} * * *", zone).first(now)
    assert due == min(time for time in expected if time > now)


FIELDS = [
    st.sampled_from(["*", "*/7", "0", "5,35", "10-20", "59"]),
    st.sampled_from(["*", "*/5", "0", "2", "2,3", "1-4", "23"]),
    st.sampled_from(["*", "1", "29", "31", "*/10", "L"]),
    st.sampled_from(["*", "2", "3,10", "JAN-APR"]),
    st.sampled_from(["*", "0", "MON-FRI", "SUN#2", "5L"]),
]


@given(
    fields=st.tuples(*FIELDS), zone=st.sampled_from([PRAGUE, NEW_YORK, "UTC"]),
    start=st.integers(1_700_000_000 * SECOND, 1_900_000_000 * SECOND),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_a_cron_rule_only_goes_forward_and_depends_on_nothing_but_the_time(
    fields: tuple[str, ...], zone: str, start: int
) -> None:
    rule, due = None, None
    with suppress(BadSchedule):  # It never fires.
        rule = rule_of(None, None, " ".join(fields), zone)
        due = rule.first(start)
    if rule is None or due is None:
        return
    later = [due]
    for _ in range(10):
        following = rule.after(later[-1], later[-1])
        assert following is not None
        later.append(following)
    assert start < due
    assert later == sorted(set(later))
    assert all(time % MINUTE == 0 for time in later)
    # From anywhere between two occurrences, the next one is the second.
    for one, two in pairwise(later):
        assert rule.first((one + two) // 2) == two
        assert rule.first(two - 1) == two
        assert rule.after(one, one - DAY) == two, "a clock that was set back brings nothing again"


@given(
    period=st.integers(1_000, 10 * DAY), begin=st.integers(0, 2**50), ahead=st.integers(-(10**13), 10**13)
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_every_is_anchored(period: int, begin: int, ahead: int) -> None:
    rule = Every(period)
    due = rule.first(begin)
    assert due is not None
    now = due + ahead
    following = rule.after(due, now)
    assert following is not None
    assert (following - begin) % period == 0
    assert following > max(due, now)
    assert following - period <= max(due, now)


def test_what_is_overdue_is_counted_from_the_oldest_on() -> None:
    rule = Every(10)
    assert overdue(rule, 100, 134, 1_000) == [100, 110, 120, 130]
    assert overdue(rule, 100, 130, 2) == [100, 110]
    assert overdue(rule, 100, 50, 1_000) == [100]
    assert overdue(At(5), 5, 100, 1_000) == [5]


# What is refused

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "no time given: expected exactly one of at=, every= and cron="),
        ({"every": 1.0, "cron": "* * * * *"}, "every and cron given: expected exactly one"),
        ({"at": NAIVE}, r"at=2026-01-01T00:00:00: expected a time with its time zone"),
        ({"at": datetime(9999, 1, 1, tzinfo=timezone(timedelta(hours=-5)))}, "expected a year from 1970 to 9000"),
        ({"at": datetime(1, 1, 1, tzinfo=UTC)}, "expected a year from 1970 to 9000"),
        ({"every": 0.0}, r"every=0.0: expected seconds, from 0.001 to 3.15576e\+09 \(100 years\)"),
        ({"every": -5.0}, "every=-5.0: expected seconds, from 0.001"),
        ({"every": math.nan}, "every=nan: expected seconds"),
        ({"every": math.inf}, "every=inf: expected seconds"),
        ({"every": 1.0, "tz": PRAGUE}, "tz='Europe/Prague': it is for cron=, and means nothing with every="),
        ({"at": NAIVE.replace(tzinfo=UTC), "tz": PRAGUE}, "means nothing with at="),
        ({"cron": "0 3 * *"}, r"cron='0 3 \* \*': expected five fields: minute, hour, day of the month, month"),
        ({"cron": "0 0 3 * * *"}, "expected five fields"),
        ({"cron": ""}, "expected five fields"),
        ({"cron": "61 3 * * *"}, r"cron='61 3 \* \* \*': bad minute"),
        ({"cron": "0 3 * FOO *"}, "bad month"),
        ({"cron": "0 3 0 * *"}, "bad day-of-month"),
        ({"cron": "0 3 30 2 *"}, r"cron='0 3 30 2 \*': it never fires: expected a day that one of its months has"),
        ({"cron": "0 3 31 4,6 *"}, "it never fires"),
        ({"cron": "0 " * 200}, "expected up to 200 characters"),
        ({"cron": f"{'9' * 190} * * * *"}, "bad minute"),
        ({"cron": "0 3 * * *", "tz": "Mars/Olympus"}, "tz='Mars/Olympus': no such time zone: expected a name such as"),
        ({"cron": "0 3 * * *", "tz": ""}, "tz='': no such time zone"),
        ({"cron": "0 3 * * *", "tz": "../../etc/passwd"}, "no such time zone"),
        ({"cron": "0 3 * * *", "tz": "Europe"}, "no such time zone"),
        ({"cron": "0 3 * * *", "tz": "x" * 5_000}, "no such time zone"),
        ({"cron": "0 3 * * *", "tz": "a\0b"}, "no such time zone"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_would_be(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSchedule, match=message):
        rule_of(**{"at": None, "every": None, "cron": None, "tz": None} | asked)


@given(text=st.text(alphabet="0123456789*/-,L#W²MONFEB ", max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    with suppress(BadSchedule):
        rule_of(None, None, text, None).first(0)


@pytest.mark.parametrize(
    ("rule", "seconds", "message"),
    [
        (Every(60 * SECOND), 61.0, r"jitter=61.0: expected seconds, from 0 to 60 \(its period\)"),
        (Every(60 * SECOND), -1.0, "jitter=-1.0: expected seconds, from 0"),
        (At(0), 86_401.0, r"from 0 to 86400 \(a day\)"),
        (Cron("0 3 * * *", ZoneInfo("UTC")), math.nan, "jitter=nan: expected"),
        (Every(100 * DAY), math.inf, r"from 0 to 86400 \(a day\)"),
    ],
)
def test_jitter_has_bounds(rule: Rule, seconds: float, message: str) -> None:
    with pytest.raises(BadSchedule, match=message):
        jitter_of(seconds, rule)
    assert jitter_of(0.5, rule) == SECOND // 2
