"""A tunnel, as its opener has it: a request whose reply is the tunnel's end."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from edri_sim.codec import codec_for
from edri_sim.envelope import SETTLED, Envelope, Job, current
from edri_sim.errors import HandlerError, RequestError
from edri_sim.routing.tunnel import WINDOW, Far, TunnelEnd

if TYPE_CHECKING:
    from edri_sim.events import Tunnel

Up = TypeVar("Up")
Down = TypeVar("Down")


class Starter(Protocol):
    """Where tunnels begin: a node's router, or in a child process the line to one."""

    def start_tunnel(self, event: Any, opening: Any, timeout: float | None) -> Envelope:
        """The envelope of a tunnel that opens; it is still to be placed. ``timeout`` is in seconds."""

    def place(self, envelope: Envelope) -> None:
        """Hand it to somebody who serves it."""

    def hold(self, envelope: Envelope) -> None:
        """It is open, and has no deadline any more."""

    def cancel_own(self, envelope: Envelope) -> None:
        """Its opener wants it no more."""


class Opening(Generic[Up, Down]):
    """``async with node.open(event) as tunnel``: entered once a handler has begun.

    Leaving the block ends this half, waits until the handler has returned, and raises what it raised; what it still
    sends is not read. A handler to which nothing is sent (``Tunnel[None, Down]``) is cancelled in place of that. An
    exception that leaves the block cancels the handler.
    """

    window = WINDOW
    largest = math.inf

    def __init__(self, starter: Starter, event: Tunnel[Up, Down], timeout: float | None) -> None:
        self._starter = starter
        self._event = event
        self._timeout = timeout
        self._end: TunnelEnd[Up, Down] | None = None
        self._envelope: Envelope | None = None
        self._opened: asyncio.Future[None] | None = None
        self._over: asyncio.Future[None] | None = None
        self._error: RequestError | None = None
        self._job: Job | None = None

    async def __aenter__(self) -> TunnelEnd[Up, Down]:
        if self._envelope is not None:
            raise RuntimeError(f"{self._envelope.subject}: a tunnel is opened once; call open() again for another")
        loop = asyncio.get_running_loop()
        self._opened, self._over = loop.create_future(), loop.create_future()
        self._envelope = envelope = self._starter.start_tunnel(self._event, self, self._timeout)
        entry = envelope.type
        self._end = TunnelEnd(envelope.subject, codec_for(entry.up), codec_for(entry.down))
        self._starter.place(envelope)
        try:
            await self._opened
        except asyncio.CancelledError:
            self.abort()
            raise
        self._belong(current.get())
        return self._end

    def _belong(self, job: Job | None) -> None:
        """The tunnel ends with the handler that opened it, if there is one; one that is over already does not."""
        if job is not None and not self.done():
            self._job = job
            job.tunnels = [*(job.tunnels or ()), self]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._envelope is not None
        assert self._over is not None
        assert self._end is not None
        if error is not None or (self._envelope.type.up is type(None) and not self._over.done()):
            self.abort()
            return
        self._end.leave()
        try:
            await self._over
        except asyncio.CancelledError:
            self.abort()
            raise
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """End the tunnel now: its handler is cancelled."""
        envelope = self._envelope
        if envelope is not None and envelope.state != SETTLED:
            self._starter.cancel_own(envelope)
        self._finish(None, all_came=True)

    def finish(self, *, failed: bool) -> None:  # noqa: ARG002 - as the end of a handler's own tunnel has it
        """The handler that opened it has ended."""
        self.abort()

    # As the entrance of whoever serves it

    def accept(self, near: Far, window: int) -> Far:
        """See :class:`~edri_sim.routing.tunnel.Entrance`."""
        assert self._envelope is not None
        assert self._opened is not None
        assert self._end is not None
        self._starter.hold(self._envelope)
        self._end.join(near, window)
        if not self._opened.done():
            self._opened.set_result(None)
        return self._end

    # As a reply address

    def done(self) -> bool:
        """Whether the tunnel is over."""
        return self._over is not None and self._over.done()

    def set_result(self, _: Any, /) -> None:
        """The handler has returned; what it sent may be on its way still, by another lane."""
        self._finish(None, all_came=False)

    def set_exception(self, exception: BaseException, /) -> None:
        """The handler has raised, or is gone."""
        error = exception if isinstance(exception, RequestError) else RequestError(str(exception))
        self._finish(error, all_came=not isinstance(error, HandlerError))

    def _finish(self, error: RequestError | None, *, all_came: bool) -> None:
        opened, over, end = self._opened, self._over, self._end
        if opened is None or over is None or over.done():
            return
        over.set_result(None)
        self._error = error
        if self._job is not None and self._job.tunnels is not None:
            self._job.tunnels.remove(self)  # A handler that opens one after the other keeps none of them.
        if not opened.done():
            opened.set_exception(error or RequestError("the tunnel ended before a handler had begun"))
        if end is not None:
            end.over(error, all_came=all_came)
