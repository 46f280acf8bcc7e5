"""Times as the scheduler counts them: whole microseconds, so that no sum of them drifts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from edri_sim.host import Host

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)


def instant_of(time: datetime) -> int:
    """An aware time in microseconds since 1970."""
    return (time - _EPOCH) // _ONE


def datetime_of(instant: int) -> datetime:
    """The time, in UTC, of microseconds since 1970."""
    return _EPOCH + instant * _ONE


def microseconds(seconds: float) -> int:
    """Seconds, to the nearest microsecond."""
    return round(seconds * SECOND)


class Clock(Protocol):
    """What schedules are timed by."""

    def now(self) -> int:
        """The time in microseconds since a beginning of the clock's own."""

    def call_at(self, instant: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once :meth:`now` is ``instant``, or at once; what is returned undoes this."""


class WallClock:
    """The host's wall clock, since 1970. It may jump."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def now(self) -> int:
        """See :class:`Clock`."""
        return instant_of(self._host.now())

    def call_at(self, instant: int, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Clock`."""
        return self._host.call_at(datetime_of(instant), callback)


class LoopClock:
    """The clock of the event loop, which neither jumps nor outlives the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> int:
        """See :class:`Clock`."""
        return microseconds(self._loop.time())

    def call_at(self, instant: int, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Clock`."""
        return self._loop.call_at(instant / SECOND, callback).cancel
