"""Actors that wait for each other: the deadline ends it, and the error names the cycle."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Notification, Request, event, handles
from edri_sim.errors import DeadlineExceeded, HandlerError, RequestError
from tests.worlds import World, records, until


@event
class ToA(Request[str]):
    path: str = ""


@event
class ToB(Request[str]):
    path: str = ""


@event
class ToC(Request[str]):
    path: str = ""


@event
class Start(Notification):
    pass


class A(Manager):
    concurrency = 1
    two = False

    @handles
    async def a(self, event: ToA) -> str:
        return await self.request(ToB(f"{event.path}a"))

    @handles
    async def start_here(self, event: Start) -> None:
        await self.request(ToB("started"), timeout=0.1)


class B(Manager):
    concurrency = 1

    @handles
    async def b(self, event: ToB) -> str:
        return await self.request(ToC(f"{event.path}b"))


class C(Manager):
    concurrency = 1

    @handles
    async def c(self, event: ToC) -> str:
        return await self.request(ToA(f"{event.path}c"))


class ShortC(Manager):
    """Answers ToB by asking A: a cycle of two."""

    concurrency = 1

    @handles
    async def b(self, event: ToB) -> str:
        return await self.request(ToA(f"{event.path}c"))


class Alone(Manager):
    """Asks itself."""

    concurrency = 1

    @handles
    async def a(self, event: ToA) -> str:
        return await self.request(ToA("again"))


CYCLES = [
    ([Alone], "solo/Alone -> solo/Alone"),
    ([A, ShortC], "solo/A -> solo/ShortC -> solo/A"),
    ([A, B, C], "solo/A -> solo/B -> solo/C -> solo/A"),
]


@pytest.mark.parametrize(("managers", "cycle"), CYCLES)
def test_a_cycle_of_requests_ends_at_its_deadline_with_an_error_that_names_it(
    world: World, managers: list[type[Manager]], cycle: str
) -> None:
    async def main() -> None:
        async with Node("solo", *managers) as node:
            loop = asyncio.get_running_loop()
            start = loop.time()
            with pytest.raises(RequestError) as caught:
                await node.request(ToA("go"), timeout=0.1)
            assert 0.09 <= loop.time() - start < 10
            assert isinstance(caught.value, DeadlineExceeded | HandlerError)
            assert f"requests wait for each other in a cycle: {cycle}" in str(caught.value)

    world.run(main)


def test_after_a_cycle_the_actors_serve_again(world: World) -> None:
    class Careful(Manager):
        """Asks itself if told to."""

        concurrency = 1

        @handles
        async def a(self, event: ToA) -> str:
            return await self.request(ToA("again")) if event.path == "round" else "fine"

    async def main() -> None:
        async with Node("solo", Careful) as node:
            for _ in range(3):
                with pytest.raises(DeadlineExceeded, match="in a cycle"):
                    await node.request(ToA("round"), timeout=0.05)
                assert await node.request(ToA("direct"), timeout=5) == "fine"

    world.run(main)


def test_a_cycle_that_a_notification_started_is_named_in_the_log(world: World) -> None:
    async def main() -> None:
        async with Node("solo", A, B, C) as node:
            await node.notify(Start())
            with records("edri_sim.pool") as kept:
                await until(lambda: kept.at("ERROR"), "the error of the handler")
            assert any(
                "requests wait for each other in a cycle: solo/A -> solo/B -> solo/C -> solo/A" in record.getMessage()
                for record in kept.at("ERROR")
            )

    world.run(main)


def test_a_cycle_through_an_actor_without_a_queue_is_named_too(world: World) -> None:
    class Full(Manager):
        concurrency = 1
        queue = 0

        @handles
        async def a(self, event: ToA) -> str:
            return await self.request(ToA("again"))

    async def main() -> None:
        async with Node("solo", Full) as node:
            with pytest.raises(RequestError, match="in a cycle: solo/Full -> solo/Full"):
                await node.request(ToA("go"), timeout=0.05)

    world.run(main)


def test_a_recursion_that_is_merely_slow_is_not_called_a_cycle(world: World) -> None:
    class Deep(Manager):
        @handles
        async def a(self, event: ToA) -> str:
            if len(event.path) < 3:
                return await self.request(ToA(f"{event.path}x"))
            await asyncio.get_running_loop().create_future()
            return ""

    async def main() -> None:
        async with Node("solo", Deep) as node:
            with pytest.raises(DeadlineExceeded) as caught:
                await node.request(ToA(), timeout=0.05)
            assert "cycle" not in str(caught.value)

    world.run(main)
