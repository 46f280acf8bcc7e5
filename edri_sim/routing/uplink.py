"""What a router asks of whatever joins it to other routers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from edri_sim.envelope import Envelope
from edri_sim.events import EventType


class Uplink(Protocol):
    """The line to the other routers; a connector is one."""

    def asked(self, entry: EventType) -> bool:
        """Whether the others that can be reached have said what they want of this type."""

    async def until(self, entry: EventType, change: asyncio.Future[None]) -> None:
        """Ask them, and wait for ``change``; a simulation goes on meanwhile as long as it may come."""

    async def ask(self, entry: EventType) -> None:
        """Ask them, and return when they have said it, or have kept silent for ``route_grace``."""

    def subscribers(self, entry: EventType) -> tuple[str, ...]:
        """The routers that want, or provide, events of this type, reachable or not."""

    def notify(self, envelope: Envelope, peers: Sequence[str]) -> Awaitable[None] | None:
        """Take a notification for these routers; what is returned, if anything, ends once it has its place for all.

        Raises:
            CodecError: the event does not fit its declaration.
            EventTooLarge: it is too large to travel.
        """

    def request(self, envelope: Envelope) -> bool:
        """Take a request for a router that provides it and can be reached; False if there is none."""

    def interest_changed(self) -> None:
        """This router wants something new, or wants something no more."""

    def ready(self) -> None:
        """All parts of this node have started: what this router wants now is no beginning, but all of it."""
