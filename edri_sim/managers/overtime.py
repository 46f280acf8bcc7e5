"""The time that a pool gives its handlers for an event, and what becomes of those that take longer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edri_sim.envelope import Job


class Overtime:
    """Tells of each job that still runs ``seconds`` after it began: one timer for all, which is armed for the oldest.

    The timer is left armed when that job ends in time; see :class:`~edri_sim.routing.deadlines.Deadlines`.
    """

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop, overdue: Callable[[Job], None]) -> None:
        self.seconds = seconds
        self._loop = loop
        self._overdue = overdue
        self._jobs: deque[tuple[float, Job]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def began(self, job: Job) -> None:
        """A handler begins."""
        self._prune()
        self._jobs.append((self._loop.time() + self.seconds, job))
        self._arm()

    def _prune(self) -> None:
        while self._jobs and self._jobs[0][1].done:
            self._jobs.popleft()

    def _arm(self) -> None:
        if self._jobs and self._timer is None:
            self._timer = self._loop.call_at(self._jobs[0][0], self)

    def idle(self) -> bool:
        """Whether the armed timer waits for nothing: such a timer does not keep a simulation running."""
        self._prune()
        return not self._jobs

    def __call__(self) -> None:
        """The timer."""
        self._timer = None
        now = self._loop.time()
        while self._jobs and (self._jobs[0][1].done or self._jobs[0][0] <= now):
            _, job = self._jobs.popleft()
            if not job.done:
                self._overdue(job)
        self._arm()

    def stop(self) -> None:
        """Tell of nobody any more."""
        self._jobs.clear()
        if self._timer is not None:
            self._timer.cancel()


class StillBusy:
    """Looks at a job some time after its cancellation; a timer that keeps no simulation running."""

    def __init__(self, job: Job, name: Callable[[Job], None]) -> None:
        self._job = job
        self._name = name

    def __call__(self) -> None:
        """The timer."""
        if not self._job.done:
            self._name(self._job)

    def idle(self) -> bool:
        """True: nobody waits for it."""
        return True
