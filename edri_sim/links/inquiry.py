"""What this router sends and wants, made known: to the fabric, which introduces it, and to whom it is introduced to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edri_sim.events import EventType
from edri_sim.links.changes import Changes
from edri_sim.links.fabric import Fabric
from edri_sim.links.interest import InterestBook
from edri_sim.links.schemas import Schemas
from edri_sim.routing.context import NodeContext
from edri_sim.routing.table import OWN


class Inquiry:
    """``wanted(type)`` says whether anybody here wants it now."""

    def __init__(
        self, node: NodeContext, book: InterestBook, schemas: Schemas, fabric: Fabric, *,
        wanted: Callable[[str], bool], changes: Changes, poke: Callable[[], None],
    ) -> None:  # fmt: skip
        self._grace = node.settings.route_grace
        self._table = node.router.table
        self._loop = node.loop
        self._book = book
        self._schemas = schemas
        self._fabric = fabric
        self._wanted = wanted
        self._changes = changes
        self._poke = poke
        self._due = False

    def asked(self, entry: EventType) -> bool:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        return not self._due and self._fabric.sought and self._book.asked(entry.name)

    async def ask(self, entry: EventType) -> None:
        """See :class:`~edri_sim.routing.uplink.Uplink`."""
        self.wish(entry)
        try:
            async with asyncio.timeout(self._grace):
                while not self.asked(entry):
                    await self._changes.next()
        except TimeoutError:
            self._book.excuse()
            self._fabric.excuse()
            self._table.forget()

    def wish(self, entry: EventType) -> None:
        """This node sends events of a type: have the others say what they want of it."""
        if entry.name in self._book.wishes:
            return
        own = self._schemas.own(entry.name)
        if own is not None:
            self._book.wish(entry.name, own.fingerprint, self._loop.time())
            self.renew()

    def own_changed(self) -> None:
        """What this router wants has changed."""
        self._book.own_changed(self._loop.time())
        self.renew()

    def renew(self) -> None:
        """Have the fabric know what this router sends and wants by the end of this turn."""
        self._due = True
        self._poke()

    def seek(self) -> None:
        """Tell the fabric, if there is anything new."""
        if self._due:
            self._due = False
            known = self._table.types.by_name
            wants = tuple(type_ for type_ in known if not type_.startswith(OWN) and self._wanted(type_))
            self._fabric.seek(tuple(self._book.wishes), wants)
