"""What a node gives its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edri_sim.host import Host
from edri_sim.logs import NodeLog
from edri_sim.routing.health import PartHealth
from edri_sim.routing.retrying import NodePort
from edri_sim.routing.router import Router
from edri_sim.routing.turn import Turn
from edri_sim.settings import Settings


@dataclass(frozen=True, slots=True)
class NodeContext:
    """One life of a node, as its parts see it."""

    name: str
    host: Host
    loop: asyncio.AbstractEventLoop
    router: Router
    turn: Turn
    settings: Settings
    log: NodeLog
    port: NodePort


class RunningPart(Protocol):
    """A part of a node, from start to stop."""

    @property
    def busy(self) -> bool:
        """Whether it has events queued or in handlers."""

    async def start(self) -> None:
        """Begin to take events. Raises what the part's own start raises."""

    def leave(self) -> None:
        """The node is about to stop: take nothing new from other nodes."""

    async def settled(self) -> None:
        """Return once all that it was to send to other nodes was taken there, or given up."""

    async def health(self) -> PartHealth:
        """How it is doing now."""

    def overfull(self) -> Iterator[str]:
        """What holds more now than its bounds allow, in words: an invariant, there is never any."""

    async def quiet(self) -> None:
        """Return when the part is not busy."""

    async def stop(self) -> None:
        """Give up what is left, and leave nothing behind."""


class Part(Protocol):
    """What a part's factory makes."""

    def run_on(self, context: NodeContext) -> RunningPart:
        """Bind the part to one life of a node."""
