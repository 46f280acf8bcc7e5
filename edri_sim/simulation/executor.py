"""Functions that a program hands to real threads, on the cores of its simulated host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextvars import Context
from functools import partial
from typing import Any

from edri_sim.host import RandomStream
from edri_sim.service import ServiceTable
from edri_sim.simulation.compute import Processor
from edri_sim.simulation.endings import call_into


class FunctionExecutor:
    """What ``run_in_executor``, and so ``asyncio.to_thread`` and anyio's worker threads, become on one host.

    A function for which a service is given costs what that says, as in a pool of mode ``thread``: a core, the lock of
    the node's process for its share, then the wait; then it runs, or its result is given. Any other runs at once, in
    its turn. Who gives up frees no core, as a thread cannot be stopped, but a function that has not begun then never
    runs.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, processor: Processor, services: ServiceTable, stream: RandomStream
    ) -> None:
        self._loop = loop
        self._processor = processor
        self._services = services
        self._stream = stream

    def __call__(self, work: partial[Any]) -> asyncio.Future[Any]:
        """Run ``work``; its future."""
        future: asyncio.Future[Any] = self._loop.create_future()
        function, arguments = _unwrap(work)
        service = self._services.find(function, object, object) if isinstance(function, Hashable) else None
        if service is None:
            self._begin(future, work)
            return future
        body: Callable[[], Any] = work if service.body == "run" else partial(service.answer, *arguments[:1] or (None,))
        cpu, wait = service.draw(self._stream)
        if cpu > 0:
            done = partial(self._begin, future, body)
            self._processor.compute(cpu, service.gil, self._processor.gil, wait, done)
        else:
            self._loop.call_later(wait, call_into, future, body)
        return future

    def _begin(self, future: asyncio.Future[Any], body: Callable[[], Any]) -> None:
        self._loop.call_soon(call_into, future, body)


def _unwrap(work: partial[Any]) -> tuple[Any, tuple[Any, ...]]:
    """The function that the program named, and its arguments; ``to_thread`` and anyio put a context around it."""
    function, arguments = work.func, work.args
    if isinstance(getattr(function, "__self__", None), Context):
        function, *rest = arguments
        arguments = tuple(rest)
    return getattr(function, "__func__", function), arguments
