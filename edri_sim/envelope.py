"""What travels: an event, with everything about its journey beside it and never inside it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from edri_sim.events import EventType

WAITING = 0
"""No mailbox has the envelope yet: it waits for a provider, or for room."""
HELD = 1
"""A mailbox or a worker has the envelope."""
SETTLED = 2
"""The request has ended: replied, failed, expired or cancelled. It ends once."""


class Origin(msgspec.Struct, frozen=True):
    """One life of the node that published an event: the first two parts of every event id.

    ``incarnation`` rises at every start of the node, so an event id never comes twice.
    """

    node: str
    incarnation: int


Trail = str | tuple[Origin, int]
"""The trace that an event belongs to: a traceparent in it, or the origin and number of the event that began it; empty
where it is this event that did."""


def event_id(origin: Origin, number: int) -> str:
    """``node/incarnation/counter``: unique, stable across redelivery, and so the idempotency key."""
    return f"{origin.node}/{origin.incarnation:x}/{number}"


class Holder(Protocol):
    """Whoever has a request now, and can be told that nobody waits for its reply any more."""

    label: str

    def abandon(self, envelope: Envelope) -> None:
        """Forget the envelope if it is queued, cancel its handler if it runs."""

    def runs(self, envelope: Envelope) -> bool:
        """Whether a handler has the envelope; else it is queued."""


class ReplyAddress(Protocol):
    """Where the end of a request goes, once; the future that its requester awaits is one."""

    def done(self) -> bool:
        """Whether the requester has its answer already, or has gone."""

    def set_result(self, result: Any, /) -> None:
        """The reply."""

    def set_exception(self, exception: BaseException, /) -> None:
        """The error in place of a reply."""


class Watch(Protocol):
    """Whoever wants to know how an event from another router fares here."""

    def held(self) -> None:
        """A mailbox has the request: it does not wait for room any more."""

    def ended(self) -> None:
        """One subscriber is done with the notification: its handler returned or raised, or it was given up there."""


class Envelope(msgspec.Struct, eq=False):
    """An event on its journey.

    ``deadline`` and ``created`` are in seconds on the clock of the node's loop. ``reply_to`` is None for a
    notification and never for a request. ``parent`` is the job whose handler awaits this request. ``note`` is what is
    known of why the request may not end, for its error, and ``names`` how the trace numbers its origin and type. What
    came from another router may have a ``watch``, and may be ``redelivered``: then it may have been handled before.
    ``tunnel`` is the opener's :class:`~edri_sim.routing.tunnel.Entrance` where the event opens a tunnel. ``trail`` is
    its trace: see :mod:`edri_sim.traceparent`. ``killed`` counts, for each pool, the workers that have died on it.
    """

    event: Any
    type: EventType
    number: int
    origin: Origin
    created: float
    deadline: float
    names: tuple[int, int]
    reply_to: ReplyAddress | None = None
    parent: Job | None = None
    state: int = WAITING
    holder: Holder | None = None
    note: str = ""
    watch: Watch | None = None
    redelivered: bool = False
    tunnel: Any = None
    trail: Trail = ""
    killed: dict[str, int] | None = None

    @property
    def event_id(self) -> str:
        """See :func:`event_id`."""
        return event_id(self.origin, self.number)

    @property
    def subject(self) -> str:
        """The event's type and id: how messages name it to people."""
        return f"{self.type.name} {self.event_id}"

    def __repr__(self) -> str:
        return f"<Envelope {self.subject}>"


class Job(msgspec.Struct, eq=False):
    """One envelope at one handler: a notification has a job for each subscriber, a request has one.

    ``event`` is what the handler gets: the envelope's own, or a copy that went through the codec. ``label`` names the
    manager or pool, ``slot`` is what runs the handler, and ``run`` what the slot needs to stop it. ``tunnels`` are
    those that the handler serves, or has opened: they end with it. ``reason`` is why it was cancelled, where that
    was not for the sake of its requester.
    """

    envelope: Envelope
    event: Any
    label: str
    slot: Any
    cancelled: bool = False
    done: bool = False
    run: Any = None
    tunnels: list[Any] | None = None
    reason: str = ""


current: ContextVar[Job | None] = ContextVar("edri_sim_current_job", default=None)
"""The job whose handler runs in this context: what is published meanwhile has it as its parent."""
