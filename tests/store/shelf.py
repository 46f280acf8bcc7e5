"""What tests of the store keep in it, and who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from edri_sim import Manager, Node, Store, handles, part
from edri_sim.storing import Changed, Opened
from tests.worlds import quick


class Config(msgspec.Struct, frozen=True):
    """A value of a type of one's own."""

    limit: int
    hosts: tuple[str, ...] = ()


class Listener(Manager):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Changed] = []
        self.opened: list[Opened] = []

    @handles
    async def on_changed(self, event: Changed) -> None:
        self.heard.append(event)

    @handles
    async def on_opened(self, event: Opened) -> None:
        self.opened.append(event)


class Copy(Manager):
    """Has a copy of what is stored under a prefix, by a watch."""

    def __init__(self, prefix: str) -> None:
        self.held: dict[str, tuple[Any, int]] = {}
        self._prefix = prefix

    async def start(self) -> None:
        self.held.clear()
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        self._task.cancel()

    async def _follow(self) -> None:
        async with Store.watch(self, self._prefix) as updates:
            async for update in updates:
                _, before = self.held.pop(update.key, (None, 0))
                assert update.version > before
                if update.cause == "set":
                    self.held[update.key] = (update.value, update.version)


@asynccontextmanager
async def solo(*parts: Any, data: object = "", **arguments: Any) -> AsyncIterator[Node]:
    """A node with a store; with ``data``, a folder, what it holds stays there."""
    storage = "values" if data else None
    async with Node("solo", part(Store, storage=storage, **arguments), *parts, **quick(data=str(data))) as node:
        yield node
