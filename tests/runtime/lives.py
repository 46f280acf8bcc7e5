"""Workers that start and stop in all ways; light, for process workers import this module too."""

from __future__ import annotations

import asyncio

from edri_sim import Request, Worker, event, handles
from tests.runtime.cast import Ask, Told


@event
class Story(Request[list[str]]):
    """Answered with what has happened to the worker."""


class Storied(Worker):
    def __init__(self, first: str, *, second: str = "default") -> None:
        self.story = [first, second]

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.story.append("started")

    async def stop(self) -> None:
        self.log.warning("stopped %s", self.story[0])

    @handles
    async def tell(self, event: Story) -> list[str]:
        return self.story


class Refusing(Worker):
    """Does not start."""

    async def start(self) -> None:
        raise LookupError("no such model")

    @handles
    async def tell(self, event: Story) -> list[str]:
        return []


class Unmade(Worker):
    def __init__(self) -> None:
        raise LookupError("no such model")

    @handles
    async def tell(self, event: Story) -> list[str]:
        return []


class BadStop(Worker):
    async def stop(self) -> None:
        raise LookupError("cannot stop")

    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


class Announcer(Worker):
    async def start(self) -> None:
        await self.notify(Told(42))

    @handles
    async def ask(self, event: Ask) -> str:
        return event.text
