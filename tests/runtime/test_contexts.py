"""Context variables: a handler sees what its node was started with, and nothing of publishers or other handlers."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from edri_sim import Node, Worker, handles, sleep
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
