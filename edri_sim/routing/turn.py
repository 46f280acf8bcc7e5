"""One callback per turn of the loop for all consumers of a node that have something to start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context


class Turn:
    """Collects who wants to run and runs them together, in the order they asked, in the node's own context.

    So a publisher with ten subscribers costs one callback rather than ten, and what a publisher has in its context
    variables never leaks into the handlers of others.
    """

    __slots__ = ("_context", "_due", "_loop", "_run_due")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._context = context
        self._due: list[Callable[[], None]] = []
        self._run_due = self._run

    def add(self, start: Callable[[], None]) -> None:
        """Call ``start`` on the next turn of the loop."""
        if not self._due:
            self._loop.call_soon(self._run_due, context=self._context)
        self._due.append(start)

    def _run(self) -> None:
        due, self._due = self._due, []
        for start in due:
            try:
                start()
            except Exception as error:
                message = "a consumer of the node failed to start its handlers"
                self._loop.call_exception_handler({"message": message, "exception": error})
