"""Requests and notifications: who gets an event, and what its publisher hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import DeadLetter, Manager, Node, Notification, Pool, Request, Worker, event, handles
from edri_sim.errors import DeclarationError, HandlerError, NoRoute
from tests.runtime.cast import Ask, Ear, Echo, Enter, Gate, Hasty, Held, PlainEcho, Told
from tests.worlds import World, pool_of, turns, until


def test_a_request_is_answered_in_every_mode(any_world: World, mode: str) -> None:
    async def main() -> None:
        for worker in (Echo, PlainEcho):
            async with Node("solo", pool_of(worker, mode, size=2)) as node:
                answers = await asyncio.gather(*[node.request(Ask(str(n)), timeout=5) for n in range(10)])
                assert answers == [str(n) for n in range(10)]

    any_world.run(main)


def test_a_notification_reaches_every_subscriber_once(any_world: World) -> None:
    class OtherEar(Ear):
        pass

    first, second = Ear(), OtherEar()

    async def main() -> None:
        async with Node("solo", lambda: first, lambda: second) as node:
            for number in range(5):
                await node.notify(Told(number))
            await until(lambda: len(second.heard) == 5)

    any_world.run(main)
    assert first.heard == second.heard == [0, 1, 2, 3, 4]


def test_a_manager_and_its_pool_that_both_subscribe_both_get_a_notification(world: World) -> None:
    heard: list[str] = []

    class Inner(Worker):
        @handles
        async def told(self, event: Told) -> None:
            heard.append("worker")

    class Outer(Manager):
        pool = Pool(Inner)

        @handles
        async def told(self, event: Told) -> None:
            heard.append("manager")

    async def main() -> None:
        async with Node("solo", Outer) as node:
            await node.notify(Told(1))

    world.run(main)
    assert sorted(heard) == ["manager", "worker"]


@event
class Change(Notification):
    text: str = ""


@event
class Rename(Change):
    pass


@event
class Move(Change):
    pass


class Watcher(Manager):
    """Subscribes to a base class, and to one of its subclasses."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles
    async def any_change(self, event: Change) -> None:
        self.seen.append(f"any {type(event).__name__}")

    @handles
    async def rename(self, event: Rename) -> None:
        self.seen.append(f"rename {type(event).__name__}")


def test_a_base_class_subscription_takes_subclasses_and_the_most_specific_handler_gets_an_event_once(
    world: World,
) -> None:
    watcher = Watcher()

    async def main() -> None:
        async with Node("solo", lambda: watcher) as node:
            for change in (Change("a"), Rename("b"), Move("c")):
                await node.notify(change)

    world.run(main)
    assert watcher.seen == ["any Change", "rename Rename", "any Move"]


def test_of_a_managers_pools_the_one_with_the_more_specific_handler_alone_gets_the_event(world: World) -> None:
    heard: list[str] = []

    class General(Worker):
        @handles
        async def change(self, event: Change) -> None:
            heard.append(f"general {type(event).__name__}")

    class Special(Worker):
        @handles
        async def rename(self, event: Rename) -> None:
            heard.append(f"special {type(event).__name__}")

    class Both(Manager):
        general = Pool(General)
        special = Pool(Special)

    async def main() -> None:
        async with Node("solo", Both) as node:
            await node.notify(Rename("b"))
            await node.notify(Move("c"))

    world.run(main)
    assert sorted(heard) == ["general Move", "special Rename"]


@pytest.mark.usefixtures("fresh_names")
def test_a_subclass_of_the_event_that_is_declared_after_the_start_works(world: World) -> None:
    watcher = Watcher()

    async def main() -> None:
        async with Node("solo", lambda: watcher) as node:
            await node.notify(Move("before"))

            @event
            class Late(Change):
                pass

            await node.notify(Late("c"))

    world.run(main)
    assert watcher.seen == ["any Move", "any Late"]


@pytest.mark.usefixtures("fresh_names")
def test_a_class_that_is_redefined_while_a_node_runs_is_an_error_that_says_restart(world: World) -> None:
    def declare() -> type[Request[str]]:
        @event(name="Redefined")
        class Redefined(Request[str]):
            pass

        return Redefined

    async def main() -> None:
        first = declare()

        class Answers(Manager):
            @handles
            async def ask(self, event: first) -> str:  # type: ignore[valid-type]
                return "old"

        async with Node("solo", Answers) as node:
            assert await node.request(first()) == "old"
            second = declare()
            with pytest.raises(DeclarationError, match=r"Redefined .* redefined since; restart the node"):
                await node.request(second())
            assert await node.request(first()) == "old"

    world.run(main)


