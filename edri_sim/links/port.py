"""The connector as its node's router sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edri_sim.envelope import Envelope
from edri_sim.events import EventType
from edri_sim.links.changes import Changes
from edri_sim.links.inquiry import Inquiry
from edri_sim.links.interest import InterestBook
from edri_sim.links.publisher import Publisher
from edri_sim.links.requests import Requests
from edri_sim.routing.context import NodeContext


class RouterPort:
    """The uplink of a router: see :class:`~edri_sim.routing.uplink.Uplink`."""

    def __init__(
        self, node: NodeContext, book: InterestBook, inquiry: Inquiry, publisher: Publisher, requests: Requests,
        changes: Changes, *, poke: Callable[[], None],
    ) -> None:  # fmt: skip
        self.notify = publisher.notify
        self.asked, self.ask, self.wish = inquiry.asked, inquiry.ask, inquiry.wish
        self.interest_changed = inquiry.own_changed
        self._now = node.loop.time
        self._book = book
        self.requests = requests
        self._changes = changes
        self._poke = poke

    async def until(self, entry: EventType, change: asyncio.Future[None]) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self.wish(entry)
        await self._changes.until(change)

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
