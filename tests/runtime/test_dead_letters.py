"""Dead letters: what they tell of an event that nobody will handle."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import DeadLetter, Manager, Node, handles
from edri_sim.errors import DeadlineExceeded, Overloaded
from edri_sim.events import registry
from edri_sim.routing.mailbox import drop_newest, drop_oldest
from edri_sim.routing.router import Router
from tests.runtime.cast import Ask, Enter, Gate, Held, Letters, Locate, Told
from tests.worlds import World, pool_of, quick, records, turns, until


class Narrow(Manager):
    """Takes one notification at a time, has no queue, and drops what comes meanwhile."""

    concurrency = 1
    queue = 0
    overflow = drop_newest

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def told(self, event: Told) -> None:
        await self.request(Enter("told"))
        self.heard.append(event.number)


class Scene:
    def __init__(self) -> None:
        self.narrow, self.gate, self.letters = Narrow(), Gate(), Letters()

    def node(self) -> Node:
        return Node("solo", lambda: self.letters, lambda: self.narrow, lambda: self.gate, **quick())

    async def drop(self, node: Node, number: int) -> DeadLetter:
        """Have one notification dropped; its dead letter."""
        await node.notify(Told(0))
        await until(lambda: self.gate.waiting)
        await node.notify(Told(number))
        await until(lambda: self.letters.list)
        return self.letters.list[0]


def test_a_dead_letter_says_what_where_and_why(world: World) -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.node() as node:
            with records("edri_sim.router") as kept:
                letter = await scene.drop(node, 42)
            assert (letter.type, letter.node, letter.where) == ("Told", "solo", "solo/Narrow")
            assert letter.reason == "mailbox full, dropped as the newest"
            node_name, incarnation, number = letter.event_id.split("/")
            assert node_name == "solo"
            assert int(incarnation, 16) > 0
            assert int(number) > 0
            (logged,) = kept.at("WARNING")
            assert logged.getMessage() == "dead letter: Told at solo/Narrow: mailbox full, dropped as the newest"
            fields = {key: logged.__dict__[key] for key in ("node", "event_id", "event_type")}
            assert fields == {"node": "solo", "event_id": letter.event_id, "event_type": "Told"}
            scene.gate.open()

    world.run(main)


def test_the_payload_can_be_read_and_published_again(world: World) -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.node() as node:
            letter = await scene.drop(node, 42)
            scene.gate.open()
            await until(lambda: scene.narrow.heard == [0])
            entry = registry.snapshot().named(letter.type)
            again = entry.codec.decode(letter.payload)
            assert again == Told(42)
            await turns(3)
            await node.notify(again)

    world.run(main)
    assert scene.narrow.heard == [0, 42]


def test_an_event_that_cannot_be_encoded_has_an_empty_payload(world: World) -> None:
    scene = Scene()

    async def main() -> None:
        async with scene.node() as node:
            letter = await scene.drop(node, "no number")  # type: ignore[arg-type]
            assert letter.payload == b""
            scene.gate.open()

    world.run(main)


@pytest.mark.parametrize("overflow", [drop_newest, drop_oldest])
def test_a_dead_letter_that_is_dropped_makes_no_other(world: World, overflow: object) -> None:
    class Full(Manager):
        concurrency = 1
        queue = 0

        @handles
        async def dead(self, event: DeadLetter) -> None:
            got.append(event.type)
            await self.request(Enter("dead"))

    got: list[str] = []
    scene = Scene()

    async def main() -> None:
        parts = [type("Full", (Full,), {"overflow": overflow}), lambda: scene.narrow, lambda: scene.gate]
        async with Node("solo", *parts, **quick()) as node:
            await node.notify(Told(0))
            await until(lambda: scene.gate.waiting)
            for number in range(1, 20):
                await node.notify(Told(number))
                await turns(2)
            await node.notify(DeadLetter("X", "id", "solo", where="here", reason="by hand"))
            scene.gate.open()

    world.run(main)
    assert set(got) == {"Told"}
    assert len(got) < 20


def test_requests_that_expire_are_dead_letters_with_the_code_of_their_error(world: World) -> None:
    gate, letters = Gate(), Letters()

    async def main() -> None:
        crew = pool_of(Held, size=1, queue=0)
        async with Node("solo", crew, lambda: gate, lambda: letters, **quick()) as node:
            held = asyncio.ensure_future(node.request(Ask("held"), timeout=0.2))
            await until(lambda: gate.waiting)
            with pytest.raises(Overloaded):
                await node.request(Ask("waits"), timeout=0.05)
            with pytest.raises(DeadlineExceeded):
                await held
            with pytest.raises(Exception, match="nobody provides it"):
                await node.request(Locate(), timeout=0.5)
            await until(lambda: len(letters.list) >= 4)
        found = {(letter.type, letter.reason, letter.where) for letter in letters.list}
        assert ("Ask", "overloaded", "solo/router") in found
        assert ("Ask", "deadline", "solo/Crew.pool") in found
        assert ("Locate", "no_route", "solo/router") in found

    world.run(main)


def test_a_requester_that_gave_up_by_itself_makes_no_dead_letter(world: World) -> None:
    gate, letters = Gate(), Letters()

    async def main() -> None:
        async with Node("solo", pool_of(Held), lambda: gate, lambda: letters) as node:
            asked = asyncio.ensure_future(node.request(Ask("held"), timeout=20))
            await until(lambda: gate.waiting)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await turns(5)

    world.run(main)
    assert letters.list == []


def test_a_notification_that_no_process_can_take_is_a_dead_letter(world: World) -> None:
    letters = Letters()

    async def main() -> None:
        async with Node("solo", pool_of(Held, "process"), lambda: letters) as node:
            await node.notify(Told("no number"))  # type: ignore[arg-type]
            await until(lambda: letters.list)

    world.run(main)
    (letter,) = letters.list
    assert letter.where == "solo/Crew.pool"
    assert "Told.number" in letter.reason


def test_the_tests_above_fail_without_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "dead_letter", lambda *args: None)
    with pytest.raises(AssertionError, match="in vain waited"):
        test_a_dead_letter_says_what_where_and_why(World("simulated"))
