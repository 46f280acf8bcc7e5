"""A timer on the wall clock, which may jump, made of timers on the loop's clock, which does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime


class WallTimer:
    """Calls ``callback`` once, when ``now()`` has reached ``when``.

    The loop's timer is set for what is left by the wall clock, but for ``interval`` seconds at most: so soon a jump is
    noticed that nobody tells of. Who knows of one calls :meth:`look`.
    """

    def __init__(
        self, now: Callable[[], datetime], when: datetime, callback: Callable[[], None], interval: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._now = now
        self._when = when
        self._callback = callback
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self.look()

    @property
    def waits(self) -> bool:
        """Whether it has neither called back nor been cancelled."""
        return self._timer is not None

    def look(self) -> None:
        """Set the loop's timer anew, by what the wall clock says now."""
        self.cancel()
        left = (self._when - self._now()).total_seconds()
        pause = min(max(left, 0.0), self._interval)
        self._timer = self._loop.call_later(pause, self._ring, context=self._context)

    def _ring(self) -> None:
        if self._now() < self._when:
            self.look()
            return
        self._timer = None
        self._callback()

    def cancel(self) -> None:
        """Never call back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
