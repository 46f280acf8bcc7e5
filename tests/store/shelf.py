"""What tests of the store keep in it, and who listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from edri_sim import Manager, Node, Store, handles, part
from edri_sim.errors import RequestError
from edri_sim.storing import Changed, Opened, Update
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
    """Has a copy of what is stored under a prefix, by watches; ``late``: what it was told too late, knowing better."""

    def __init__(self, prefix: str) -> None:
        self.held: dict[str, tuple[Any, int]] = {}
        self.late: list[Update[Any]] = []
        self._prefix = prefix

    async def start(self) -> None:
        self._latest: dict[str, int] = {}
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        self._task.cancel()

    async def _follow(self) -> None:
        while True:
            with suppress(RequestError):
                await self._watch()
            await asyncio.sleep(0.1)

    async def _watch(self) -> None:
        async with Store.watch(self, self._prefix) as updates:
            self.held.clear()
            async for update in updates:
                self._take(update)

    def _take(self, update: Update[Any]) -> None:
        known = self.held.pop(update.key, None)
        # What a new watch begins with may be known from the one before.
        if update.version < self._latest.get(update.key, 0) + (known is not None):
            self.late.append(update)
        self._latest[update.key] = update.version
        if update.cause == "set":
            self.held[update.key] = (update.value, update.version)


@asynccontextmanager
async def solo(*parts: Any, data: object = "", **arguments: Any) -> AsyncIterator[Node]:
    """A node with a store; with ``data``, a folder, what it holds stays there."""
    storage = "values" if data else None
    async with Node("solo", part(Store, storage=storage, **arguments), *parts, **quick(data=str(data))) as node:
        yield node
