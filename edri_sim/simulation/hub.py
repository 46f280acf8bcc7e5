"""The owner of what is no host's: SimPy events, deliveries, links and faults."""

from __future__ import annotations

import sys
from asyncio import events
from typing import TYPE_CHECKING, Any

from edri_sim.simulation.handles import Timer

if TYPE_CHECKING:
    from edri_sim.simulation.engine import Engine


class Hub:
    """The owner of the kernel's own callbacks. No loop runs while they do."""

    name = "kernel"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ready = engine.ready

    def enter(self) -> None:
        """Leave whichever loop ran."""
        events._set_running_loop(None)
        sys.set_asyncgen_hooks(None, None)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Fail the run: nobody else could know of the exception."""
        self._engine.fail(context["exception"])

    def timer_cancelled(self, timer: Timer) -> None:
        """Account for a cancelled timer of the kernel."""
        self._engine.timer_cancelled(timer)
