"""When schedules are due: rules without a clock, which are told what time it is, in microseconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from edri_sim.scheduling.instants import SECOND, datetime_of, instant_of, microseconds
from edri_sim.scheduling.refusals import BadSchedule

SHORTEST, LONGEST = 0.001, 100 * 365.25 * 86_400
"""Seconds between two occurrences of an ``every``."""
LONGEST_CRON = 200
"""Characters."""
LAST_YEAR = 9_000
"""Times after it are refused: the calendar ends at the year 9999, and sums of times must not meet that end."""

ClockName = Literal["wall", "loop"]


class Rule(Protocol):
    """When a schedule is due, by the clock that it names."""

    @property
    def clock(self) -> ClockName:
        """``wall``, which may jump and outlives the program, or ``loop``, which does neither."""

    def first(self, now: int, /) -> int | None:
        """When it is due first, if it is made now; None: never."""

    def after(self, due: int, now: int, /) -> int | None:
        """The first time, of those that come after ``due``, that is after ``now`` too; None if there is none."""


@dataclass(frozen=True, slots=True)
class At:
    """Once, by the wall clock."""

    when: int
    clock: ClockName = "wall"

    def first(self, _now: int) -> int | None:
        """See :class:`Rule`; a time that has passed is due at once."""
        return self.when

    def after(self, _due: int, _now: int) -> int | None:
        """See :class:`Rule`."""
        return None


@dataclass(frozen=True, slots=True)
class Every:
    """Each ``period`` from the moment that it is made, by the loop's clock."""

    period: int
    clock: ClockName = "loop"

    def first(self, now: int) -> int | None:
        """See :class:`Rule`."""
        return now + self.period

    def after(self, due: int, now: int) -> int | None:
        """See :class:`Rule`; whole periods after ``due``, so that it never drifts."""
        return due + self.period * max(1, (now - due) // self.period + 1)


@dataclass(frozen=True, slots=True)
class Cron:
    """Whenever the wall clock of a time zone shows what a cron expression says, as Debian's cron understands it.

    At a change of the zone's clock, an expression whose minute and hour are both given (no ``*`` begins them) is due
    once a day all the same: at the first minute after a gap that it falls into, and the first time of two. Any other
    is due whenever the zone's clock shows it: not in the gap, and both times of two.
    """

    expression: str
    zone: ZoneInfo
    clock: ClockName = "wall"

    def first(self, now: int) -> int | None:
        """See :class:`Rule`."""
        return self.after(now, now)

    def after(self, due: int, now: int) -> int | None:
        """See :class:`Rule`."""
        start = max(due, now)
        # cronsim knows no second of two equal hours here, and may begin with the first, which has passed.
        return next((time for time in self._from(start) if time > start), None)

    def _from(self, start: int) -> Iterator[int]:
        for time in CronSim(self.expression, datetime_of(start).astimezone(self.zone)):
            yield instant_of(time)


def overdue(rule: Rule, due: int, until: int, most: int) -> list[int]:
    """``due`` and the times after it up to ``until``, the ``most`` first of them."""
    found = [due]
    while len(found) < most:
        later = rule.after(found[-1], found[-1])
        if later is None or later > until:
            break
        found.append(later)
    return found


# From what a request says


def rule_of(at: datetime | None, every: float | None, cron: str | None, tz: str | None) -> Rule:
    """The rule that exactly one of ``at``, ``every`` (seconds) and ``cron`` gives. Raises BadSchedule."""
    given: dict[str, Any] = {
        name: value for name, value in (("at", at), ("every", every), ("cron", cron)) if value is not None
    }
    if len(given) != 1:
        raise BadSchedule(f"{' and '.join(given) or 'no time'} given: expected exactly one of at=, every= and cron=")
    if cron is not None:
        return _cron(cron, "UTC" if tz is None else tz)
    if tz is not None:
        raise BadSchedule(f"tz={tz[:100]!r}: it is for cron=, and means nothing with {next(iter(given))}=")
    return _every(every) if every is not None else _at(given["at"])


def _at(time: datetime) -> Rule:
    if time.tzinfo is None:
        raise BadSchedule(
            f"at={time.isoformat()}: expected a time with its time zone, such as datetime(..., tzinfo=UTC)"
        )
    if not 1970 <= time.year <= LAST_YEAR:
        raise BadSchedule(f"at={time.isoformat()}: expected a year from 1970 to {LAST_YEAR}")
    return At(instant_of(time))


def _every(seconds: float) -> Rule:
    if not SHORTEST <= seconds <= LONGEST:  # NaN too is not
        raise BadSchedule(f"every={seconds!r}: expected seconds, from {SHORTEST:g} to {LONGEST:g} (100 years)")
    return Every(microseconds(seconds))


def _cron(expression: str, tz: str) -> Rule:
    zone = zone_of(tz)
    if len(expression) > LONGEST_CRON:
        raise BadSchedule(f"cron={expression[:LONGEST_CRON]!r}...: expected up to {LONGEST_CRON} characters")
    if len(expression.split()) != 5:
        raise BadSchedule(
            f"cron={expression!r}: expected five fields: minute, hour, day of the month, month, day of the week"
        )
    try:
        CronSim(expression, datetime_of(0))
    except CronSimError as error:
        raise BadSchedule(f"cron={expression!r}: {_words(expression, error)}") from error
    return Cron(expression, zone)


def _words(expression: str, error: CronSimError) -> str:
    """What is wrong with an expression; cronsim calls a day bad too that no month has."""
    minute, hour, day, month, weekday = expression.split()
    try:
        CronSim(f"{minute} {hour} {day} * *", datetime_of(0))
        CronSim(f"{minute} {hour} * {month} {weekday}", datetime_of(0))
    except CronSimError:
        return f"{str(error)[:1].lower()}{str(error)[1:]}"
    return "it never fires: expected a day that one of its months has"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name such as "Europe/Prague". Raises BadSchedule for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadSchedule(f"tz={name[:100]!r}: no such time zone: expected a name such as 'Europe/Prague'") from error


MOST_JITTER = 86_400.0
"""Seconds; a day."""


def jitter_of(seconds: float, rule: Rule) -> int:
    """The most that an occurrence is put off, in microseconds. Raises BadSchedule."""
    most = min(MOST_JITTER, rule.period / SECOND) if isinstance(rule, Every) else MOST_JITTER
    if not (math.isfinite(seconds) and 0 <= seconds <= most):
        limit = "its period" if isinstance(rule, Every) and most < MOST_JITTER else "a day"
        raise BadSchedule(f"jitter={seconds!r}: expected seconds, from 0 to {most:g} ({limit})")
    return microseconds(seconds)
