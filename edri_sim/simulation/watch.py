"""Code that blocks the thread that all simulated hosts share: seen by the wall clock, and named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context

from edri_sim.envelope import Job, current
from edri_sim.simulation.handles import describe

PATIENCE = 0.05
"""Wall seconds for which code may block the simulation before it is named."""

logger = logging.getLogger("edri_sim.simulation")


class Watch:
    """Told of what took longer than :data:`PATIENCE`; nothing of it reaches the trace, for no seed decides it.

    ``blockers`` is the longest time, in wall seconds, by what blocked; each is logged once.
    """

    def __init__(self) -> None:
        self.blockers: dict[str, float] = {}

    def body(self, job: Job, seconds: float) -> None:
        """The handler of ``job`` ran for so long without a wait."""
        self._note(f"{job.label} on {job.envelope.type.name}", seconds)

    def wakeup(self, callback: Callable[..., object], context: Context, seconds: float) -> None:
        """One step of a task ran for so long: a handler's, or a coroutine's of the user's own."""
        job = context.get(current)
        if job is None:
            self._note(describe(callback), seconds)
        else:
            self.body(job, seconds)

    def _note(self, what: str, seconds: float) -> None:
        if what not in self.blockers:
            logger.warning(
                "%s blocked the whole simulation for %.2g s of wall time; "
                "a handler whose body need not run can be given a service with body='skip'",
                what,
                seconds,
            )
        self.blockers[what] = max(seconds, self.blockers.get(what, 0.0))
