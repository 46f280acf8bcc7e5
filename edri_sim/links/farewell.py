"""What a router that leaves waits for: that the others know, and that what they had for it by then has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from edri_sim.links.flow.receive import ACK_WITHIN
from edri_sim.links.inlet import Inlet
from edri_sim.links.interest import InterestBook

WITHIN = 1.0
"""Seconds that the others have to take note."""
LINGER = ACK_WITHIN + 0.03
"""Seconds without an event after which no more is expected, at least: a sender may have to be acknowledged first."""


class Farewell:
    """``changed()`` returns when something has happened."""

    def __init__(
        self, book: InterestBook, inlet: Inlet, now: Callable[[], float],
        changed: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:  # fmt: skip
        self._book = book
        self._inlet = inlet
        self._now = now
        self._changed = changed
        self._linger = LINGER
        self.begun = False
        self._known = False

    @property
    def under_way(self) -> bool:
        """Whether more may come."""
        return self.begun and (not self._known or self._rest() > 0)

    def _rest(self) -> float:
        return self._inlet.moved_at + self._linger - self._now()

    def begin(self) -> None:
        """This router wants nothing any more: tell the others, and then have them say that they know."""
        self.begun = True
        self._book.own_changed(self._now())
        self._book.revise(self._now())

    async def over(self) -> None:
        """Return once no more comes, or the others keep silent."""
        if not self._known:
            await self._taken_note_of()
        rest = self._rest()
        while rest > 0:
            await asyncio.sleep(rest)
            rest = self._rest()

    async def _taken_note_of(self) -> None:
        began = self._now()
        with suppress(TimeoutError):  # Who is mute takes no note, and sends nothing either.
            async with asyncio.timeout(WITHIN):
                while not self._book.answered():
                    await self._changed()
        self._linger = max(LINGER, min(2 * (self._now() - began), WITHIN))
        self._known = True
