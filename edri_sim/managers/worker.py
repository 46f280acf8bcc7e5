"""The user's classes that do the work, and what they find in ``self``."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from edri_sim.envelope import current
from edri_sim.errors import DeclarationError
from edri_sim.logs import NodeLog
from edri_sim.managers.blocking import Blocking, Port
from edri_sim.managers.handlers import OBSERVES, HandlerTable, caller_names, handles, marked
from edri_sim.shown import Shown
from edri_sim.traceparent import traceparent

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from edri_sim.events import Notification, Request, Tunnel
    from edri_sim.routing.retrying import Retry
    from edri_sim.routing.tunnel import TunnelEnd

R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")

__all__ = ["Component", "Delivery", "Worker", "handles"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the event that a handler has came to it.

    ``event_id`` is the same each time that this event is delivered, and no other event's, and so the key by which a
    handler can tell what it has done before. ``source`` is the node that published it. ``redelivered``: this is a
    repeat, and an earlier delivery may have been handled; False says that the event was not delivered before, as far
    as its sender knows. ``traceparent`` is the event's place in its trace, in the form of W3C Trace Context: pass it on
    to what the handler calls outside. What the handler publishes belongs to the same trace by itself.
    """

    event_id: str
    source: str
    redelivered: bool
    traceparent: str


class Component(Shown):
    """What workers and managers have in common: handlers, and a way to publish."""

    handler_table: ClassVar[HandlerTable]
    _port: Port | None = None
    _label: str = ""
    _log: NodeLog | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.handler_table = HandlerTable(cls, caller_names())

    def attach(self, port: Port, label: str, log: NodeLog) -> None:
        """Connect the instance to its node; the runtime calls this before ``start``."""
        self._port = port
        self._label = label
        self._log = log.of("worker", component=label)
        self.blocking = Blocking(port)

    async def start(self) -> None:
        """Override to open what the handlers need; called at every start and restart, before the first event."""

    async def stop(self) -> None:
        """Override to close what ``start`` opened; called after the last event. A killed worker gets no call."""

    def request(
        self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None
    ) -> Coroutine[Any, Any, R]:
        """Await this to send a request and get its reply; see :meth:`Node.request`. ``timeout`` in seconds."""
        return self._connected().request(event, timeout=timeout, retry=retry)

    def notify(self, event: Notification) -> Coroutine[Any, Any, None]:
        """Await this to send a notification to all subscribers."""
        return self._connected().notify(event)

    def open(
        self, event: Tunnel[Up, Down], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[TunnelEnd[Up, Down]]:
        """``async with`` this to open a tunnel: see :meth:`Node.open`. It ends with the handler at the latest."""
        return self._connected().open(event, timeout=timeout)

    @property
    def delivery(self) -> Delivery:
        """How the event that the running handler has came here, in every mode. Raises RuntimeError outside handlers."""
        job = current.get()
        if job is None:
            raise RuntimeError(f"{type(self).__qualname__}: delivery is for handlers, and none runs here")
        envelope = job.envelope
        return Delivery(envelope.event_id, envelope.origin.node, envelope.redelivered, traceparent(envelope))

    @property
    def log(self) -> NodeLog:
        """The logger ``edri_sim.worker``; its records carry the fields ``node``, ``at`` and ``component``."""
        if self._log is None:
            raise self._not_started()
        return self._log

    def _connected(self) -> Port:
        if self._port is None:
            raise self._not_started()
        return self._port

    def _not_started(self) -> RuntimeError:
        return RuntimeError(f"{type(self).__qualname__} is not started yet: publish and log in start() or a handler")

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._label}>" if self._label else f"<{type(self).__qualname__}>"


class Worker(Component):
    """Derive from this, and mark handlers with ``@handles``; a :class:`Pool` makes and runs the instances.

    Each instance handles one event at a time unless its pool's ``concurrency`` says otherwise. Arguments of
    ``__init__`` come from ``Pool(args=...)``.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name in marked(cls, OBSERVES):
            raise DeclarationError(f"{cls.__qualname__}.{name}: observers are for managers, and this is a worker")
