"""What plain ``def`` handlers call when they must wait: the same calls on a loop, in a thread and in a process.

Where a handler runs on a loop, it runs in a greenlet, and waiting switches away from it; in a real thread, waiting
hands the work to the loop and blocks the thread. Which of them it is, a context variable says: the :class:`Bridge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from edri_sim.envelope import current
from edri_sim.errors import RequestCancelled, TunnelClosed

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from edri_sim.events import Notification, Request, Tunnel
    from edri_sim.routing.retrying import Retry
    from edri_sim.routing.tunnel import TunnelEnd

T = TypeVar("T")
R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")
Out = TypeVar("Out", contravariant=True)
In = TypeVar("In", covariant=True)


class Port(Protocol):
    """How a worker publishes, wherever it runs."""

    def request(
        self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None
    ) -> Coroutine[Any, Any, R]:
        """Send a request, again where ``retry`` says so, and return its reply."""

    def notify(self, event: Notification) -> Coroutine[Any, Any, None]:
        """Send a notification to all subscribers."""

    def open(
        self, event: Tunnel[Up, Down], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[TunnelEnd[Up, Down]]:
        """What opens a tunnel, and closes it."""


class Bridge(Protocol):
    """How a plain function waits for a coroutine of the loop that serves it."""

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run the coroutine that ``make`` returns on the loop, and return its result."""


bridge: ContextVar[Bridge | None] = ContextVar("edri_sim_bridge", default=None)
"""The bridge of the plain function that runs in this context; None in a coroutine."""


def wait(call: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Wait for a coroutine from a plain function.

    Raises:
        RuntimeError: there is no plain handler around; the message names ``call`` and what to use.
        RequestCancelled: the request that the handler works on was cancelled.
    """
    here = bridge.get()
    if here is None:
        raise RuntimeError(f"{call} is for plain def handlers; in async code await the coroutine of the same name")
    job = current.get()
    if job is not None and job.cancelled:
        raise RequestCancelled(f"{job.envelope.subject}: the request was cancelled, so {call} does not go on")
    return here.wait(make)


def sleep(seconds: float) -> None:
    """Suspend a plain ``def`` handler for ``seconds``, in real or in simulated time; others run meanwhile."""
    wait("edri_sim.sleep", lambda: asyncio.sleep(seconds))


class Blocking:
    """The blocking twin of what a worker or manager can await; its calls suspend the handler alone."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def request(self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None) -> R:
        """Send a request and return its reply; ``timeout`` in seconds. Raises what the awaited form raises."""
        return wait("self.blocking.request", lambda: self._port.request(event, timeout=timeout, retry=retry))

    def notify(self, event: Notification) -> None:
        """Send a notification to all subscribers."""
        wait("self.blocking.notify", lambda: self._port.notify(event))

    def open(self, event: Tunnel[Up, Down], *, timeout: float | None = None) -> BlockingOpening[Up, Down]:
        """``with`` this to open a tunnel; ``timeout`` in seconds until a handler has begun. See :meth:`Node.open`."""
        return BlockingOpening(self._port.open(event, timeout=timeout))


class BlockingTunnel(Generic[Out, In]):
    """One end of an open tunnel, for plain ``def`` code: see :class:`~edri_sim.routing.tunnel.TunnelEnd`."""

    def __init__(self, end: TunnelEnd[Out, In]) -> None:
        self._end = end

    def __repr__(self) -> str:
        return f"<BlockingTunnel of {self._end!r}>"

    def send(self, item: Out) -> None:
        """Send an item; waits while the other side is a window behind. Raises what the awaited form raises."""
        self._wait("tunnel.send", lambda: self._end.send(item))

    def receive(self) -> In:
        """The next item; waits for it. Raises what the awaited form raises."""
        return self._wait("tunnel.receive", self._end.receive)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> In:
        try:
            return self.receive()
        except TunnelClosed:
            raise StopIteration from None

    def end(self) -> None:
        """Send no more; reading goes on."""
        self._wait("tunnel.end", self._end_half)

    def _wait(self, call: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return wait(call, make)
        except RequestCancelled:
            self._end.check_lost()
            raise

    async def _end_half(self) -> None:
        self._end.end()

    @property
    def left(self) -> bool:
        """Whether the other side has left the tunnel: nobody reads what is sent."""
        return self._end.left


class BlockingOpening(Generic[Up, Down]):
    """``with self.blocking.open(event) as tunnel``: as the awaited form."""

    def __init__(self, opening: AbstractAsyncContextManager[TunnelEnd[Up, Down]]) -> None:
        self._opening = opening

    def __enter__(self) -> BlockingTunnel[Up, Down]:
        return BlockingTunnel(wait("self.blocking.open", self._opening.__aenter__))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Of a request that was cancelled nothing can be waited for any more: the tunnel ends with its handler's job.
        if not isinstance(error, RequestCancelled):
            wait("leaving a tunnel", lambda: self._leave(kind, error, traceback))

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opening.__aexit__(kind, error, traceback)
