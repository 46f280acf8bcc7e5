"""Requests of this node that another router has: whom to ask, the reply, and what if that router is no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from edri_sim.envelope import HELD, Envelope
from edri_sim.errors import (
    BadEvent,
    BadReply,
    CodecError,
    NoRoute,
    ProviderLost,
    RequestError,
    TunnelLost,
    request_error,
)
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import CONTROL, EVENTS, Full, Item, Payload
from edri_sim.links.flow.send import Row
from edri_sim.links.frames import CANCEL, OPEN, REQUEST
from edri_sim.links.publisher import Publisher
from edri_sim.links.tunnels import Passage, Tunnels
from edri_sim.routing.router import Router
from edri_sim.routing.wire import OpenerWire

Failure = tuple[str, str, dict[str, str]]
"""An error as it travels: its code, message and details."""

_encode_failure = msgspec.msgpack.Encoder().encode
_decode_failure = msgspec.msgpack.Decoder(Failure).decode

STOPPED = "its node stops"
"""Why a router that is about to leave rejects what still comes: a request may go to another."""


def encode_failure(error: RequestError, largest: int) -> bytes:
    """An error as it travels, in at most ``largest`` bytes: what is too long of its texts is left out of the middle.

    They need not be valid Unicode: the name of a file may be in them.
    """
    details = error.details()
    most = largest // (8 * (len(details) + 1))  # A character that has to be escaped takes up to 6 bytes.
    fitted = {name: _fit(text, most) for name, text in details.items()}
    return _encode_failure((error.code, _fit(str(error.args[0]), most), fitted))


def _fit(text: str, most: int) -> str:
    if len(text) > most:
        text = f"{text[: most // 2]} [...] {text[-most // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Abroad:
    """Holds the requests that one other router has: see :class:`~edri_sim.envelope.Holder`."""

    def __init__(self, requests: Requests, peer: str) -> None:
        self.label = f"node {peer}"
        self.peer = peer
        self.in_flight = 0
        self._requests = requests

    def abandon(self, envelope: Envelope) -> None:
        """Nobody waits for the reply: take the request back, or have it cancelled there."""
        self._requests.abandon(envelope)

    def runs(self, envelope: Envelope) -> bool:  # noqa: ARG002 - the interface of holders
        """True: what becomes of it there is not known here."""
        return True


class _Pending(msgspec.Struct, eq=False):
    envelope: Envelope
    abroad: _Abroad
    row: Row
    passage: Passage | None = None
    accepted: bool = False

    @property
    def open(self) -> bool:
        """Whether it is a tunnel that a handler serves."""
        return self.passage is not None and self.passage.open


class Requests:
    """``providers(type)`` names the routers that may be asked."""

    def __init__(
        self, router: Router, exchange: Exchange, publisher: Publisher, tunnels: Tunnels, *,
        providers: Callable[[str], list[str]], now: Callable[[], float], poke: Callable[[], None],
    ) -> None:  # fmt: skip
        self._router = router
        self.exchange = exchange
        self._publisher = publisher
        self._tunnels = tunnels
        self._providers = providers
        self._now = now
        self._poke = poke
        self._abroad: dict[str, _Abroad] = {}
        self._pending: dict[int, _Pending] = {}
        self._crowd: dict[Envelope, None] = {}
        self._turn = 0
        self.label = f"{router.origin.node}/connector"

    @property
    def live(self) -> int:
        """How many requests and tunnels other routers have, or wait for room on their way."""
        return len(self._pending) + len(self._crowd)

    @property
    def awaited(self) -> bool:
        """Whether something has to come for one of them: an open tunnel may stay as it is for ever."""
        return bool(self._crowd) or any(not pending.open for pending in self._pending.values())

    def send(self, envelope: Envelope) -> bool:
        """Give a request to the provider with the fewest of ours in flight; False if there is none."""
        names = self._providers(envelope.type.name)
        if not names:
            return False
        try:
            payload = self._publisher.payload(envelope)
        except (CodecError, BadEvent) as error:
            failure = error if isinstance(error, BadEvent) else BadEvent(str(error))
            self._router.fail(envelope, failure)
            return True
        # Equal numbers take turns: the sort is stable, so where it starts decides a tie.
        self._turn += 1
        start = self._turn % len(names)
        candidates = sorted((self._of(name) for name in names[start:] + names[:start]), key=_in_flight)
        item = self._publisher.item(REQUEST, envelope, payload)
        if envelope.tunnel is not None:
            item.kind, item.ref = OPEN, envelope.tunnel.window
        if not any(self._push(envelope, item, abroad) for abroad in candidates):
            self._crowd[envelope] = None
            envelope.holder = self
        return True

    def _push(self, envelope: Envelope, item: Item, abroad: _Abroad) -> bool:
        try:
            row = self.exchange.push(abroad.peer, EVENTS, item, self._now())
        except Full:
            return False
        self._pending[envelope.number] = _Pending(envelope, abroad, row, self._passage(envelope, abroad.peer))
        abroad.in_flight += 1
        envelope.state = HELD
        envelope.holder = abroad
        self._poke()
        return True

    def _passage(self, envelope: Envelope, peer: str) -> Passage | None:
        entrance, number = envelope.tunnel, envelope.number
        if entrance is None:
            return None
        passage = self._tunnels.opened(peer, number, entrance.window, lambda reason: self._break_off(number, reason))
        passage.wire = OpenerWire(passage, entrance)
        return passage

    def _of(self, name: str) -> _Abroad:
        abroad = self._abroad.get(name)
        if abroad is None:
            abroad = self._abroad[name] = _Abroad(self, name)
        return abroad

    def room(self) -> None:
        """An outbox has room again: try those that wait for it."""
        crowd, self._crowd = self._crowd, {}
        for envelope in crowd:
            envelope.holder = None
            self._router.place(envelope)

    # Holder, for those that wait for room

    def runs(self, envelope: Envelope) -> bool:  # noqa: ARG002 - the interface of holders
        """False: no handler has it."""
        return False

    def abandon(self, envelope: Envelope) -> None:
        """Nobody waits for the reply: take the request back, or have it cancelled there."""
        self._crowd.pop(envelope, None)
        pending = self._take(envelope.number)
        if pending is not None:
            self._call_off(pending)

    def _break_off(self, number: int, reason: str) -> None:
        """A tunnel can't go on: end it here and there."""
        pending = self._take(number)
        if pending is not None:
            self._call_off(pending)
            self._router.fail(pending.envelope, TunnelLost(f"{pending.envelope.subject}: {reason}"))

    def _call_off(self, pending: _Pending) -> None:
        envelope = pending.envelope
        peer = pending.abroad.peer
        self._settle_handled(pending)
        if pending.accepted or self.exchange.withdraw(peer, pending.row, "cancelled"):
            now = self._now()
            cancel = Item(CANCEL, "", Payload(b""), envelope.origin.incarnation, 0, now, ref=envelope.number)
            self.exchange.push(peer, CONTROL, cancel, now)
        self._poke()

    def _take(self, number: int) -> _Pending | None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            pending.abroad.in_flight -= 1
            if pending.passage is not None:
                self._tunnels.drop(pending.passage)
        return pending

    # What comes back

    def replied(self, peer: str, number: int, payload: bytes) -> None:
        """A reply came; one that nobody waits for is counted as late."""
        pending = self._answered(peer, number)
        if pending is None:
            return
        envelope = pending.envelope
        try:
            value = None if pending.passage is not None else envelope.type.reply_codec.decode(payload)
        except Exception as error:  # A class of the user's may raise anything while it is made.
            self._router.fail(envelope, BadReply(f"{envelope.subject}: {error}"))
        else:
            self._router.reply(envelope, value)

    def failed(self, peer: str, number: int, payload: bytes, gone: Callable[[str, str], None]) -> None:
        """An error came; ``gone`` is told of a router that does not provide the type any more."""
        pending = self._answered(peer, number)
        if pending is None:
            return
        envelope = pending.envelope
        try:
            error: RequestError = request_error(*_decode_failure(payload))
        except (msgspec.MsgspecError, ValueError, TypeError) as problem:
            error = BadReply(f"{envelope.subject}: the error from node {peer!r} cannot be read: {problem}")
        if isinstance(error, NoRoute) and not pending.open:
            gone(peer, envelope.type.name)
            self._router.replace(envelope)
        else:
            self._router.fail(envelope, error)

    def _answered(self, peer: str, number: int) -> _Pending | None:
        pending = self._pending.get(number)
        if pending is None or pending.abroad.peer != peer:
            self._router.late += 1
            return None
        self._settle_handled(pending)
        return self._take(number)

    def _settle_handled(self, pending: _Pending) -> None:
        """A request that was to be kept until its handler had returned need not be kept any more."""
        if pending.envelope.type.ack == "handled":
            peer = self.exchange.peer(pending.abroad.peer)
            self.exchange.settle_handled(peer, self.exchange.incarnation, pending.envelope.number)

    def accepted(self, number: int, rejected: str | None) -> None:
        """The other router has the request, or can't take it."""
        pending = self._pending.get(number)
        if pending is None:
            return
        pending.accepted = True
        if rejected == STOPPED:
            self.returned(pending.envelope, was_sent=False)
        elif rejected is not None:
            self._take(number)
            label = pending.abroad.label
            self._router.fail(pending.envelope, BadEvent(f"{pending.envelope.subject}: {label} rejects it: {rejected}"))

    # Who is no more

    def restarted(self, peer: str) -> None:
        """A router began a new life: what its former one had been given will not be answered."""
        for pending in self._accepted_by(peer):
            if pending.envelope.type.ack != "handled":
                self.returned(pending.envelope, was_sent=True)

    def left(self, peer: str) -> None:
        """A router has left for good: what it had been given will not be answered."""
        for pending in self._accepted_by(peer):
            self.returned(pending.envelope, was_sent=True)
        self._abroad.pop(peer, None)

    def turn_away(self, peer: str, types: Sequence[str]) -> None:
        """What a router wants of these types has changed: where it does not provide one, ask others in its place."""
        gone = [type_ for type_ in types if peer not in self._providers(type_)]
        for pending in list(self._pending.values()) if gone else ():
            if pending.abroad.peer == peer and pending.envelope.type.name in gone and not pending.row.sends:
                self.exchange.withdraw(peer, pending.row, "not provided there any more")

    def barred(self, peer: str, type_: str) -> None:
        """Requests of a type do not get through to a router: should they end without another, their error says so."""
        for pending in self._pending.values():
            if pending.abroad.peer == peer and pending.envelope.type.name == type_:
                pending.envelope.note = f"; the switch does not let it pass to node {peer!r}"

    def _accepted_by(self, peer: str) -> list[_Pending]:
        return [pending for pending in self._pending.values() if pending.accepted and pending.abroad.peer == peer]

    def returned(self, envelope: Envelope, *, was_sent: bool) -> None:
        """A request will not be delivered (again): ask somebody else if that can do no harm."""
        pending = self._take(envelope.number)
        if pending is None:
            return
        if pending.open:
            self._router.fail(envelope, TunnelLost(f"{envelope.subject}: {pending.abroad.label} was lost"))
        elif was_sent and not envelope.type.idempotent:
            self._router.fail(
                envelope, ProviderLost(f"{envelope.subject}: {pending.abroad.label} was lost before it replied")
            )
        else:
            envelope.redelivered |= was_sent
            self._router.replace(envelope)


def _in_flight(abroad: Any) -> int:
    count: int = abroad.in_flight
    return count
