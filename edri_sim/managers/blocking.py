"""What plain ``def`` handlers call when they must wait: the same calls on a loop, in a thread and in a process.

Where a handler runs on a loop, it runs in a greenlet, and waiting switches away from it; in a real thread, waiting
hands the work to the loop and blocks the thread. Which of them it is, a context variable says: the :class:`Bridge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from edri_sim.envelope import current
from edri_sim.errors import RequestCancelled

if TYPE_CHECKING:
    from edri_sim.events import Notification, Request

T = TypeVar("T")
R = TypeVar("R")


class Port(Protocol):
    """How a worker publishes, wherever it runs; a node's router is one."""

    def request(self, event: Request[R], *, timeout: float | None = None) -> Coroutine[Any, Any, R]:
        """Send a request, return its reply."""

    def notify(self, event: Notification) -> Coroutine[Any, Any, None]:
        """Send a notification to all subscribers."""


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

    def request(self, event: Request[R], *, timeout: float | None = None) -> R:
        """Send a request and return its reply; ``timeout`` in seconds. Raises what the awaited form raises."""
        return wait("self.blocking.request", lambda: self._port.request(event, timeout=timeout))

    def notify(self, event: Notification) -> None:
        """Send a notification to all subscribers."""
        wait("self.blocking.notify", lambda: self._port.notify(event))
