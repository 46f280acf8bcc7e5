"""Context variables: a handler sees what its node was started with, and nothing of publishers or other handlers."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar
from dataclasses import dataclass

import pytest

from edri_sim import Node, Request, Worker, event, handles, sleep
from edri_sim.errors import HandlerError
from tests.runtime.cast import Ask
from tests.worlds import World, pool_of

colour: ContextVar[str] = ContextVar("colour", default="nothing")


class Plain(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        seen = [colour.get()]
        colour.set(event.text)
        sleep(0.001)
        return " ".join([*seen, colour.get()])


class NoWait(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        seen = [colour.get()]
        colour.set(event.text)
        return " ".join([*seen, colour.get()])


class Awaiting(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        seen = [colour.get()]
        colour.set(event.text)
        await asyncio.sleep(0.001)
        return " ".join([*seen, colour.get()])


@pytest.mark.parametrize("mode", ["method", "thread"])
@pytest.mark.parametrize("worker", [Plain, NoWait, Awaiting])
def test_a_handler_runs_in_a_copy_of_its_nodes_context(world: World, mode: str, worker: type[Worker]) -> None:
    async def publish(node: Node, text: str) -> str:
        colour.set("the publisher's")
        return await node.request(Ask(text), timeout=20)

    async def main() -> None:
        colour.set("the node's")
        async with Node("solo", pool_of(worker, mode, concurrency=4)) as node:
            replies = await asyncio.gather(*[publish(node, str(number)) for number in range(8)])
        assert replies == [f"the node's {number}" for number in range(8)]
        assert colour.get() == "the node's"

    world.run(main)


@dataclass(frozen=True)
class Album:
    title: str


@event
class Fetch(Request[Album]):
    title: str


class Lost(LookupError):
    """An exception of the user's, that can be watched."""


class Shelf(Worker):
    made: list[weakref.ref[object]]

    @handles
    async def fetch(self, event: Fetch) -> Album:
        result: Album | Lost = Album(event.title) if event.title else Lost()
        self.made.append(weakref.ref(result))
        if isinstance(result, Lost):
            raise result
        return result


class PlainShelf(Shelf):
    @handles
    def fetch(self, event: Fetch) -> Album:  # type: ignore[override]
        result = Album(event.title)
        self.made.append(weakref.ref(result))
        return result


@pytest.mark.parametrize(("worker", "titles"), [(Shelf, ["one", "", "two", ""]), (PlainShelf, ["one", "two"])])
def test_a_slot_that_waits_for_work_keeps_nothing_of_its_last(
    world: World, worker: type[Shelf], titles: list[str]
) -> None:
    worker.made = []

    async def main() -> None:
        async with Node("solo", pool_of(worker)) as node:
            for title in titles:
                if title:
                    assert (await node.request(Fetch(title))).title == title
                else:
                    with pytest.raises(HandlerError):
                        await node.request(Fetch(title))
                await asyncio.sleep(0.001)
                assert node._router is not None
                node._router._deadlines._compact()  # It keeps what has ended for a while.
                gc.collect()
                assert worker.made[-1]() is None

    world.run(main)
