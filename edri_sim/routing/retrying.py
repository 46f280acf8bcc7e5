"""Requests that are sent again when they could not be handled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edri_sim.envelope import current
from edri_sim.errors import (
    DeadlineExceeded,
    DeclarationError,
    NodeStopped,
    NoRoute,
    OutboxFull,
    Overloaded,
    ProviderLost,
    RequestError,
)
from edri_sim.events import EventType, Request
from edri_sim.routing.deadlines import check_timeout

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from edri_sim.events import Notification, Tunnel
    from edri_sim.host import RandomStream
    from edri_sim.routing.router import Router
    from edri_sim.routing.tunnel import TunnelEnd

R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")

AGAIN = (NoRoute, Overloaded, ProviderLost, OutboxFull, NodeStopped)
"""The errors that may not come a second time. What a handler raised would; and a deadline is one for all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How an idempotent request is tried again: ``await node.request(event, timeout=10, retry=Retry(attempts=4))``.

    Up to ``attempts`` times in all, and no longer than its deadline: that is one for all attempts, and ``each`` limits
    each of them. The pause before the second attempt is ``delay`` seconds, doubles with each further one up to
    ``delay_max``, and is cut by up to a half at random, so that those who failed together do not come back together.

    Each attempt is an event of its own, with an id of its own. Only what the runtime could not get handled is tried
    again, never what a handler raised.

    Raises:
        DeclarationError: an argument is wrong; the message names it.
    """

    attempts: int = 3
    delay: float = 0.1
    delay_max: float = 5.0
    each: float | None = None

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise DeclarationError(f"Retry(attempts={self.attempts!r}): expected a whole number, 1 or more")
        for name in ("delay", "delay_max", "each"):
            value = getattr(self, name)
            if not (_is_seconds(value) or (name == "each" and value is None)):
                raise DeclarationError(f"Retry({name}={value!r}): expected seconds above 0")

    def pause(self, attempt: int, chance: float) -> float:
        """Seconds to wait after ``attempt``, counted from 1; ``chance`` is a random number in [0, 1)."""
        longest = min(self.delay * 2.0 ** min(attempt - 1, 30), self.delay_max)
        return longest * (1 - chance / 2)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def check_retry(entry: EventType) -> None:
    """Raise a DeclarationError for a request that must not be tried again."""
    if entry.kind == "request" and not entry.idempotent:
        raise DeclarationError(
            f"{entry.name}: retry= is for requests that may be handled twice, for an attempt that seems lost may have"
            " been handled; if that does no harm, declare it with @event(idempotent=True)"
        )


class NodePort:
    """How the parts of a node publish: its router, with retries. ``timeout`` is the default, in seconds."""

    def __init__(self, router: Router, stream: RandomStream, timeout: float) -> None:
        self._router = router
        self._stream = stream
        self._timeout = timeout

    def request(
        self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None
    ) -> Coroutine[Any, Any, R]:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        if retry is None:
            return self._router.request(event, timeout=timeout)
        return self._again(event, timeout, retry)

    def notify(self, event: Notification) -> Coroutine[Any, Any, None]:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        return self._router.notify(event)

    def open(
        self, event: Tunnel[Up, Down], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[TunnelEnd[Up, Down]]:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        return self._router.open(event, timeout=timeout)

    async def _again(self, event: Request[R], timeout: float | None, retry: Retry) -> R:
        entry = self._router.types.resolve(type(event))
        check_retry(entry)
        now = asyncio.get_running_loop().time
        began = now()
        deadline = began + (self._timeout if timeout is None else check_timeout(entry.name, timeout))
        parent = current.get()
        if parent is not None and not parent.done:
            deadline = min(deadline, parent.envelope.deadline)
        attempt = 1
        while True:
            try:
                return await self._router.request(event, timeout=min(deadline - now(), retry.each or math.inf))
            except (*AGAIN, DeadlineExceeded) as error:
                pause = retry.pause(attempt, self._stream.random())
                if attempt == retry.attempts or now() + pause >= deadline or self._router.table.closed:
                    raise _counted(error, attempt, now() - began) from None
            await asyncio.sleep(pause)
            attempt += 1


def _counted(error: RequestError, attempts: int, seconds: float) -> RequestError:
    if attempts > 1:
        error.add_note(f"This was attempt {attempts}, {seconds:.3g} s after the first.")
    return error
