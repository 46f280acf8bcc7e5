"""Forwards events by type, in the turn of whoever publishes them. It has no queue of its own."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from edri_sim import trace
from edri_sim.envelope import SETTLED, WAITING, Envelope, Origin, ReplyAddress, current
from edri_sim.errors import CodecError, NodeStopped, RequestCancelled, RequestError
from edri_sim.events import EventType, Notification, Request, Tunnel, TypeTable
from edri_sim.logs import NodeLog
from edri_sim.routing.deadletter import DeadLetter
from edri_sim.routing.deadlines import Deadlines, check_timeout
from edri_sim.routing.mailbox import Mailbox
from edri_sim.routing.observing import Observers
from edri_sim.routing.opening import Opening
from edri_sim.routing.overflow import Overflowing
from edri_sim.routing.refusals import no_route, overloaded, too_late
from edri_sim.routing.route import Route
from edri_sim.routing.table import OWN, RoutingTable
from edri_sim.routing.uplink import Uplink
from edri_sim.settings import Settings
from edri_sim.trace import Trace
from edri_sim.traceparent import inherited

R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")


class Router:
    """The event table of one node.

    ``origin`` names this life of the node, ``types`` are the event types it knows, ``trace_`` is told what passes.
    """

    def __init__(
        self, origin: Origin, loop: asyncio.AbstractEventLoop, types: TypeTable, settings: Settings, trace_: Trace,
        log: NodeLog,
    ) -> None:  # fmt: skip
        self.origin = origin
        self.types = types
        self.late = 0
        """Replies that came after their request had ended; they are dropped."""
        self._loop = loop
        self._timeout = settings.request_timeout
        self._grace = settings.route_grace
        self._time = loop.time
        self._trace = trace_
        self._log = log
        self._record = trace_.record
        self._ended = trace_.ended
        self._component = trace_.component(f"{origin.node}/router")
        self._numbers = itertools.count(1)
        self._turn = 0
        self._deadlines = Deadlines(loop, self._expire)
        self.table = RoutingTable(origin, types, trace_.names, self._try_waiting)
        self._request_routes = self.table.requests
        self._notify_routes = self.table.notifications
        self._unrouted: dict[int, Envelope] = {}
        self.observers = Observers(loop.time)

    # Joining

    def join(self, uplink: Uplink | None) -> None:
        """From now on the routers beyond ``uplink`` are sent to, too; None: no more."""
        self.table.uplink = uplink
        self.table.forget()

    def renumber(self, incarnation: int) -> None:
        """This life has another number than was thought: a later one was in use already."""
        self.origin = self.table.origin = Origin(self.origin.node, incarnation)
        for envelope in self._deadlines.unsettled():  # All are this node's own: it has met nobody yet.
            envelope.origin = self.origin
        self.table.forget()

    def _try_waiting(self) -> None:
        """Something has changed: requests that found no room, or no route, are tried again, in their order."""
        for envelope, full in self.table.parked().items():
            self._try_elsewhere(envelope, full)
        stranded, self._unrouted = self._unrouted, {}
        for envelope in stranded.values():
            self.place(envelope)

    def _try_elsewhere(self, envelope: Envelope, full: list[Mailbox]) -> None:
        """Offer a request that waits at ``full`` mailboxes to providers that came later; it keeps its places."""
        route = self.table.provider_route(envelope.type)
        new = tuple(mailbox for mailbox in route.mailboxes if mailbox not in full)
        if self._offered(envelope, new) or self._sent_abroad(envelope, route):
            for mailbox in full:
                mailbox.unpark(envelope)
        else:
            for mailbox in new:
                mailbox.park(envelope)

    # Publishing

    async def request(self, event: Request[R], *, timeout: float | None = None) -> R:
        """Send ``event`` to one provider and return its reply.

        ``timeout`` is in seconds (default: the setting ``request_timeout``); a request made in a handler also ends at
        the deadline of the request that is handled. Raises a :class:`RequestError`: NoRoute, Overloaded,
        DeadlineExceeded, ProviderLost, BadReply, NodeStopped, or HandlerError when the handler raised.
        """
        cls = type(event)
        route = self._request_routes.get(cls) or self.table.request_route(cls)
        future: asyncio.Future[R] = asyncio.Future(loop=self._loop)
        seconds = self._timeout if timeout is None else check_timeout(route.type.name, timeout)
        envelope = self._envelope(event, route, future, seconds)
        self._deadlines.watch(envelope)
        mailboxes = route.mailboxes
        if len(mailboxes) != 1 or not mailboxes[0].offer(envelope):
            self.place(envelope)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(envelope, future)
            raise

    def open(self, event: Tunnel[Up, Down], *, timeout: float | None = None) -> Opening[Up, Down]:
        """``async with`` this to open a tunnel: see :class:`~edri_sim.routing.opening.Opening`.

        ``timeout`` in seconds is for the opening alone, until a handler has begun. Raises what a request raises.
        """
        return Opening(self, event, timeout)

    def start_tunnel(self, event: Any, opening: Any, timeout: float | None) -> Envelope:
        """The envelope of a tunnel that opens; it is still to be placed."""
        route = self.table.tunnel_route(type(event))
        seconds = self._timeout if timeout is None else check_timeout(route.type.name, timeout)
        envelope = self._envelope(event, route, opening, seconds)
        envelope.tunnel = opening
        self._deadlines.watch(envelope)
        return envelope

    def hold(self, envelope: Envelope) -> None:
        """A tunnel is open: it has no deadline any more, and ends with its handler."""
        self._deadlines.hold(envelope)

    def _envelope(self, event: Any, route: Route, future: ReplyAddress | None, timeout: float) -> Envelope:
        now = self._time()
        deadline = now + timeout
        parent = current.get()
        trail = inherited(parent)
        if parent is not None and parent.done:
            parent = None  # A task that outlives the handler that started it is on its own.
        if parent is not None and future is not None and parent.envelope.deadline < deadline:
            deadline = parent.envelope.deadline
        envelope = Envelope(
            event, route.type, next(self._numbers), self.origin, now, deadline, route.names, future,
            None if future is None else parent, trail=trail,
        )  # fmt: skip
        if self._record is not None:
            self._record(trace.CREATED, self._component, envelope, trace.cause(parent, route.names[0]))
            self._record(trace.ROUTED, self._component, envelope, len(route.mailboxes))
        return envelope

    def place(self, envelope: Envelope) -> None:
        """Hand a request to the local provider with the shortest queue, or to another router, or have it wait.

        It waits for room at the local providers, or, where nobody provides it, for somebody who does.
        """
        route = self.table.provider_route(envelope.type)
        if self._offered(envelope, route.mailboxes) or self._sent_abroad(envelope, route):
            return
        if route.mailboxes:
            for mailbox in route.mailboxes:
                mailbox.park(envelope)
        elif envelope.origin is not self.origin:
            self.fail(envelope, no_route(envelope, self._grace, self.table.hint(type(envelope.event))))
        else:
            self._unrouted[envelope.number] = envelope
            self._deadlines.add(min(envelope.deadline, self._loop.time() + self._grace), envelope)

    def _offered(self, envelope: Envelope, mailboxes: tuple[Mailbox, ...]) -> bool:
        if not mailboxes:
            return False
        # Equal queues take turns: the sort is stable, so where it starts decides a tie.
        self._turn += 1
        start = self._turn % len(mailboxes)
        ordered = sorted(mailboxes[start:] + mailboxes[:start], key=_outstanding)
        return any(mailbox.offer(envelope) for mailbox in ordered)

    def _sent_abroad(self, envelope: Envelope, route: Route) -> bool:
        """Whether another router has taken a request; what came from one is not sent on."""
        uplink = self.table.uplink
        if uplink is None or envelope.origin is not self.origin or route.type.name.startswith(OWN):
            return False
        return uplink.request(envelope)

    async def notify(self, event: Notification) -> None:
        """Send ``event`` to every subscriber; returns when each mailbox has taken it, or has given it up.

        A full mailbox does what its overflow policy says. Whatever is given up becomes a :class:`DeadLetter`.
        """
        cls = type(event)
        route = self._notify_routes.get(cls) or self.table.notify_route(cls)
        uplink = self.table.uplink
        if route.asking and uplink is not None:
            await uplink.ask(route.type)
            route = self.table.notify_route(cls)
        envelope = self._envelope(event, route, None, math.inf)
        abroad = uplink.notify(envelope, route.peers) if route.peers and uplink is not None else None
        full = [mailbox for mailbox in route.mailboxes if not mailbox.offer(envelope)]
        if full:
            await self._overflow(envelope, full)
        if abroad is not None:
            await abroad

    async def _overflow(self, envelope: Envelope, full: list[Mailbox]) -> None:
        """Apply each full mailbox's policy, and wait for all that wait at once."""
        future: asyncio.Future[None] = self._loop.create_future()
        overflowing = Overflowing(self._loop, envelope, partial(_let_go, future))
        if not overflowing.begin(full):
            return
        try:
            await future
        except asyncio.CancelledError:
            overflowing.give_up()
            raise

    # From other routers

    def admit(self, entry: EventType, event: Any, origin: Origin, number: int, deadline: float) -> Envelope:
        """The envelope of an event that another router sent; ``deadline`` on this node's loop."""
        names = self._trace.names(origin, entry)
        return Envelope(event, entry, number, origin, self._time(), deadline, names)

    def take_request(self, envelope: Envelope) -> None:
        """Hand a request from another router to a provider here, or fail it; it may wait for room."""
        self._deadlines.watch(envelope)
        self.place(envelope)

    def cancel(self, envelope: Envelope, error: RequestError | None = None) -> None:
        """Nobody waits for the reply to a request from another router any more; or it ends there with ``error``."""
        if envelope.state != SETTLED:
            self._withdraw(envelope)
            self.fail(envelope, error or RequestCancelled(f"{envelope.subject}: the requester has gone"))

    def replace(self, envelope: Envelope) -> None:
        """Find another provider for a request of this node that its last one has not got, or may have twice."""
        if envelope.state != SETTLED:
            envelope.state = WAITING
            envelope.holder = None
            self.place(envelope)

    def take_notification(self, envelope: Envelope, decided: Callable[[], None]) -> int:
        """Hand a notification from another router to all subscribers here; returns how many there are.

        ``decided`` is called once each of them has taken it or given it up: at once, if there is room.
        """
        cls = type(envelope.event)
        route = self._notify_routes.get(cls) or self.table.notify_route(cls)
        full = [mailbox for mailbox in route.mailboxes if not mailbox.offer(envelope)]
        if not full or not Overflowing(self._loop, envelope, decided).begin(full):
            decided()
        return len(route.mailboxes)

    # Ending

    def reply(self, envelope: Envelope, value: Any) -> None:
        """End a request with its reply; a second end of any kind is counted as late, and dropped."""
        to = envelope.reply_to
        if self._settle(envelope, trace.REPLIED, "replied", 0, value) and to is not None and not to.done():
            to.set_result(value)

    def fail(self, envelope: Envelope, error: RequestError) -> None:
        """End a request with an error in place of its reply."""
        detail = self._trace.detail(error.code) if self._trace.record is not None else 0
        to = envelope.reply_to
        if self._settle(envelope, trace.FAILED, error.code, detail, error) and to is not None and not to.done():
            to.set_exception(error)

    def _settle(self, envelope: Envelope, stage: int, outcome: str, detail: int, end: Any) -> bool:
        if envelope.state == SETTLED:
            self.late += 1
            return False
        if self.observers.any:
            self.observers.ended(envelope, end, replied=stage == trace.REPLIED)
        envelope.state = SETTLED
        envelope.holder = None
        envelope.parent = None
        self._deadlines.live -= 1
        if envelope.tunnel is not None:
            self._deadlines.let_go(envelope)
        if envelope.origin is self.origin:  # The end of a request is what its requester sees.
            if self._record is not None:
                self._record(stage, self._component, envelope, detail)
            self._ended(envelope, outcome, self._time())
        return True

    def _cancel(self, envelope: Envelope, future: asyncio.Future[Any]) -> None:
        """The requester's task was cancelled while it awaited the reply."""
        if envelope.state == SETTLED:
            if not future.cancelled():
                future.exception()  # Retrieved, so that asyncio does not report it as forgotten.
            return
        self.cancel_own(envelope)

    def cancel_own(self, envelope: Envelope) -> None:
        """This node wants no end of its request any more."""
        self._withdraw(envelope)
        detail = self._trace.detail("cancelled") if self._trace.record is not None else 0
        self._settle(envelope, trace.FAILED, "cancelled", detail, None)

    def _withdraw(self, envelope: Envelope) -> None:
        holder = envelope.holder
        if holder is not None:
            holder.abandon(envelope)
            return
        self._unrouted.pop(envelope.number, None)
        for mailbox in self.table.provider_route(envelope.type).mailboxes:
            mailbox.unpark(envelope)

    def _expire(self, envelope: Envelope) -> None:
        now = self._loop.time()
        if envelope.number in self._unrouted:
            reason: RequestError = no_route(envelope, self._grace, self.table.hint(type(envelope.event)))
        elif now < envelope.deadline and not math.isclose(now, envelope.deadline, rel_tol=0, abs_tol=1e-6):
            self._deadlines.add(envelope.deadline, envelope)  # It found a provider within its grace.
            return
        elif envelope.state == WAITING:
            reason = overloaded(envelope, self.table.provider_route(envelope.type).mailboxes)
        else:
            reason = too_late(envelope)
        where = envelope.holder.label if envelope.holder is not None else f"{self.origin.node}/router"
        self._withdraw(envelope)
        self.fail(envelope, reason)
        self.dead_letter(envelope, reason.code, where)

    def dead_letter(self, envelope: Envelope, reason: str, where: str) -> None:
        """Report an event that nobody will handle: a log line, a count, and a :class:`DeadLetter` to who wants it."""
        if envelope.reply_to is None:
            if envelope.watch is not None and not self.table.closed:
                envelope.watch.ended()
            if self._trace.record is not None:
                self._trace.record(trace.DROPPED, self._component, envelope, self._trace.detail(reason))
            self._trace.ended(envelope, "dropped", self._loop.time())
        fields = {"event_id": envelope.event_id, "event_type": envelope.type.name}
        self._log.warning("dead letter: %s at %s: %s", envelope.type.name, where, reason, extra=fields)
        if envelope.type.cls is DeadLetter or self.table.closed:
            return
        route = self.table.notify_route(DeadLetter)
        if not route.mailboxes:
            return
        payload = b""
        with suppress(CodecError):
            payload = envelope.type.codec.encode(envelope.event)
        letter = DeadLetter(
            envelope.type.name, envelope.event_id, self.origin.node, where=where, reason=reason, payload=payload
        )
        self._post(letter, route)

    def announce(self, report: Notification) -> None:
        """Publish an event of this library's own to those here that want it and have room."""
        if not self.table.closed:
            cls = type(report)
            self._post(report, self._notify_routes.get(cls) or self.table.notify_route(cls))

    def _post(self, report: Notification, route: Route) -> None:
        if route.mailboxes:
            envelope = self._envelope(report, route, None, math.inf)
            for mailbox in route.mailboxes:
                mailbox.offer(envelope)

    # Stopping

    @property
    def live(self) -> int:
        """How many requests of this node have not ended."""
        return self._deadlines.live

    def close(self) -> None:
        """Publish nothing more, and end every request that has not ended with NodeStopped."""
        for envelope in self._deadlines.unsettled():
            if envelope.state == SETTLED:
                continue  # The heap holds a request twice that waits for its provider.
            self._withdraw(envelope)
            message = f"{envelope.subject}: node {self.origin.node!r} stopped before the reply"
            self.fail(envelope, NodeStopped(message))
        self.table.close()
        self._deadlines.close()


def _let_go(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _outstanding(mailbox: Mailbox) -> int:
    return mailbox.outstanding
