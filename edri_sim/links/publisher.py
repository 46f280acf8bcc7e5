"""What this node publishes to other routers, on its way into the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from edri_sim import trace
from edri_sim.envelope import Envelope, Origin
from edri_sim.errors import CodecError, EventTooLarge, OutboxFull, StorageError
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import EVENTS, Full, Item, Payload
from edri_sim.links.frames import NOTIFY
from edri_sim.links.schemas import Schemas
from edri_sim.routing.router import Router
from edri_sim.trace import Trace
from edri_sim.traceparent import told

PATIENCE = 5.0
"""Seconds that a publisher waits for room in an outbox."""


class Publisher:
    """Encodes events, and puts them into the outbox; ``largest`` is in bytes.

    ``changed()`` returns when something has happened that may have made room.
    """

    def __init__(
        self, router: Router, exchange: Exchange, schemas: Schemas, trace_: Trace, component: int, *, largest: int,
        now: Callable[[], float], poke: Callable[[], None], changed: Callable[[], Coroutine[Any, Any, None]],
        written: Callable[[], Awaitable[None] | None],
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self._router = router
        self._schemas = schemas
        self._trace = trace_
        self._component = component
        self._label = f"{router.origin.node}/connector"
        self._largest = largest
        self._now = now
        self._poke = poke
        self._changed = changed
        self._written = written

    def payload(self, envelope: Envelope) -> Payload:
        """The event, encoded. Raises CodecError and EventTooLarge."""
        data = envelope.type.codec.encode(envelope.event)
        if len(data) > self._largest:
            raise EventTooLarge(
                f"{envelope.type.name} is {len(data)} bytes, and at most {self._largest} travel between routers: "
                "stream it through a tunnel, or send where it can be fetched"
            )
        return Payload(data)

    def item(self, kind: int, envelope: Envelope, payload: Payload) -> Item:
        """What travels of an envelope."""
        entry = envelope.type
        own = self._schemas.own(entry.name)
        return Item(
            kind, entry.name, payload, self.exchange.incarnation, envelope.number, self._now(), envelope.deadline, 0,
            own.fingerprint if own is not None else "", told(envelope), entry.delivery == "latest",
            entry.ack == "handled", envelope.redelivered, envelope.names, envelope,
        )  # fmt: skip

    def notify(self, envelope: Envelope, peers: Sequence[str]) -> Awaitable[None] | None:
        """Put a notification into the outbox for each of these routers; await what is returned, if there is no room.

        Raises:
            CodecError: the event does not fit its declaration.
            EventTooLarge: it is too large to travel.
        """
        item = self.item(NOTIFY, envelope, self.payload(envelope))
        late = [peer for peer in peers if not self._push(peer, item)]
        self._poke()
        if late:
            return self._push_late(late, item)
        written = self._written()
        return None if written is None else self._keep(written, item)

    async def _keep(self, written: Awaitable[None], item: Item) -> None:
        """Wait until the event is on disk. Raises OutboxFull."""
        try:
            async with asyncio.timeout(PATIENCE):
                await written
        except TimeoutError:
            text = f"{item.tag!r} is not on disk after {PATIENCE:g} s, and will be sent once it is"
            raise OutboxFull(f"{text}: the log says what is wrong with the disk") from None
        except StorageError as error:
            raise OutboxFull(f"{item.tag.subject} was not accepted: {error}") from None

    def adopt(self, item: Item) -> None:
        """Give an item that an earlier life left an envelope of its own; one of a type that is no more gets none."""
        entry = self._router.types.by_name.get(item.type)
        if entry is None:
            return
        with suppress(CodecError):
            event = entry.codec.decode(item.payload.data)
            origin = Origin(self._router.origin.node, item.origin)
            item.tag = self._router.admit(entry, event, origin, item.number, item.deadline)
            item.names, item.tag.trail = item.tag.names, item.trace

    def _push(self, peer: str, item: Item) -> bool:
        """Put a copy of the item into the outbox for a router; False if there is no room."""
        copy = _copy(item)
        try:
            row = self.exchange.push(peer, EVENTS, copy, self._now())
        except Full as full:
            if not item.latest:
                return False
            self._router.dead_letter(item.tag, f"outbox full: {full}", self._label)
            return True
        if self._trace.record is not None and self.exchange.holds(peer, row):
            self._trace.record(trace.HELD, self._component, item.tag, self._trace.detail(peer))
        return True

    async def _push_late(self, late: list[str], item: Item) -> None:
        """Wait for room. Raises OutboxFull."""
        try:
            async with asyncio.timeout(PATIENCE):
                while late:
                    await self._changed()
                    late = [peer for peer in late if not self._push(peer, item)]
                    self._poke()
        except TimeoutError:
            for peer in late:
                self._router.dead_letter(
                    item.tag, f"outbox full: no room for {peer} within {PATIENCE:g} s", self._label
                )
            text = f"{item.tag!r}: the outbox for {', '.join(late)} had no room within {PATIENCE:g} s"
            raise OutboxFull(f"{text}: publish more slowly, or mark the event delivery='latest'") from None
        written = self._written()
        if written is not None:
            await self._keep(written, item)


def _copy(item: Item) -> Item:
    """The item for one more router: the payload is shared, what becomes of it is not."""
    return Item(
        item.kind, item.type, item.payload, item.origin, item.number, item.created, item.deadline, item.ref,
        item.schema, item.trace, item.latest, item.handled, False, item.names, item.tag,
    )  # fmt: skip
