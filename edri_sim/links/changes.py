"""Waiting until anything happens on the line."""

from __future__ import annotations

import asyncio


class Changes:
    """Wakes all who wait when something has happened; ``waiting`` counts them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.waiting = 0
        self._loop = loop
        self._next: asyncio.Future[None] | None = None

    async def next(self) -> None:
        """Return when something has happened."""
        if self._next is None:
            self._next = self._loop.create_future()
        await self.until(self._next)

    async def until(self, change: asyncio.Future[None]) -> None:
        """Return when ``change`` is done, of which others may wait, too."""
        self.waiting += 1
        try:
            await asyncio.shield(change)
        finally:
            self.waiting -= 1

    def tell(self) -> None:
        """Something has happened."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
