"""What comes from other routers, and how it fares here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edri_sim import trace
from edri_sim.envelope import WAITING, Envelope, Origin
from edri_sim.errors import BadReply, CodecError, RequestCancelled, RequestError, TunnelLost
from edri_sim.events import EventType
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import CONTROL, EVENTS, Delivered, Item, Payload
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.frames import (
    CANCEL,
    CLOSE,
    CREDIT,
    ERROR,
    HANDLED_WANTED,
    ITEM,
    NOT_ALLOWED,
    NOTIFY,
    OPEN,
    REDELIVERED,
    REPLY,
    REQUEST,
    Data,
)
from edri_sim.links.permissions import Permissions
from edri_sim.links.requests import STOPPED, Requests, encode_failure
from edri_sim.links.tunnels import MOST_CREDIT, Passage, Tunnels
from edri_sim.routing.router import Router
from edri_sim.routing.tunnel import LOST
from edri_sim.routing.wire import ServerWire
from edri_sim.trace import Trace
from edri_sim.traceparent import checked

UNKNOWN_TYPE, BAD_PAYLOAD, EXPIRED, TOO_MANY_LIVES = "unknown type", "bad payload", "expired", "too many lives"
"""Why an event is rejected, beside ``NOT_ALLOWED`` and ``STOPPED``; its sender is told."""

MOST_LIVES = 1_000
"""Lives of a router that its events may come from: those before its present one that a durable outbox has kept."""

_PUBLISHED = (NOTIFY, REQUEST, OPEN, CANCEL)
"""Kinds that have no place on the lane of a tunnel."""
_PROVIDED = {REQUEST: "request", OPEN: "tunnel"}
"""What one provider answers, by the kind that asks for it."""

Key = tuple[str, int, int]
"""A request from elsewhere: node, incarnation and number."""


class _Answer:
    """Where the reply to a request from another router goes; also watches whether it waits for room here."""

    def __init__(self, inlet: Inlet, key: Key, entry: EventType, lane: ReceiveLane, size: int) -> None:
        self._inlet = inlet
        self._key = key
        self._entry = entry
        self._lane = lane
        self._size = size
        self._parked = False
        self._done = False
        self.passage: Passage | None = None
        """What the event opened, if it opened a tunnel."""

    def done(self) -> bool:
        """Whether it has ended."""
        return self._done

    def park(self) -> None:
        """The request waits for room: it takes up the window."""
        self._parked = True
        self._lane.park(self._size)

    def held(self) -> None:
        """See :class:`~edri_sim.envelope.Watch`."""
        if self._parked:
            self._parked = False
            self._inlet.unpark(self._lane, self._size)

    def ended(self) -> None:
        """See :class:`~edri_sim.envelope.Watch`; a request ends with its reply."""

    def set_result(self, result: Any, /) -> None:
        """Send the reply."""
        name, largest = self._entry.name, self._inlet.largest
        if self.passage is not None:
            self._end(REPLY, b"")
            return
        try:
            payload = self._entry.reply_codec.encode(result)
        except CodecError as error:
            self.set_exception(BadReply(f"{name}: the reply cannot be sent: {error}"))
            return
        if len(payload) > largest:
            text = f"{name}: the reply is {len(payload)} bytes, and at most {largest} travel between routers"
            self.set_exception(BadReply(text))
            return
        self._end(REPLY, payload)

    def set_exception(self, exception: BaseException, /) -> None:
        """Send the error."""
        error = exception if isinstance(exception, RequestError) else RequestError(str(exception))
        self._end(ERROR, encode_failure(error, self._inlet.largest), error)

    def _end(self, kind: int, payload: bytes, error: RequestError | None = None) -> None:
        self._done = True
        self.held()
        self._inlet.answer(self._key, kind, payload, self.passage, wanted=not isinstance(error, RequestCancelled))


class _Countdown:
    """Waits until all subscribers here are done with a notification that its sender keeps until then."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._missing = 0
        self._counted = False

    def held(self) -> None:
        """See :class:`~edri_sim.envelope.Watch`; only requests are held."""

    def ended(self) -> None:
        """See :class:`~edri_sim.envelope.Watch`."""
        self._missing -= 1
        self._look()

    def expect(self, count: int) -> None:
        """So many subscribers there are; some may be done already."""
        self._missing += count
        self._counted = True
        self._look()

    def _look(self) -> None:
        if self._counted and not self._missing:
            self._counted = False
            self._done()


