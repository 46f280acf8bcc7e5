"""A manager takes the place of another in a running node: nothing that waits is lost, and nothing runs twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import Manager, Node, Pool, Worker, handles
from edri_sim.errors import DeclarationError, HandlerError, NodeStopped, NoRoute, ProviderLost
from edri_sim.managers.observing import observes
from edri_sim.managers.worker import Component
from edri_sim.routing.observing import Observation
from tests.runtime.breakers import Break, Sleep
from tests.runtime.cast import Ask, Enter, Gate, Letters, Told
from tests.worlds import MODES, World, quick, records, turns, until


class One(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        await self.request(Enter(event.text))
        return f"one {event.text}"


class Two(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        return f"two {event.text}"


class Broken(Worker):
    async def start(self) -> None:
        raise LookupError("cannot start")

    @handles
    async def ask(self, event: Ask) -> str:
        return ""


def crew(worker: type[Worker], **options: Any) -> type[Manager]:
    return type("Crew", (Manager,), {"pool": Pool(worker, **options)})


@pytest.mark.parametrize("mode", MODES)
def test_what_runs_ends_in_the_old_code_and_what_waits_is_done_by_the_new(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> list[str]:
        async with Node("solo", lambda: gate, crew(One, mode=mode, queue=3, size=2), **quick()) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(9)]
            await until(lambda: len(gate.waiting) == 2)
            renewed = asyncio.ensure_future(node.renew(1, crew(Two, mode=mode)))
            await turns(20)
            late = asyncio.ensure_future(node.request(Ask("late"), timeout=20))
            await turns(20)
            assert not any(one.done() for one in (*asked, late, renewed))
            gate.open()
            await renewed
            assert await node.request(Ask("after"), timeout=20) == "two after"
            assert node._running[1].label == "solo/Crew"  # type: ignore[attr-defined]
            return await asyncio.gather(*asked, late)

    answers = world.run(main)
    assert answers == ["one 0", "one 1", *[f"two {n}" for n in range(2, 9)], "two late"]


def test_notifications_keep_their_order_across_it(world: World) -> None:
    heard: list[tuple[str, int]] = []

    class Old(Manager):
        concurrency = 1
        queue = 3
        name = "old"

        @handles
        async def told(self, event: Told) -> None:
            await asyncio.sleep(0.001)
            heard.append((self.name, event.number))

    class New(Old):
        name = "new"

    async def main() -> None:
        async with Node("solo", Old, **quick()) as node, asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(node.notify(Told(number)))
            await until(lambda: len(heard) >= 3)
            await node.renew(0, New)
            await until(lambda: len(heard) == 40)

    world.run(main)
    assert [number for _, number in heard] == list(range(40))
    assert [name for name, _ in heard] == sorted([name for name, _ in heard], reverse=True)
    assert {name for name, _ in heard} == {"old", "new"}


def test_a_new_manager_that_does_not_start_leaves_the_old_one_at_work(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", lambda: gate, crew(One, mode=mode), **quick()) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(3)]
            await until(lambda: gate.waiting)
            renewed = asyncio.ensure_future(node.renew(1, crew(Broken, mode=mode)))
            await turns(20)
            gate.open()
            with pytest.raises((LookupError, HandlerError), match="cannot start"):
                await renewed
            assert await asyncio.gather(*asked) == ["one 0", "one 1", "one 2"]
            assert await node.request(Ask("after"), timeout=20) == "one after"
            assert (await node.health()).state == "ok"

    world.run(main)


def test_the_old_one_is_tried_again_if_it_does_not_start_either(world: World) -> None:
    starts: list[str] = []

    class Moody(Worker):
        async def start(self) -> None:
            starts.append("start")
            if len(starts) == 2:
                raise LookupError("not now")

        @handles
        async def ask(self, event: Ask) -> str:
            return f"start {len(starts)}"

    async def main() -> None:
        async with Node("solo", crew(Moody), **quick()) as node:
            with pytest.raises(LookupError, match="cannot start"):
                await node.renew(0, crew(Broken))
            assert await node.request(Ask(), timeout=20) == "start 3"

    world.run(main)


def test_a_manager_and_its_pool_that_wait_for_each_other_come_to_rest(world: World) -> None:
    gate = Gate()

    class Fetch(Worker):
        @handles
        async def sleep(self, event: Sleep) -> str:
            await self.request(Enter("worker"))
            return await self.request(Break("from the manager"))

    class Both(Manager):
        pool = Pool(Fetch)
        concurrency = 2

        @handles
        async def ask(self, event: Ask) -> str:
            return await self.request(Sleep(0))

        @handles
        async def broken(self, event: Break) -> str:
            return event.how

    async def main() -> None:
        async with Node("solo", lambda: gate, Both, **quick()) as node:
            first = asyncio.ensure_future(node.request(Ask("first"), timeout=20))
            await until(lambda: gate.waiting)
            renewed = asyncio.ensure_future(node.renew(1, Both))
            await turns(20)
            second = asyncio.ensure_future(node.request(Ask("second"), timeout=20))
            await turns(20)
            assert gate.waiting == ["worker"]  # The second waits for the new manager.
            gate.open()
            assert await first == "from the manager"
            await renewed
            assert await second == "from the manager"

    world.run(main)


def test_a_handler_that_takes_too_long_is_cancelled_and_its_request_fails(world: World) -> None:
    letters = Letters()

    class Old(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            await asyncio.get_running_loop().create_future()
            return ""

        @handles
        async def told(self, event: Told) -> None:
            await asyncio.get_running_loop().create_future()

    class New(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            return "new"

    async def main() -> None:
        async with Node("solo", lambda: letters, Old, **quick(drain_timeout=0.05)) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await node.notify(Told(1))
            await turns(20)
            await node.renew(1, New)
            with pytest.raises(ProviderLost, match=r"its manager was replaced, and it did not end within 0.05 s"):
                await asked
            assert await node.request(Ask("x"), timeout=20) == "new"
            await until(lambda: letters.list)

    world.run(main)
    assert "its manager was replaced" in letters.list[0].reason


def test_what_the_new_manager_has_no_handler_for_is_placed_elsewhere_or_given_up(world: World) -> None:
    gate, letters = Gate(), Letters()

    class Old(Manager):
        concurrency = 1

        @handles
        async def ask(self, event: Ask) -> str:
            await self.request(Enter())
            return "old"

        @handles
        async def told(self, event: Told) -> None: ...

        @handles
        async def broken(self, event: Break) -> str:
            return "old"

    class New(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            return "new"

    async def main() -> None:
        async with Node("solo", lambda: gate, lambda: letters, Old, **quick()) as node:
            asked = [asyncio.ensure_future(node.request(Ask(), timeout=20)) for _ in range(2)]
            await until(lambda: gate.waiting)
            await node.notify(Told(1))
            orphan = asyncio.ensure_future(node.request(Break(), timeout=20))
            renewed = asyncio.ensure_future(node.renew(2, New))
            await turns(20)
            gate.open()
            await renewed
            assert await asyncio.gather(*asked) == ["old", "new"]
            with pytest.raises(NoRoute):
                await orphan
            await until(lambda: any(letter.type == "Told" for letter in letters.list))

    world.run(main)
    (letter,) = [letter for letter in letters.list if letter.type == "Told"]
    assert letter.reason == "the manager that took the place of the one at which it waited has no handler for it"


def test_observers_change_with_their_manager(world: World) -> None:
    seen: list[str] = []

    class Watch(Manager):
        name = "old"

        @observes
        async def all(self, observation: Observation[Ask]) -> None:
            seen.append(f"{self.name} {observation.event.text}")

    class Newer(Watch):
        name = "new"

    async def main() -> None:
        async with Node("solo", Watch, crew(Two), **quick()) as node:
            await node.request(Ask("a"), timeout=20)
            await until(lambda: len(seen) == 1)
            await node.renew(0, Newer)
            await node.request(Ask("b"), timeout=20)

    world.run(main)
    assert seen == ["old a", "new b"]


def test_a_second_life_of_the_node_begins_with_the_new_manager(world: World) -> None:
    async def main() -> None:
        node = Node("solo", crew(One), **quick())
        async with node:
            await node.renew(0, crew(Two))
        async with node:
            assert await node.request(Ask("x"), timeout=20) == "two x"

    world.run(main)


def test_a_stop_waits_for_a_renewal_that_is_under_way(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        node = Node("solo", lambda: gate, crew(One), **quick())
        await node.start()
        asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
        await until(lambda: gate.waiting)
        renewed = asyncio.ensure_future(node.renew(1, crew(Two)))
        await turns(20)
        stopped = asyncio.ensure_future(node.stop())
        await turns(20)
        gate.open()
        assert await asked == "one x"
        await renewed
        await stopped
        with pytest.raises(NodeStopped):
            await node.renew(1, crew(One))

    with records() as kept:
        world.run(main)
    assert kept.at("ERROR") == []


def test_a_renewal_that_is_cancelled_leaves_the_old_one_at_work(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", lambda: gate, crew(One), **quick()) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(2)]
            await until(lambda: gate.waiting)
            renewed = asyncio.ensure_future(node.renew(1, crew(Two)))
            await turns(20)
            renewed.cancel()
            await asyncio.gather(renewed, return_exceptions=True)
            gate.open()
            assert await asyncio.gather(*asked) == ["one 0", "one 1"]

    world.run(main)


class Part(Component):
    def run_on(self, context: Any) -> Any:
        return self

    async def start(self) -> None: ...

    busy = False

    def leave(self) -> None: ...


def test_only_managers_are_renewed(world: World) -> None:
    async def main() -> None:
        async with Node("solo", crew(One), **quick()) as node:
            with pytest.raises(DeclarationError, match=r"node 'solo': part .*Part.*: only managers can be renewed"):
                await node.renew(0, Part)  # type: ignore[arg-type]

    world.run(main)
