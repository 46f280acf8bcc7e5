"""Tunnels that the simulation's main coroutine opens from a node: their ends live on the loop of the node's host."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edri_sim.errors import HostDown
from edri_sim.routing.tunnel import CrossedEnd

if TYPE_CHECKING:
    from edri_sim.node import Node
    from edri_sim.simulation.host import SimulatedHost


class HostEnd(CrossedEnd):
    """As a :class:`~edri_sim.routing.tunnel.TunnelEnd`, which it reaches across; raises HostDown as well."""

    def __init__(self, end: Any, host: SimulatedHost) -> None:
        super().__init__(end)
        self._host = host
        self._given_up: deque[asyncio.Task[Any]] = deque()
        """Calls of `receive` that nobody waited for to the end: what they get is for the next."""

    async def send(self, item: Any) -> None:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        await self._host.call(lambda: self._end.send(item))

    async def receive(self) -> Any:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        if self._given_up:
            crossing = self._given_up.popleft()
        else:
            crossing = asyncio.get_running_loop().create_task(self._host.call(self._end.receive))
        try:
            return await asyncio.shield(crossing)
        except asyncio.CancelledError:
            self._given_up.append(crossing)
            raise

    def end(self) -> None:
        """See :class:`~edri_sim.routing.tunnel.TunnelEnd`."""
        self._host.loop.call_soon(self._end.end)

    def close(self) -> None:
        """Nobody receives any more."""
        for crossing in self._given_up:
            crossing.cancel()


class HostOpening:
    """As an :class:`~edri_sim.routing.opening.Opening`, which it reaches across."""

    def __init__(self, host: SimulatedHost, started: Callable[[], Awaitable[Node]], event: Any, timeout: float | None):
        self._host = host
        self._started = started
        self._event = event
        self._timeout = timeout
        self._opening: Any = None
        self._end: HostEnd | None = None

    async def __aenter__(self) -> HostEnd:
        self._end = HostEnd(await self._host.call(self._open), self._host)
        return self._end

    async def _open(self) -> Any:
        self._opening = (await self._started()).open(self._event, timeout=self._timeout)
        return await self._opening.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._end is not None
        self._end.close()
        if error is None:
            await self._host.call(lambda: self._opening.__aexit__(None, None, None))
        elif not isinstance(error, GeneratorExit):
            with suppress(HostDown):  # The block ended with an error of its own.
                await self._host.call(lambda: self._opening.__aexit__(kind, error, traceback))
