"""Workers that raise and return what they should not; light, for process workers import this module too."""

from __future__ import annotations

import asyncio
from typing import Any

from edri_sim import Request, Worker, event, handles
from tests.runtime.cast import Ask, Told


class Trouble(ValueError):
    """An exception of the user's."""


class Faulty(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        raise Trouble(f"cannot {event.text}")  # the user's line

    @handles
    async def told(self, event: Told) -> None:
        raise Trouble(f"told {event.number}")


class PlainFaulty(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        raise Trouble(f"cannot {event.text}")  # the user's line

    @handles
    def told(self, event: Told) -> None:
        raise Trouble(f"told {event.number}")


@event
class Rude(Request[str]):
    """Raises something that is no Exception."""

    how: str


class RudeWorker(Worker):
    @handles
    async def rude(self, event: Rude) -> str:
        raise RUDE[event.how]("rude")

    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


class PlainRudeWorker(Worker):
    @handles
    def rude(self, event: Rude) -> str:
        raise RUDE[event.how]("rude")

    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


class Odd(BaseException):
    """Neither an Exception nor one of Python's own."""


RUDE: dict[str, type[BaseException]] = {
    "exit": SystemExit,
    "odd": Odd,
    "cancelled": asyncio.CancelledError,
    "generator": GeneratorExit,
    "stop": StopIteration,
}


@event
class Count(Request[int]):
    """Answered with what is no int."""

    what: str = "text"


class Wrong(Worker):
    @handles
    def count(self, event: Count) -> int:
        answers: dict[str, Any] = {"text": "twelve", "flag": True, "none": None, "object": object()}
        return answers[event.what]  # type: ignore[no-any-return]


@event
class Pair(Request[dict[str, list[int]]]):
    pass


class PairWorker(Worker):
    @handles
    def pair(self, event: Pair) -> dict[str, list[int]]:
        return {"a": [1, "two"]}  # type: ignore[list-item]