class Inlet:
    """Hands what other routers send to this one's router, and their replies to its requests.

    ``largest`` is the bytes of a reply that travel.
    """

    def __init__(
        self, router: Router, exchange: Exchange, requests: Requests, tunnels: Tunnels, trace_: Trace, component: int,
        *, permissions: Permissions, largest: int, now: Callable[[], float], poke: Callable[[], None],
        gone: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.largest = largest
        self.moved_at = -math.inf
        """When an item came, or one that had waited found its room, so that another may come."""
        self._router = router
        self._requests = requests
        self._tunnels = tunnels
        self._trace = trace_
        self._component = component
        self._permissions = permissions
        self._now = now
        self._poke = poke
        self._gone = gone
        self._origins: dict[str, dict[int, Origin]] = {}
        self._serving: dict[Key, Envelope] = {}
        self._kinds: dict[int, Callable[[Delivered], None]] = {
            NOTIFY: self._notification, REQUEST: self._request, REPLY: self._reply, ERROR: self._error,
            CANCEL: self._cancel, OPEN: self._request, ITEM: tunnels.item, CREDIT: tunnels.credit, CLOSE: tunnels.close,
        }  # fmt: skip

    def take(self, news: Delivered) -> None:
        """Deal with one item, in its place of the order."""
        self.moved_at = self._now()
        kind = self._kinds.get(news.data.kind)
        if kind is None or (news.data.lane > EVENTS and news.data.kind in _PUBLISHED):
            news.lane.reject(news.data.seq, UNKNOWN_TYPE)
        else:
            kind(news)

    # Events

    def _envelope(self, news: Delivered, deadline: float) -> Envelope | None:
        """The event with its envelope; None if it was rejected."""
        data = news.data
        entry = self._router.types.by_name.get(data.type)
        origin = self._origin(news.peer, data.origin)
        reason = self._against(news, entry, origin)
        if reason or entry is None or origin is None:
            news.lane.reject(data.seq, reason)
            return None
        try:
            event = entry.codec.decode(data.payload)
        except Exception as error:  # A class of the user's may raise anything while it is made.
            news.lane.reject(data.seq, f"{BAD_PAYLOAD}: {error}")
            return None
        envelope = self._router.admit(entry, event, origin, data.event, deadline)
        envelope.redelivered = bool(news.flags & REDELIVERED)
        envelope.trail = checked(data.trace)
        if self._trace.record is not None:
            self._trace.record(trace.DELIVERED, self._component, envelope, self._trace.detail(news.peer))
        return envelope

    def _against(self, news: Delivered, entry: EventType | None, origin: Origin | None) -> str:
        """Why an event can't be taken, whatever is in it; empty if it can."""
        if self._router.table.closed:
            return STOPPED
        if entry is None:
            return UNKNOWN_TYPE
        if self._permissions and not self._permissions.allows(news.peer, "publish", entry.name):
            return NOT_ALLOWED
        return "" if origin is not None else TOO_MANY_LIVES

    def names(self, peer: str, item: Item) -> tuple[int, int]:
        """How the trace numbers the origin and the type of what another router sent."""
        entry = self._router.types.by_name.get(item.type)
        origin = self._origin(peer, item.origin)
        return (0, 0) if entry is None or origin is None else self._trace.names(origin, entry)

    def _origin(self, node: str, incarnation: int) -> Origin | None:
        """One life of a router; None if it claims to have had more than can be."""
        lives = self._origins.setdefault(node, {})
        origin = lives.get(incarnation)
        if origin is None and len(lives) < MOST_LIVES:
            origin = lives[incarnation] = Origin(node, incarnation)
        return origin

    def _notification(self, news: Delivered) -> None:
        data, lane = news.data, news.lane
        entry = self._router.types.by_name.get(data.type)
        if entry is not None and entry.kind != "notification":
            lane.reject(data.seq, UNKNOWN_TYPE)
            return
        envelope = self._envelope(news, math.inf)
        if envelope is None:
            return
        countdown = None
        if news.flags & HANDLED_WANTED:
            countdown = envelope.watch = _Countdown(lambda: self._handled(news.peer, data))
        size = len(data.payload)
        parked = False
        decided = False

        def placed() -> None:
            nonlocal decided
            decided = True
            if parked:
                self.unpark(lane, size)

        count = self._router.take_notification(envelope, placed)
        if not decided:
            parked = True
            lane.park(size)
        if countdown is not None:
            countdown.expect(count)

    def _handled(self, peer: str, data: Data) -> None:
        self.exchange.handled(peer, data.origin, data.event, self._now())
        self._poke()

    def _request(self, news: Delivered) -> None:
        data, lane = news.data, news.lane
        entry = self._router.types.by_name.get(data.type)
        if entry is not None and entry.kind != _PROVIDED[data.kind]:
            lane.reject(data.seq, UNKNOWN_TYPE)
            return
        if not 0 < data.remaining < math.inf:
            lane.reject(data.seq, EXPIRED)
            return
        envelope = self._envelope(news, self._now() + data.remaining)
        if envelope is None:
            return
        self.exchange.learn_life(news.peer, data.origin, self._now())  # A request dies with the life that asks.
        key = (news.peer, data.origin, data.event)
        answer = _Answer(self, key, envelope.type, lane, len(data.payload))
        envelope.reply_to = envelope.watch = answer
        if data.kind == OPEN:
            answer.passage = self._serve(news, envelope)
        self._serving[key] = envelope
        self._router.take_request(envelope)
        if envelope.state == WAITING:
            answer.park()

    def _serve(self, news: Delivered, envelope: Envelope) -> Passage:
        """This node's side of a tunnel that another router opens."""

        def broken(reason: str) -> None:
            self._lose(envelope, TunnelLost(f"{envelope.subject}: {reason}"))

        window = min(news.data.ref, MOST_CREDIT)
        passage = self._tunnels.served(news.peer, envelope.number, window, broken)
        wire = ServerWire(passage, window, lambda: self._router.hold(envelope))
        passage.wire = envelope.tunnel = wire
        return passage

    def _lose(self, envelope: Envelope, error: TunnelLost | None = None) -> None:
        """Who has asked is gone for good, or is told this error: a handler learns it where it waits for its tunnel."""
        if envelope.tunnel is not None:
            envelope.tunnel.ended(LOST)
        self._router.cancel(envelope, error)

    def unpark(self, lane: ReceiveLane, size: int) -> None:
        """An event has found its room here."""
        self.moved_at = self._now()
        lane.unpark(size, self.moved_at)
        self._poke()

    def answer(self, key: Key, kind: int, payload: bytes, passage: Passage | None, *, wanted: bool) -> None:
        """Send the end of a request to the life of the router that sent it, if it is still that one."""
        self._serving.pop(key, None)
        node, incarnation, number = key
        wanted = wanted and self.exchange.peer(node).incarnation == incarnation
        if passage is not None:
            self._tunnels.end(passage, (kind, payload, number) if wanted else None)
        elif wanted:
            now = self._now()
            item = Item(kind, "", Payload(payload), self.exchange.incarnation, 0, now, ref=number)
            self.exchange.push(node, CONTROL, item, now)
            self._poke()

    # Control

    def _reply(self, news: Delivered) -> None:
        self._requests.replied(news.peer, news.data.ref, news.data.payload)

    def _error(self, news: Delivered) -> None:
        self._requests.failed(news.peer, news.data.ref, news.data.payload, self._gone)

    def _cancel(self, news: Delivered) -> None:
        envelope = self._serving.get((news.peer, news.data.origin, news.data.ref))
        if envelope is not None:
            self._router.cancel(envelope)

    def restarted(self, peer: str, incarnation: int) -> None:
        """A router began a new life: nobody waits any more for what its former lives have asked."""
        self._cancel_all([key for key in self._serving if key[0] == peer and key[1] < incarnation])
        self._origins.pop(peer, None)

    def left(self, peer: str) -> None:
        """A router has left for good: nobody waits any more for what it has asked."""
        self._cancel_all([key for key in self._serving if key[0] == peer])
        self._origins.pop(peer, None)

    def _cancel_all(self, keys: list[Key]) -> None:
        for key in keys:
            envelope = self._serving.pop(key, None)
            if envelope is not None:
                self._lose(envelope)
