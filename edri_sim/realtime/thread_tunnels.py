"""Tunnels for coroutines that run on the loop of a worker's own thread: their ends live on the node's loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from types import TracebackType
from typing import Any

from edri_sim.routing.tunnel import CrossedEnd


class ThreadEnd(CrossedEnd):
    """As a :class:`~edri_sim.routing.tunnel.TunnelEnd`, which it reaches across."""

    def __init__(self, end: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(end)
        self._loop = loop
        self._given_up: deque[concurrent.futures.Future[Any]] = deque()
        """Calls of `receive` that nobody waited for to the end: what they get is for the next."""

    async def send(self, item: Any) -> None:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        try:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._end.send(item), self._loop))
        except asyncio.CancelledError:
            self._end.check_lost()
            raise

    async def receive(self) -> Any:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        if self._given_up:
            crossing = self._given_up.popleft()
        else:
            crossing = asyncio.run_coroutine_threadsafe(self._end.receive(), self._loop)
        here = asyncio.wrap_future(crossing)
        here.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(here)
        except asyncio.CancelledError:
            self._given_up.append(crossing)
            self._end.check_lost()
            raise

    def end(self) -> None:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        self._loop.call_soon_threadsafe(self._end.end)


class ThreadOpening:
    """As an :class:`~edri_sim.routing.opening.Opening`, which it reaches across."""

    def __init__(self, opening: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._opening = opening
        self._loop = loop

    async def __aenter__(self) -> ThreadEnd:
        crossing = asyncio.run_coroutine_threadsafe(self._opening.__aenter__(), self._loop)
        return ThreadEnd(await asyncio.wrap_future(crossing), self._loop)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leaving = self._opening.__aexit__(kind, error, traceback)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(leaving, self._loop))


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # Retrieved, so that asyncio does not report one that nobody waited for.
