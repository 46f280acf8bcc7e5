"""Events and parts that many tests use; light, for process workers import this module too."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from edri_sim import DeadLetter, Manager, Notification, Request, Worker, event, handles
from edri_sim.errors import RequestCancelled


@event
class Ask(Request[str]):
    text: str = ""


@event
class Told(Notification):
    number: int = 0


@event
class Enter(Request[None]):
    """A handler asks the test for leave to go on."""

    who: str = ""


@dataclass(frozen=True)
class Where:
    """Which process answered, and how many answers it has given."""

    pid: int
    count: int


@event
class Locate(Request[Where]):
    pass


class Gate(Manager):
    """Answers Enter when the test opens it: how a test holds handlers up, whatever mode and loop they run on."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting: list[str] = []

    @handles
    async def enter(self, event: Enter) -> None:
        self.waiting.append(event.who)
        await self.opened.wait()

    def open(self) -> None:
        self.opened.set()


class Ear(Manager):
    """Keeps every notification of type Told."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def told(self, event: Told) -> None:
        self.heard.append(event.number)


class Letters(Manager):
    """Keeps the dead letters."""

    def __init__(self) -> None:
        self.list: list[DeadLetter] = []

    @handles
    async def dead(self, event: DeadLetter) -> None:
        self.list.append(event)


class Echo(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


class PlainEcho(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        return event.text


class Held(Worker):
    """Asks for leave before it answers."""

    @handles
    async def ask(self, event: Ask) -> str:
        await self.request(Enter(event.text))
        return event.text

    @handles
    async def told(self, event: Told) -> None:
        await self.request(Enter(str(event.number)))


class PlainHeld(Worker):
    """As Held, in blocking code."""

    @handles
    def ask(self, event: Ask) -> str:
        self.blocking.request(Enter(event.text))
        return event.text

    @handles
    def told(self, event: Told) -> None:
        self.blocking.request(Enter(str(event.number)))


class Tracker(Worker):
    """Says which process it is in."""

    def __init__(self) -> None:
        self.count = 0

    @handles
    def locate(self, event: Locate) -> Where:
        self.count += 1
        return Where(os.getpid(), self.count)


@event
class Recall(Request[list[str]]):
    """Answered with what the worker has seen."""


class Witness(Worker):
    """Remembers how its handler ended."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles
    async def ask(self, event: Ask) -> str:
        self.seen.append(f"began {event.text}")
        try:
            await self.request(Enter(event.text))
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        return event.text

    @handles
    async def recall(self, event: Recall) -> list[str]:
        return self.seen


class PlainWitness(Worker):
    """As Witness, in blocking code, and tries to go on after it was cancelled."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles
    def ask(self, event: Ask) -> str:
        self.seen.append(f"began {event.text}")
        try:
            self.blocking.request(Enter(event.text))
        except RequestCancelled as error:
            self.seen.append(type(error).__name__)
        try:
            self.blocking.notify(Told(1))
        except RequestCancelled as error:
            self.seen.append(f"still {type(error).__name__}")
        return "too late"

    @handles
    def recall(self, event: Recall) -> list[str]:
        return self.seen


class Reader(PlainWitness):
    """Remembers what it was told of the end of its request."""

    @handles
    def ask(self, event: Ask) -> str:
        for call in (lambda: self.blocking.request(Enter(event.text)), lambda: self.blocking.notify(Told(1))):
            try:
                call()
            except RequestCancelled as error:
                self.seen.append(str(error))
        return "too late"


class Hasty(Worker):
    """Gives a time-out that is none."""

    @handles
    async def ask(self, event: Ask) -> str:
        return await self.request(Ask(), timeout="1 s")  # type: ignore[arg-type]
