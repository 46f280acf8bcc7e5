"""A press that breaks: it is replaced, given up for a while, and tried again; an auditor watches all of it.

    python examples/supervised/simulate.py    # one shift in simulated time
    python examples/supervised/hurry.py       # the same press in real time, a thousand times as fast

The press is a worker with a die that wears out: once it has cracked, the worker says that it is broken. Whoever orders
a part tries again, for to press a part twice does no harm. When the dies that come from the store are bad, too,
the pool fails: its orders are turned away at once, until a new press has stood its trial.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edri_sim import Manager, Node, Pool, Request, Worker, event, handles, observes, part
from edri_sim.supervision import HealthChanged, Observation, Retry, WorkerBroken


@event(idempotent=True)
class Press(Request[int]):
    """Press one part; the reply is how many this die has pressed."""

    part: int


@dataclass
class Store:
    """The dies: each presses so many parts until it cracks. ``pace`` is how many seconds one part takes."""

    lives: list[int]
    pace: float = 1.0
    given: int = 0

    def next_die(self) -> int:
        """The parts that the next die will press; the last kind is never out of stock."""
        self.given += 1
        return self.lives[min(self.given, len(self.lives)) - 1]


class Presser(Worker):
    """One press. Each start puts a new die in."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def start(self) -> None:
        self.left = self.store.next_die()
        self.pressed = 0

    @handles
    async def press(self, event: Press) -> int:
        await asyncio.sleep(self.store.pace)
        if not self.left:
            raise WorkerBroken("the die has cracked")
        self.left -= 1
        self.pressed += 1
        return self.pressed


def hall(store: Store) -> type[Manager]:
    """The hall with its press; more than two cracked dies within 60 parts' time are too many."""

    class Hall(Manager):
        presses = Pool(Presser, args=(store,), restarts=2, within=60 * store.pace)

        async def health(self) -> str:
            return "ok" if store.given < 10 else f"{store.given} dies are used up: order new ones"

    return Hall


@dataclass
class Book:
    """What the auditor writes down."""

    pressed: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)


class Auditor(Manager):
    """Sees each order and its end, and is told of the press's health. It is asked by nobody, and slows nobody down."""

    def __init__(self, book: Book) -> None:
        self.book = book

    @observes
    async def order(self, seen: Observation[Press]) -> None:
        if seen.error is None:
            self.book.pressed += 1
        else:
            name = type(seen.error).__name__
            self.book.failed[name] = self.book.failed.get(name, 0) + 1

    @handles
    async def changed(self, event: HealthChanged) -> None:
        self.book.states.append(event.state)


DIES = [20, 20, 0, 0, 0, 0, 0, 1_000]
"""Two dies that are well, five that crack at once, and then a good one."""
PARTS = 200


async def shift(pace: float) -> None:
    """Order the parts of one shift, one after the other, and print what the auditor has seen of it."""
    store, book = Store(DIES, pace), Book()
    retry = Retry(attempts=20, delay=pace, delay_max=10 * pace)
    delays = {"restart_delay": pace / 10, "restart_delay_max": 10 * pace, "route_grace": pace}
    async with Node("works", hall(store), part(Auditor, book), **delays) as node:
        done = [await node.request(Press(number), timeout=500 * pace, retry=retry) for number in range(PARTS)]
        await asyncio.sleep(60 * pace)
        health = await node.health()
        presses = health.parts[0].pools[0]
    print(f"{len(done)} parts were ordered, and all of them pressed, with {store.given} dies")
    print(f"the auditor has seen {book.pressed} orders end well, and failed attempts: {book.failed}")
    print(f"the presses were {', then '.join(book.states)}; {presses.restarts} were replaced")
    print(f"in the end the node is {health.state}")
