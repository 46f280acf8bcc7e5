"""A durable node and one that hears it, on one loop, and the line between them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edri_sim import (
    DeadLetter,
    Manager,
    Node,
    Notification,
    Request,
    event,
    handles,
    part,
)
from edri_sim.links.connector import Connector
from edri_sim.links.fabric import Hub, HubPort
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.reports import FlowGap
from edri_sim.managers.worker import Delivery
from tests.worlds import quick


@event(name="durable.Note")
class Note(Notification):
    number: int
    text: str = ""


@event(name="durable.Double")
class Double(Request[int]):
    number: int


class Ear(Manager):
    def __init__(self, heard: list[tuple[int, Delivery]]) -> None:
        self.heard = heard

    @handles
    async def note(self, event: Note) -> None:
        self.heard.append((event.number, self.delivery))

    @handles
    async def double(self, event: Double) -> int:
        return 2 * event.number


class Reports(Manager):
    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.gaps: list[FlowGap] = []

    @handles
    async def letter(self, event: DeadLetter) -> None:
        self.letters.append(event)

    @handles
    async def gap(self, event: FlowGap) -> None:
        self.gaps.append(event)


class Pair:
    """Node a, durable, in each of its lives, and node b, which hears; their line may be cut."""

    def __init__(self, folder: Path) -> None:
        self.hub = Hub()
        self.heard: list[tuple[int, Delivery]] = []
        self.outboxes: list[DurableOutbox] = []
        self.reports = Reports()
        self.folder = folder
        self.line: HubPort | None = None

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.heard]

    def a(self, *parts: Any, durable: bool = True) -> Node:
        return Node("a", lambda: self.reports, *parts, durable=durable, uplink=self._uplink,
                    **quick(data=str(self.folder), drain_timeout=0.2))  # fmt: skip

    def _uplink(self, outbox: DurableOutbox | None) -> Connector:
        if outbox is not None:
            self.outboxes.append(outbox)
        return Connector(lambda *_: self.hub.port(), outbox=outbox)

    def b(self) -> Node:
        return Node("b", part(Ear, self.heard), uplink=lambda _: Connector(self._line), **quick())

    def _line(self, *_: object) -> HubPort:
        self.line = self.hub.port()
        return self.line

    def cut(self) -> None:
        assert self.line is not None
        self.line.unplug()

    def heal(self) -> None:
        assert self.line is not None
        self.line.plug()

    async def limit(self, more: int | None) -> None:
        """Let the database of a's present life grow by so many pages, or as it likes."""
        storage = self.outboxes[-1]._storage
        pages = (await storage.read("PRAGMA page_count"))[0][0]
        await storage.read(f"PRAGMA max_page_count = {pages + 1_000_000 if more is None else pages + more}")


MANY = list(range(1, 101))


async def publish(node: Node, numbers: Sequence[int], text: str = "") -> None:
    await asyncio.gather(*[node.notify(Note(number, text)) for number in numbers])
