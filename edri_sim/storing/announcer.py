"""Tells everybody who subscribes of what was committed, in its order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from edri_sim.errors import RequestError
from edri_sim.events import Notification
from edri_sim.logs import NodeLog

BEHIND = 1_000
"""How many notifications may wait to be published; with more, the store makes no more writes until they are fewer."""

Publish = Callable[[Notification], Coroutine[Any, Any, None]]


class Announcer:
    """Publishes notifications one after the other. Who is slow to take them is waited for, as anywhere."""

    def __init__(self, publish: Publish, log: NodeLog) -> None:
        self._publish = publish
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Notification] = deque()
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def announce(self, news: Sequence[Notification]) -> None:
        """Publish these after those that came before."""
        self._waiting.extend(news)
        if len(self._waiting) > BEHIND:
            self._room.clear()
        if self._waiting and self._task is None:
            self._task = self._loop.create_task(self._work(), name="store announces")

    @property
    def busy(self) -> bool:
        """Whether something is still to be published."""
        return self._task is not None

    async def room(self) -> None:
        """Return when no more than :data:`BEHIND` wait."""
        await self._room.wait()

    async def quiet(self) -> None:
        """Return when all is published."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Publish nothing more."""
        self._waiting.clear()
        self._room.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._publish_one(self._waiting.popleft())
                if len(self._waiting) <= BEHIND:
                    self._room.set()
        finally:
            self._task = None

    async def _publish_one(self, notification: Notification) -> None:
        try:
            await self._publish(notification)
        except RequestError as error:
            self._log.error("not everybody is told of a change: %s", error)
