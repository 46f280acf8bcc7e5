"""Forwards events by type, in the turn of whoever publishes them. It has no queue of its own."""

from __future__ import annotations

import asyncio
import itertools
import math
from contextlib import suppress
from typing import Any, TypeVar

from edri_sim import trace
from edri_sim.envelope import SETTLED, WAITING, Envelope, Origin, current
from edri_sim.errors import (
    CodecError,
    DeadlineExceeded,
    DeclarationError,
    NodeStopped,
    NoRoute,
    Overloaded,
    RequestError,
)
from edri_sim.events import Notification, Request, TypeTable
from edri_sim.logs import NodeLog
from edri_sim.routing.cycles import note_cycle
from edri_sim.routing.deadletter import DeadLetter
from edri_sim.routing.deadlines import Deadlines
from edri_sim.routing.mailbox import Gate, Mailbox
from edri_sim.routing.route import Route, Subscription, mailboxes_for
from edri_sim.settings import Settings
from edri_sim.trace import Trace

R = TypeVar("R")


class Router:
    """The event table of one node.

    ``origin`` names this life of the node, ``types`` are the event types it knows, ``trace_`` is told what passes.
    """

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        types: TypeTable,
        settings: Settings,
        trace_: Trace,
        log: NodeLog,
    ) -> None:
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
        self._subscriptions: list[Subscription] = []
        self._request_routes: dict[type, Route] = {}
        self._notify_routes: dict[type, Route] = {}
        self._unrouted: dict[int, Envelope] = {}
        self._closed = False

    # Subscribing

    def subscribe(self, cls: type, mailbox: Mailbox, owner: str) -> None:
        """Lead events of ``cls`` and its subclasses to ``mailbox``; requests that found no route are tried again."""
        self._subscriptions.append(Subscription(cls, mailbox, owner))
        self._forget_routes()
        stranded, self._unrouted = self._unrouted, {}
        for envelope in stranded.values():
            self._place(envelope, self._request_route(type(envelope.event)).mailboxes)

    def unsubscribe(self, mailbox: Mailbox) -> None:
        """Lead nothing more to ``mailbox``."""
        self._subscriptions = [entry for entry in self._subscriptions if entry.mailbox is not mailbox]
        self._forget_routes()

    def _forget_routes(self) -> None:
        self._request_routes.clear()
        self._notify_routes.clear()

    def _request_route(self, cls: type) -> Route:
        return self._request_routes.get(cls) or self._learn(cls, "request", self._request_routes)

    def _learn(self, cls: type, kind: str, routes: dict[type, Route]) -> Route:
        found = self.types.resolve(cls)
        if self._closed:
            raise NodeStopped(f"{found.name}: node {self.origin.node!r} is stopped")
        if found.kind != kind:
            verb = {"request": "request()", "notification": "notify()", "tunnel": "open()"}[found.kind]
            raise DeclarationError(f"{found.name} is a {found.kind}: publish it with {verb}")
        route = routes[cls] = Route(
            found, self._trace.names(self.origin, found), mailboxes_for(cls, self._subscriptions)
        )
        return route

    # Publishing

    async def request(self, event: Request[R], *, timeout: float | None = None) -> R:
        """Send ``event`` to one provider and return its reply.

        ``timeout`` is in seconds (default: the setting ``request_timeout``); a request made in a handler also ends at
        the deadline of the request that is handled. Raises a :class:`RequestError`: NoRoute, Overloaded,
        DeadlineExceeded, ProviderLost, BadReply, NodeStopped, or HandlerError when the handler raised.
        """
        cls = type(event)
        route = self._request_routes.get(cls) or self._learn(cls, "request", self._request_routes)
        future: asyncio.Future[R] = asyncio.Future(loop=self._loop)
        envelope = self._envelope(event, route, future, self._timeout if timeout is None else timeout)
        self._deadlines.watch(envelope)
        mailboxes = route.mailboxes
        if len(mailboxes) != 1 or not mailboxes[0].offer(envelope):
            self._place(envelope, mailboxes)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(envelope, future)
            raise

    def _envelope(self, event: Any, route: Route, future: asyncio.Future[Any] | None, timeout: float) -> Envelope:
        if not timeout > 0:
            raise ValueError(f"{route.type.name}: timeout={timeout!r}: expected seconds above 0")
        now = self._time()
        deadline = now + timeout
        parent = current.get()
        if parent is not None and parent.done:
            parent = None  # A task that outlives the handler that started it is on its own.
        if parent is not None and future is not None and parent.envelope.deadline < deadline:
            deadline = parent.envelope.deadline
        awaits = None if future is None else parent
        envelope = Envelope(
            event, route.type, next(self._numbers), self.origin, now, deadline, route.names, future, awaits
        )
        if self._record is not None:
            cause = 0 if parent is None else parent.envelope.number
            self._record(trace.CREATED, self._component, envelope, cause)
            self._record(trace.ROUTED, self._component, envelope, len(route.mailboxes))
        return envelope

    def _place(self, envelope: Envelope, mailboxes: tuple[Mailbox, ...]) -> None:
        """Hand a request to the provider with the shortest queue, or have it wait for room or for a provider."""
        if not mailboxes:
            self._unrouted[envelope.number] = envelope
            self._deadlines.add(min(envelope.deadline, self._loop.time() + self._grace), envelope)
            return
        # Equal queues take turns: the sort is stable, so where it starts decides a tie.
        self._turn += 1
        start = self._turn % len(mailboxes)
        ordered = sorted(mailboxes[start:] + mailboxes[:start], key=_outstanding)
        if any(mailbox.offer(envelope) for mailbox in ordered):
            return
        for mailbox in mailboxes:
            mailbox.park(envelope)

    async def notify(self, event: Notification) -> None:
        """Send ``event`` to every subscriber; returns when each mailbox has taken it, or has given it up.

        A full mailbox does what its overflow policy says. Whatever is given up becomes a :class:`DeadLetter`.
        """
        cls = type(event)
        route = self._notify_routes.get(cls) or self._learn(cls, "notification", self._notify_routes)
        envelope = self._envelope(event, route, None, math.inf)
        full = [mailbox for mailbox in route.mailboxes if not mailbox.offer(envelope)]
        if full:
            await self._overflow(envelope, full)

    async def _overflow(self, envelope: Envelope, full: list[Mailbox]) -> None:
        """Apply each full mailbox's policy, and wait for all that wait at once."""
        future: asyncio.Future[None] = self._loop.create_future()
        gate = Gate(future)
        timers: list[asyncio.TimerHandle] = []
        for mailbox in full:
            policy = mailbox.overflow
            if policy.action == "drop_oldest":
                mailbox.push_out(envelope)
            elif policy.action == "drop_newest":
                mailbox.reject(envelope, "mailbox full, dropped as the newest")
            else:
                mailbox.park(envelope, gate)
                timers.append(self._loop.call_later(policy.patience, mailbox.expire, envelope, gate))
        if not gate.missing:
            return
        try:
            await future
        except asyncio.CancelledError:
            for mailbox in full:
                mailbox.expire(envelope, gate)
            raise
        finally:
            for timer in timers:
                timer.cancel()

    # Ending

    def reply(self, envelope: Envelope, value: Any) -> None:
        """End a request with its reply; a second end of any kind is counted as late, and dropped."""
        reply_to = envelope.reply_to
        if self._settle(envelope, trace.REPLIED, "replied", 0) and reply_to is not None and not reply_to.done():
            reply_to.set_result(value)

    def fail(self, envelope: Envelope, error: RequestError) -> None:
        """End a request with an error in place of its reply."""
        detail = self._trace.detail(error.code) if self._trace.record is not None else 0
        reply_to = envelope.reply_to
        if self._settle(envelope, trace.FAILED, error.code, detail) and reply_to is not None and not reply_to.done():
            reply_to.set_exception(error)

    def _settle(self, envelope: Envelope, stage: int, outcome: str, detail: int) -> bool:
        if envelope.state == SETTLED:
            self.late += 1
            return False
        envelope.state = SETTLED
        envelope.holder = None
        envelope.parent = None
        self._deadlines.live -= 1
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
        self._withdraw(envelope)
        detail = self._trace.detail("cancelled") if self._trace.record is not None else 0
        self._settle(envelope, trace.FAILED, "cancelled", detail)

    def _withdraw(self, envelope: Envelope) -> None:
        holder = envelope.holder
        if holder is not None:
            holder.abandon(envelope)
            return
        self._unrouted.pop(envelope.number, None)
        for mailbox in self._request_route(type(envelope.event)).mailboxes:
            mailbox.unpark(envelope)

    def _expire(self, envelope: Envelope) -> None:
        now = self._loop.time()
        if envelope.number in self._unrouted:
            reason: RequestError = self._no_route(envelope)
        elif now < envelope.deadline and not math.isclose(now, envelope.deadline, rel_tol=0, abs_tol=1e-6):
            self._deadlines.add(envelope.deadline, envelope)  # It found a provider within its grace.
            return
        elif envelope.state == WAITING:
            reason = self._overloaded(envelope)
        else:
            reason = DeadlineExceeded(_too_late(envelope))
        where = envelope.holder.label if envelope.holder is not None else f"{self.origin.node}/router"
        self._withdraw(envelope)
        self.fail(envelope, reason)
        self.dead_letter(envelope, reason.code, where)

    def _overloaded(self, envelope: Envelope) -> Overloaded:
        for mailbox in self._request_route(type(envelope.event)).mailboxes:
            note_cycle(envelope, mailbox.label)
        text = f"{envelope.type.name} {envelope.event_id}: no provider had room until the deadline"
        return Overloaded(text + envelope.note)

    def _no_route(self, envelope: Envelope) -> NoRoute:
        return NoRoute(
            f"{envelope.type.name} {envelope.event_id}: nobody provides it, and nobody came to provide it within"
            f" {min(self._grace, envelope.deadline - envelope.created):.3g} s; start a manager with a handler for it"
        )

    def dead_letter(self, envelope: Envelope, reason: str, where: str) -> None:
        """Report an event that nobody will handle: a log line, a count, and a :class:`DeadLetter` to who wants it."""
        if envelope.reply_to is None:
            if self._trace.record is not None:
                self._trace.record(trace.DROPPED, self._component, envelope, self._trace.detail(reason))
            self._trace.ended(envelope, "dropped", self._loop.time())
        fields = {"event_id": envelope.event_id, "event_type": envelope.type.name}
        self._log.warning("dead letter: %s at %s: %s", envelope.type.name, where, reason, extra=fields)
        if envelope.type.cls is DeadLetter or self._closed:
            return
        route = self._notify_routes.get(DeadLetter) or self._learn(DeadLetter, "notification", self._notify_routes)
        if not route.mailboxes:
            return
        payload = b""
        with suppress(CodecError):
            payload = envelope.type.codec.encode(envelope.event)
        letter = DeadLetter(
            envelope.type.name, envelope.event_id, self.origin.node, where=where, reason=reason, payload=payload
        )
        report = self._envelope(letter, route, None, math.inf)
        for mailbox in route.mailboxes:
            mailbox.offer(report)

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
            message = f"{envelope.type.name} {envelope.event_id}: node {self.origin.node!r} stopped before the reply"
            self.fail(envelope, NodeStopped(message))
        self._closed = True
        self._forget_routes()
        self._deadlines.close()


def _outstanding(mailbox: Mailbox) -> int:
    return mailbox.outstanding


def _too_late(envelope: Envelope) -> str:
    holder = envelope.holder
    if holder is not None and not holder.runs(envelope):
        note_cycle(envelope, holder.label)
    where = f"it was at {holder.label}" if holder is not None else "it waited"
    limit = envelope.deadline - envelope.created
    return f"{envelope.type.name} {envelope.event_id}: no reply within {limit:.3g} s; {where}{envelope.note}"
