"""The clients of the photo service: the same code for a real node and for a simulated one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from edri_sim.demo.photos import Card, Catalogue, Prepare
from edri_sim.errors import RequestError
from edri_sim.events import Request

R = TypeVar("R")

PATIENCE = 120.0
"""Seconds until a client gives a photo up."""


class Requester(Protocol):
    """What clients need of a node."""

    async def request(self, event: Request[R], *, timeout: float | None = None) -> R:
        """Send a request, return its reply."""


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks for what: ``clients`` take turns at the photos, each photo ``rounds`` times, ``width`` pixels wide."""

    photos: Sequence[str]
    rounds: int
    clients: int
    width: int

    @property
    def requests(self) -> int:
        """How many requests that makes."""
        return len(self.photos) * self.rounds


@dataclass(slots=True)
class Answers:
    """What the clients got: cards in the order of their coming, error texts by photo, and the catalogue at the end."""

    cards: list[Card] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    catalogue: dict[str, str] = field(default_factory=dict)


async def drive(node: Requester, load: Load) -> Answers:
    """Run a closed loop: each client asks for the next photo as soon as its last one is answered."""
    answers = Answers()
    waiting = deque(path for _ in range(load.rounds) for path in load.photos)
    async with asyncio.TaskGroup() as group:
        for _ in range(load.clients):
            group.create_task(_client(node, waiting, load.width, answers))
    answers.catalogue = await node.request(Catalogue(), timeout=PATIENCE)
    return answers


async def _client(node: Requester, waiting: deque[str], width: int, answers: Answers) -> None:
    while waiting:
        path = waiting.popleft()
        try:
            answers.cards.append(await node.request(Prepare(path, width), timeout=PATIENCE))
        except RequestError as error:
            answers.failed += 1
            answers.errors[path] = _short(error)


def _short(error: RequestError) -> str:
    """One line: for a handler's own error what it said, for any other its kind too."""
    words = str(error.args[0]).splitlines()[0]
    return words.partition("PhotoFailed: ")[2] or f"{type(error).__name__}: {words}"
