"""Requests that wait for room at full providers go to a provider that comes later, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from edri_sim import Manager, Node, handles
from edri_sim.envelope import Envelope
from edri_sim.host import current_host
from edri_sim.links.switch import Switch
from edri_sim.settings import Settings
from tests.realtime.programs import free_address
from tests.runtime.cast import Ask, Told
from tests.worlds import World, turns, until


class Actor(Manager):
    """Takes one event at a time and has no queue, so that whoever else comes waits for room; ends when it is opened."""

    concurrency = 1
    queue = 0

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.opened = asyncio.Event()

    @handles
    async def ask(self, event: Ask) -> str:
        self.seen.append(event.text)
        await self.opened.wait()
        return type(self).__name__

    @handles
    async def told(self, event: Told) -> None:
        self.seen.append(str(event.number))


class First(Actor):
    pass


class Late(Actor):
    """Subscribes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.come = asyncio.Event()

    async def start(self) -> None:
        await self.come.wait()


class Roomy(Late):
    queue = 2


class Asker(Manager):
    """Publishes while the node still starts."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[str]] = []

    async def ask(self, texts: str) -> list[asyncio.Future[str]]:
        asked = [asyncio.ensure_future(self.request(Ask(text), timeout=20)) for text in texts]
        self.asked += asked
        await turns(5)
        return asked


@asynccontextmanager
async def starting(first: First, asker: Asker, late: Late) -> AsyncIterator[Node]:
    """A node whose last part has still to start."""
    node = Node("solo", lambda: first, lambda: asker, lambda: late)
    start = asyncio.ensure_future(node.start())
    await until(lambda: asker._port)
    try:
        yield node
        await start
        await asyncio.gather(*asker.asked)
    finally:
        await node.stop()


async def appear(late: Late) -> None:
    late.come.set()
    await turns(10)


def test_what_waits_for_room_goes_to_a_provider_that_comes_later_in_order(world: World) -> None:
    async def main() -> None:
        first, asker, late = First(), Asker(), Roomy()
        async with starting(first, asker, late):
            asked = await asker.ask("abcd")
            await appear(late)
            late.opened.set()
            assert await asyncio.gather(*asked[1:]) == ["Roomy"] * 3
            assert (first.seen, late.seen) == (["a"], ["b", "c", "d"])
            first.opened.set()

    world.run(main)


def test_what_finds_no_room_there_either_waits_at_both_and_before_what_comes_later(world: World) -> None:
    async def main() -> None:
        first, asker, late = First(), Asker(), Late()
        async with starting(first, asker, late):
            await asker.ask("abc")
            await appear(late)
            await asker.ask("def")
            assert (first.seen, late.seen) == (["a"], ["b"])
            late.opened.set()
            await until(lambda: len(late.seen) == 5)
            assert late.seen == ["b", "c", "d", "e", "f"]
            await asker.ask("g")
            first.opened.set()

    world.run(main)


def test_they_keep_their_places_where_they_waited(world: World) -> None:
    """A request that stays does not fall behind the notification that came after it."""

    async def main() -> None:
        first, asker, late = First(), Asker(), Late()
        async with starting(first, asker, late):
            await asker.ask("abc")
            telling = asyncio.ensure_future(asker.notify(Told(1)))
            await turns(5)
            await appear(late)
            assert late.seen == ["b"]
            first.opened.set()
            await telling
            await until(lambda: len(first.seen) == 3)
            assert first.seen == ["a", "c", "1"]
            late.opened.set()

    world.run(main)


def test_a_provider_on_another_node_that_appears_takes_what_waits_here(world: World) -> None:
    async def main() -> None:
        first, there = First(), Roomy()
        there.come.set()
        hub = "main:7000" if world.simulated else free_address()
        host = current_host(asyncio.get_running_loop(), Settings())
        async with (
            Switch("hub", hub, host),
            Node("here", lambda: first, switches=[hub]) as here,
        ):
            asked = [asyncio.ensure_future(here.request(Ask(text), timeout=20)) for text in "abc"]
            await until(lambda: first.seen)
            async with Node("elsewhere", lambda: there, switches=[hub]):
                there.opened.set()
                assert await asyncio.gather(*asked[1:]) == ["Roomy"] * 2
                assert (first.seen, there.seen) == (["a"], ["b", "c"])
            first.opened.set()
            assert await asked[0] == "First"

    world.run(main)


class Crowded:
    """An uplink with one provider whose outbox is full, so that the requests given to it wait for room there."""

    label = "solo/uplink"

    def __init__(self) -> None:
        self.given: list[Envelope] = []

    def asked(self, _: Any) -> bool:
        return True

    def subscribers(self, _: Any) -> tuple[str, ...]:
        return ()

    def request(self, envelope: Envelope) -> bool:
        self.given.append(envelope)
        envelope.holder = self
        return True

    def runs(self, _: Envelope) -> bool:
        return False

    def abandon(self, envelope: Envelope) -> None:
        self.given.remove(envelope)


def test_what_waits_for_another_router_waits_here_no_more(world: World) -> None:
    """Or both could get it."""

    async def main() -> None:
        first, uplink = First(), Crowded()
        async with Node("solo", lambda: first) as node:
            asked = [asyncio.ensure_future(node.request(Ask(text), timeout=20)) for text in "abc"]
            await until(lambda: first.seen)
            router = node._router
            assert router is not None
            router.join(uplink)  # type: ignore[arg-type]
            assert [envelope.event.text for envelope in uplink.given] == ["b", "c"]
            router.join(None)
            first.opened.set()
            assert await asked[0] == "First"
            await turns(10)
            assert first.seen == ["a"]
            for envelope in uplink.given:
                router.reply(envelope, "there")
            assert await asyncio.gather(*asked[1:]) == ["there"] * 2

    world.run(main)
