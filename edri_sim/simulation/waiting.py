"""The crossing from SimPy to asyncio: a future with the value of a SimPy event."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import simpy


class EventFuture(asyncio.Future[Any]):
    """A future for a SimPy event; cancelling it takes a waiting request back, so that no item goes to nobody."""

    event: simpy.Event

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the future, and the request for a resource or a store if it was not granted yet."""
        if not super().cancel(msg):
            return False
        withdraw = getattr(self.event, "cancel", None)
        if withdraw is not None and not self.event.triggered:
            withdraw()
        return True

    def settle(self, event: simpy.Event) -> None:
        """Take the value or exception of the processed event."""
        if self.done():
            return
        if event.ok:
            self.set_result(event.value)
        else:
            event.defused = True
            self.set_exception(cast("BaseException", event.value))


def future_of(event: simpy.Event, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """The future of ``event`` on ``loop``; done at once if the event was processed before."""
    future = EventFuture(loop=loop)
    future.event = event
    if event.processed:
        future.settle(event)
    else:
        event.callbacks.append(future.settle)
    return future