def test_requests_go_to_the_provider_with_the_shortest_queue(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        slow, quick = pool_of(Held, size=1), pool_of(Echo, size=1)
        async with Node("solo", slow, quick, lambda: gate) as node:
            # Ties take turns, so one of the first two requests is held up; the rest finds the shorter queue.
            first = [asyncio.ensure_future(node.request(Ask(f"first {n}"), timeout=5)) for n in range(2)]
            await until(lambda: sum(task.done() for task in first) == 1 and gate.waiting)
            for number in range(6):
                assert await node.request(Ask(str(number)), timeout=5) == str(number)
            assert len(gate.waiting) == 1
            gate.open()
            await asyncio.gather(*first)

    world.run(main)


def test_providers_with_equal_queues_take_turns(world: World) -> None:
    served: list[str] = []

    def provider(name: str) -> type[Manager]:
        class Provider(Manager):
            @handles
            async def ask(self, event: Ask) -> str:
                served.append(name)
                return name

        return type(name, (Provider,), {})

    async def main() -> None:
        async with Node("solo", *[provider(name) for name in "ABC"]) as node:
            for _ in range(9):
                await node.request(Ask())

    world.run(main)
    assert sorted(served[:3]) == ["A", "B", "C"]
    assert served == served[:3] * 3


def test_nobody_provides_a_request_no_route_after_the_grace(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Ear, route_grace=0.05) as node:
            loop = asyncio.get_running_loop()
            start = loop.time()
            with pytest.raises(NoRoute) as caught:
                await node.request(Ask("x"), timeout=10)
            assert 0.049 <= loop.time() - start < 5
            message = str(caught.value)
            assert message.startswith("Ask solo/")
            assert "nobody provides it, and nobody came to provide it within 0.05" in message
            assert "start a manager with a handler for it" in message

    world.run(main)


def test_no_route_comes_at_the_deadline_when_that_is_before_the_end_of_the_grace(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Ear, route_grace=20) as node:
            with pytest.raises(NoRoute, match=r"within 0\.0\d"):
                await node.request(Ask("x"), timeout=0.02)

    world.run(main)


class LateProvider(Manager):
    """Provides Ask only once its start() has returned, which the test decides."""

    def __init__(self, asked: asyncio.Event) -> None:
        self._asked = asked

    async def start(self) -> None:
        await self._asked.wait()

    @handles
    async def ask(self, event: Ask) -> str:
        return "at last"


class Early(Manager):
    """Asks while the node still starts."""

    def __init__(self, asked: asyncio.Event) -> None:
        self.answer = ""
        self._asked = asked

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        self._asked.set()
        self.answer = await self.request(Ask("early"), timeout=10)

    @handles
    async def told(self, event: Told) -> None:
        await self._task


def test_a_provider_that_comes_within_the_grace_gets_the_request(world: World) -> None:
    asked = asyncio.Event()
    early = Early(asked)

    async def main() -> None:
        async with Node("solo", lambda: early, lambda: LateProvider(asked), route_grace=10) as node:
            await node.notify(Told())
        assert early.answer == "at last"

    world.run(main)


def test_a_notification_without_subscribers_is_no_error(world: World) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Echo)) as node:
            await node.notify(Told(1))

    world.run(main)


def test_publishing_in_the_wrong_way_says_what_is_right(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Ear, pool_of(Echo)) as node:
            with pytest.raises(DeclarationError, match=r"Told is a notification: publish it with notify\(\)"):
                await node.request(Told(1))  # type: ignore[arg-type]
            with pytest.raises(DeclarationError, match=r"Ask is a request: publish it with request\(\)"):
                await node.notify(Ask("x"))  # type: ignore[arg-type]
            with pytest.raises(DeclarationError, match="is not an event"):
                await node.notify("text")  # type: ignore[arg-type]
            bad: Any
            for bad in (0, -1, float("nan"), "1 s", [1]):
                with pytest.raises(ValueError, match=r"Ask: timeout=.*expected seconds above 0"):
                    await node.request(Ask("x"), timeout=bad)
                with pytest.raises(ValueError, match=r"Ask: timeout=.*expected seconds above 0"):
                    await node.subscribed(Ask, timeout=bad)
            assert await node.request(Ask("x")) == "x"

    world.run(main)


def test_a_handler_that_gives_a_wrong_timeout_is_told_in_every_mode(world: World, mode: str) -> None:
    """In a process too, which lives on."""

    async def main() -> None:
        async with Node("solo", Ear, pool_of(Hasty, mode)) as node:
            for _ in range(2):
                with pytest.raises(HandlerError, match="ValueError: Ask: timeout='1 s': expected seconds above 0"):
                    await node.request(Ask("x"), timeout=10)

    world.run(main)


def test_what_is_published_is_not_run_in_the_turn_of_the_publisher(world: World) -> None:
    ear = Ear()

    async def main() -> None:
        async with Node("solo", lambda: ear) as node:
            await node.notify(Told(1))
            assert ear.heard == []
            await turns(3)
            assert ear.heard == [1]

    world.run(main)


def test_a_dead_letter_type_is_an_event_like_any_other(world: World) -> None:
    got: list[str] = []

    class Reader(Manager):
        @handles
        async def dead(self, event: DeadLetter) -> None:
            got.append(event.reason)

        @handles
        async def enter(self, event: Enter) -> None:
            await self.notify(DeadLetter("X", "id", "solo", where="here", reason="by hand"))

    async def main() -> None:
        async with Node("solo", Reader) as node:
            await node.request(Enter())

    world.run(main)
    assert got == ["by hand"]
