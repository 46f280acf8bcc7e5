"""Workers that call the runtime from blocking code; light, for process workers import this module too."""

from __future__ import annotations

import asyncio

from edri_sim import Manager, Request, Worker, event, handles, sleep
from tests.runtime.cast import Ask, Enter, Told


@event
class Chain(Request[list[str]]):
    """Makes its handler use every blocking call there is."""

    depth: int = 0


@event
class Misuse(Request[str]):
    """Makes an async handler use a blocking call; answered with what that says."""

    call: str


class Caller(Worker):
    """Sleeps, asks and tells, in blocking code."""

    @handles
    def chain(self, event: Chain) -> list[str]:
        sleep(0.001)
        answer = self.blocking.request(Ask("from the handler"), timeout=5)
        self.blocking.notify(Told(7))
        try:
            self.blocking.request(Ask("refuse"), timeout=5)
        except Exception as error:
            return [answer, type(error).__name__]
        return [answer, "no error"]


class AsyncCaller(Worker):
    """The same, awaited."""

    @handles
    async def chain(self, event: Chain) -> list[str]:
        await asyncio.sleep(0.001)
        answer = await self.request(Ask("from the handler"), timeout=5)
        await self.notify(Told(7))
        try:
            await self.request(Ask("refuse"), timeout=5)
        except Exception as error:
            return [answer, type(error).__name__]
        return [answer, "no error"]

    @handles
    async def misuse(self, event: Misuse) -> str:
        calls = {
            "sleep": lambda: sleep(1),
            "request": lambda: self.blocking.request(Ask("x")),
            "notify": lambda: self.blocking.notify(Told(1)),
        }
        try:
            calls[event.call]()
        except RuntimeError as error:
            return str(error)
        return "nothing"


class Answering(Manager):
    """Answers the calls of the handlers, and keeps what they tell."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def ask(self, event: Ask) -> str:
        if event.text == "refuse":
            raise LookupError("refused")
        return f"answer to {event.text}"

    @handles
    async def told(self, event: Told) -> None:
        self.heard.append(event.number)


class Recursive(Worker):
    """Asks itself, in blocking code, until it is deep enough."""

    @handles
    def chain(self, event: Chain) -> list[str]:
        if event.depth == 0:
            return ["bottom"]
        return [*self.blocking.request(Chain(event.depth - 1)), str(event.depth)]


class Sleepy(Worker):
    """Waits in blocking code until the test says so."""

    @handles
    def ask(self, event: Ask) -> str:
        self.blocking.request(Enter(event.text))
        return event.text

    @handles
    def chain(self, event: Chain) -> list[str]:
        return ["meanwhile"]
