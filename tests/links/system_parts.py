"""What the routers of the whole-system model run, and the ledger in which they write what they saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import NamedTuple

from edri_sim import Manager, Notification, Request, event, handles
from edri_sim.envelope import current
from edri_sim.managers.manager import RunningManager
from edri_sim.routing.context import NodeContext
from edri_sim.routing.router import Router


@event
class Note(Notification):
    """The ``number``-th event that a life of ``source`` published."""

    source: str
    life: int
    number: int


@event(name="system.Ask")
class Ask(Request[int]):
    """Answered with its number; handled once at most, whatever happens."""

    source: str
    life: int
    number: int


@event(name="system.AskAgain", idempotent=True)
class AskAgain(Request[int]):
    """As Ask, but another provider may be asked when the first is lost."""

    source: str
    life: int
    number: int


class Seen(NamedTuple):
    """One event at one handler: who published it, in which life, and as which number."""

    source: str
    life: int
    number: int
    redelivered: bool = False

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells the event from any other."""
        return self[:3]


class Life(NamedTuple):
    """One life of a router."""

    name: str
    number: int


class Ledger:
    """What was published, by whom, and what came of it."""

    def __init__(self) -> None:
        self.actors: dict[str, Actor] = {}
        self.incarnations: dict[Life, int] = {}
        self.numbers: Counter[Life] = Counter()
        self.accepted: dict[Life, list[int]] = {}
        """The numbers of the notes whose publication has returned."""
        self.notes: dict[Life, list[Seen]] = {}
        self.asks: Counter[tuple[str, int, int]] = Counter()
        self.asks_again: Counter[tuple[Life, tuple[str, int, int]]] = Counter()
        self.ends: Counter[str] = Counter()
        """How requests ended."""

    def born(self, actor: Actor) -> Life:
        """A router began a life."""
        lives = [life.number for life in self.incarnations if life.name == actor.name]
        life = Life(actor.name, len(lives) + 1)
        self.actors[actor.name] = actor
        self.notes[life] = []
        self.accepted[life] = []
        return life


class Actor(Manager):
    """Publishes and asks for the load, and wants nothing itself."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self.router: Router
        self._turn = asyncio.Lock()

    def run_on(self, context: NodeContext) -> RunningManager:
        """Begin a life of the router."""
        self.router = context.router
        self.life = self.ledger.born(self)
        self.ledger.incarnations[self.life] = context.router.origin.incarnation
        return super().run_on(context)

    def _next(self) -> tuple[str, int, int]:
        self.ledger.numbers[self.life] += 1
        return self.name, self.life.number, self.ledger.numbers[self.life]

    async def publish(self) -> None:
        """Publish a note when its turn has come, and write down that it was accepted.

        One after the other: those that wait until the subscribers are known may be overtaken by those of another task.
        """
        async with self._turn:
            note = Note(*self._next())
            await self.notify(note)
            self.ledger.accepted[self.life].append(note.number)

    async def ask(self, kind: type[Ask | AskAgain], timeout: float) -> bool:
        """Ask somebody; whether the right answer came. Raises RequestError."""
        question = kind(*self._next())
        return await self.request(question, timeout=timeout) == question.number


class Listener(Actor):
    """An actor that wants notes."""

    @handles
    async def on_note(self, event: Note) -> None:
        job = current.get()
        assert job is not None
        seen = Seen(event.source, event.life, event.number, job.envelope.redelivered)
        self.ledger.notes[self.life].append(seen)


class Reader(Listener):
    """A listener that answers questions, too."""

    @handles
    async def on_ask(self, event: Ask) -> int:
        self.ledger.asks[event.source, event.life, event.number] += 1
        return event.number

    @handles
    async def on_ask_again(self, event: AskAgain) -> int:
        self.ledger.asks_again[self.life, (event.source, event.life, event.number)] += 1
        return event.number
