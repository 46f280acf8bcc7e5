"""A durable store that is written to, and is killed: each life notes what it found, and what was acknowledged to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from edri_sim import Node, Store, part
from edri_sim.storing import StoreClient
from tests.store.planted import planted

WRITERS = 8
COPIES = 2_000
"""A value is a number so many times over: half of it would be seen."""


async def keep(folder: Path, plant: str) -> None:
    diary = os.open(folder / "diary", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(*words: object) -> None:
        """By one system call: a line is there, or it is not, whenever the process is killed."""
        os.write(diary, (" ".join(map(str, words)) + "\n").encode())

    with ExitStack() as plants:
        if plant:
            plants.enter_context(planted(plant))
        async with Node("ledger", part(Store, storage="values"), data=str(folder), route_grace=0.01) as node:
            store = Store.of(node)
            note("found", "total", await store.get("total", int) or 0)
            numbers = [await found(store, note, writer) for writer in range(WRITERS)]
            note("began")
            await asyncio.gather(*[write(store, note, writer, numbers[writer]) for writer in range(WRITERS)])


async def found(store: StoreClient, note: Callable[..., None], writer: int) -> int:
    """The number that a writer's key has, the same in all its copies."""
    value = await store.get(f"writer/{writer}", list[int]) or [0] * COPIES
    assert value == value[:1] * COPIES
    note("found", writer, value[0])
    return value[0]


async def write(store: StoreClient, note: Callable[..., None], writer: int, number: int) -> None:
    for following in count(number + 1):
        await store.set(f"writer/{writer}", [following] * COPIES)
        note("acknowledged", writer, following)
        note("acknowledged", "total", (await store.increment("total")).value)


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), sys.argv[2]))
