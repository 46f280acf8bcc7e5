"""The connector as its node's router sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edri_sim.envelope import Envelope
from edri_sim.events import EventType
from edri_sim.links.changes import Changes
from edri_sim.links.interest import InterestBook
from edri_sim.links.publisher import Publisher
from edri_sim.links.requests import Requests
from edri_sim.links.schemas import Schemas
from edri_sim.routing.context import NodeContext


class RouterPort:
    """The uplink of a router: see :class:`~edri_sim.routing.uplink.Uplink`.

    ``greeted()`` says whether the fabric has been joined, so that those who are there have been heard of.
    """

    def __init__(
        self, node: NodeContext, book: InterestBook, schemas: Schemas, publisher: Publisher, requests: Requests,
        changes: Changes, *, greeted: Callable[[], bool], poke: Callable[[], None],
    ) -> None:  # fmt: skip
        self.notify = publisher.notify
        self._table = node.router.table
        self._grace = node.settings.route_grace
        self._now = node.loop.time
        self._book = book
        self._schemas = schemas
        self.requests = requests
        self._changes = changes
        self._greeted = greeted
        self._poke = poke

    def asked(self, entry: EventType) -> bool:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        return self._book.asked(entry.name)

    async def until(self, entry: EventType, change: asyncio.Future[None]) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self.wish(entry)
        await self._changes.until(change)

    async def ask(self, entry: EventType) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self.wish(entry)
        try:
            async with asyncio.timeout(self._grace):
                while not (self._book.asked(entry.name) and self._greeted()):
                    await self._changes.next()
        except TimeoutError:
            self._book.excuse()
            self._table.forget()

    def wish(self, entry: EventType) -> None:
        """This node sends events of a type: have the others say what they want of it."""
        if entry.name in self._book.wishes:
            return
        own = self._schemas.own(entry.name)
        if own is not None:
            self._book.wish(entry.name, own.fingerprint, self._now())
            self._poke()

    def subscribers(self, entry: EventType) -> tuple[str, ...]:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        return self._book.subscribers(entry.name)

    def request(self, envelope: Envelope) -> bool:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self.wish(envelope.type)
        return self.requests.send(envelope)

    def ready(self) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self._book.ready(self._now())
        self._poke()

    def interest_changed(self) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self._book.own_changed(self._now())
        self._poke()
