"""What comes from other routers, and how it fares here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edri_sim import trace
from edri_sim.envelope import WAITING, Envelope, Origin
from edri_sim.errors import BadReply, CodecError, RequestCancelled, RequestError
from edri_sim.events import EventType
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import CONTROL, Delivered, Item, Payload
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.frames import CANCEL, ERROR, HANDLED_WANTED, NOTIFY, REDELIVERED, REPLY, REQUEST, Data
from edri_sim.links.permissions import Permissions
from edri_sim.links.requests import Requests, encode_failure
from edri_sim.routing.router import Router
from edri_sim.trace import Trace

UNKNOWN_TYPE, BAD_PAYLOAD, NOT_ALLOWED, EXPIRED = "unknown type", "bad payload", "not allowed", "expired"
"""Why an event is rejected; its sender is told."""

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
        try:
            payload = self._entry.reply_codec.encode(result)
        except CodecError as error:
            self.set_exception(BadReply(f"{self._entry.name}: the reply cannot be sent: {error}"))
            return
        self._end(REPLY, payload)

    def set_exception(self, exception: BaseException, /) -> None:
        """Send the error."""
        error = exception if isinstance(exception, RequestError) else RequestError(str(exception))
        self._end(ERROR, encode_failure((error.code, str(error.args[0]), error.details())), error)

    def _end(self, kind: int, payload: bytes, error: RequestError | None = None) -> None:
        self._done = True
        self.held()
        self._inlet.answer(self._key, kind, payload, wanted=not isinstance(error, RequestCancelled))


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
    """Hands what other routers send to this one's router, and their replies to its requests."""

    def __init__(
        self, router: Router, exchange: Exchange, requests: Requests, trace_: Trace, component: int, *,
        permissions: Permissions, now: Callable[[], float], poke: Callable[[], None],
        gone: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self._router = router
        self._requests = requests
        self._trace = trace_
        self._component = component
        self._permissions = permissions
        self._now = now
        self._poke = poke
        self._gone = gone
        self._origins: dict[tuple[str, int], Origin] = {}
        self._serving: dict[Key, Envelope] = {}
        self._kinds: dict[int, Callable[[Delivered], None]] = {
            NOTIFY: self._notification, REQUEST: self._request, REPLY: self._reply, ERROR: self._error,
            CANCEL: self._cancel,
        }  # fmt: skip

    def take(self, news: Delivered) -> None:
        """Deal with one item, in its place of the order."""
        kind = self._kinds.get(news.data.kind)
        if kind is None:
            news.lane.reject(news.data.seq, UNKNOWN_TYPE)
        else:
            kind(news)

    # Events

    def _envelope(self, news: Delivered, deadline: float) -> Envelope | None:
        """The event with its envelope; None if it was rejected."""
        data = news.data
        entry = self._router.types.by_name.get(data.type)
        if entry is None:
            news.lane.reject(data.seq, UNKNOWN_TYPE)
            return None
        permissions = self._permissions
        if permissions and not permissions.allows(news.peer, "publish", data.type):
            news.lane.reject(data.seq, NOT_ALLOWED)
            return None
        try:
            event = entry.codec.decode(data.payload)
        except CodecError as error:
            news.lane.reject(data.seq, f"{BAD_PAYLOAD}: {error}"[:64])
            return None
        envelope = self._router.admit(entry, event, self._origin(news.peer, data.origin), data.event, deadline)
        envelope.redelivered = bool(news.flags & REDELIVERED)
        if self._trace.record is not None:
            self._trace.record(trace.DELIVERED, self._component, envelope, self._trace.detail(news.peer))
        return envelope

    def names(self, peer: str, item: Item) -> tuple[int, int]:
        """How the trace numbers the origin and the type of what another router sent."""
        entry = self._router.types.by_name.get(item.type)
        return (0, 0) if entry is None else self._trace.names(self._origin(peer, item.origin), entry)

    def _origin(self, node: str, incarnation: int) -> Origin:
        key = (node, incarnation)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = Origin(node, incarnation)
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
        if entry is not None and entry.kind != "request":
            lane.reject(data.seq, UNKNOWN_TYPE)
            return
        if data.remaining <= 0:
            lane.reject(data.seq, EXPIRED)
            return
        envelope = self._envelope(news, self._now() + data.remaining)
        if envelope is None:
            return
        self.exchange.learn_life(news.peer, data.origin, self._now())  # A request dies with the life that asks.
        key = (news.peer, data.origin, data.event)
        answer = _Answer(self, key, envelope.type, lane, len(data.payload))
        envelope.reply_to = envelope.watch = answer
        self._serving[key] = envelope
        self._router.take_request(envelope)
        if envelope.state == WAITING:
            answer.park()

    def unpark(self, lane: ReceiveLane, size: int) -> None:
        """An event has found its room here."""
        lane.unpark(size, self._now())
        self._poke()

    def answer(self, key: Key, kind: int, payload: bytes, *, wanted: bool) -> None:
        """Send the end of a request to the life of the router that sent it, if it is still that one."""
        self._serving.pop(key, None)
        node, incarnation, number = key
        if wanted and self.exchange.peer(node).incarnation == incarnation:
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
        for key, envelope in [(key, e) for key, e in self._serving.items() if key[0] == peer and key[1] < incarnation]:
            self._serving.pop(key, None)
            self._router.cancel(envelope)
        for key_ in [key for key in self._origins if key[0] == peer]:
            del self._origins[key_]
