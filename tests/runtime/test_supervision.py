"""Workers that break and hang: what becomes of their events, who takes their place, and when a pool gives up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Manager, Node, Request, Worker, handles
from edri_sim.errors import DeclarationError, HandlerError, NoRoute, ProviderLost, WorkerBroken
from edri_sim.managers.deaths import Deaths
from edri_sim.managers.pool import Pool
from edri_sim.routing.health import HealthChanged
from tests.runtime.breakers import Break, Brittle, Keep, PlainBrittle, Repeated, Try
from tests.runtime.cast import Ask, Gate, Letters
from tests.worlds import World, pool_of, quick, records, turns, until


class Changes(Manager):
    """Keeps what is told of the health of pools."""

    def __init__(self) -> None:
        self.list: list[tuple[str, str]] = []
        self.reasons: list[str] = []

    @handles
    async def changed(self, event: HealthChanged) -> None:
        self.list.append((event.part, event.state))
        self.reasons.append(event.reason)


class Answers(Manager):
    """Keeps what a Keep has come to, and its number of deliveries."""

    def __init__(self) -> None:
        self.list: list[Repeated] = []

    @handles
    async def repeated(self, event: Repeated) -> None:
        self.list.append(event)


# Broken workers


def test_a_broken_worker_fails_its_request_says_why_and_is_replaced(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Brittle, mode), **quick()) as node:
            with pytest.raises(ProviderLost, match=r"worker 0 of solo/Crew.pool died: is broken: its device is lost"):
                await node.request(Break(), timeout=20)
            assert await node.request(Break("not"), timeout=20) == "not"
            with pytest.raises(ProviderLost, match=r"died: is broken$"):
                await node.request(Break("silent"), timeout=20)
            assert await node.request(Break("not"), timeout=20) == "not"

    world.run(main)


@pytest.mark.parametrize("worker", [Brittle, PlainBrittle])
def test_what_else_a_broken_worker_did_ends_too_and_harms_nobody(world: World, mode: str, worker: type[Worker]) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", lambda: gate, pool_of(worker, mode, concurrency=3), **quick()) as node:
            others = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(2)]
            await until(lambda: len(gate.waiting) == 2)
            with pytest.raises(ProviderLost):
                await node.request(Break(), timeout=20)
            errors = await asyncio.gather(*others, return_exceptions=True)
            assert [type(error) for error in errors] == [ProviderLost] * 2
            gate.open()
            assert await node.request(Ask("again"), timeout=20) == "again"

    with records() as kept:
        world.run(main)
    assert [record for record in kept.at("ERROR") if "died" not in record.getMessage()] == []


def test_a_manager_that_breaks_is_stopped_and_started_again(world: World) -> None:
    steps: list[str] = []

    class Moody(Manager):
        async def start(self) -> None:
            steps.append("start")

        async def stop(self) -> None:
            steps.append("stop")

        @handles
        async def broken(self, event: Break) -> str:
            if event.how == "break":
                raise WorkerBroken("enough")
            return event.how

    async def main() -> None:
        async with Node("solo", Moody, **quick()) as node:
            with pytest.raises(ProviderLost, match="worker 0 of solo/Moody died: is broken: enough"):
                await node.request(Break(), timeout=20)
            assert await node.request(Break("not"), timeout=20) == "not"
            assert steps == ["start", "stop", "start"]

    world.run(main)


# Events that kill


def test_an_event_that_may_be_repeated_goes_to_another_worker(world: World, mode: str, tmp_path: Path) -> None:
    answers = Answers()

    async def main() -> None:
        async with Node("solo", lambda: answers, pool_of(Brittle, mode), **quick()) as node:
            assert await node.request(Try(str(tmp_path / "request"), 2), timeout=20) == 3
            await node.notify(Keep(str(tmp_path / "notification"), 1))
            await until(lambda: answers.list)
            (seen,) = answers.list
            assert (seen.count, seen.redelivered) == (2, True)

    world.run(main)


def test_an_event_that_has_killed_three_workers_kills_no_fourth(world: World, tmp_path: Path) -> None:
    letters, asked, told = Letters(), tmp_path / "request", tmp_path / "notification"

    async def main() -> None:
        async with Node("solo", lambda: letters, pool_of(Brittle, restarts=100), **quick()) as node:
            with pytest.raises(ProviderLost, match="3 workers have died on this event, and no other gets it"):
                await node.request(Try(str(asked), 99), timeout=20)
            await node.notify(Keep(str(told), 99))
            await until(lambda: len(letters.list) == 2)
            assert await node.request(Break("not"), timeout=20) == "not"

    world.run(main)
    assert [letter.type for letter in letters.list] == ["breakers.Try", "breakers.Keep"]
    assert all("3 workers have died on this event" in letter.reason for letter in letters.list)
    assert [asked.read_text(), told.read_text()] == ["3", "3"]


def test_what_goes_back_keeps_its_place_before_what_waits(world: World, tmp_path: Path) -> None:
    order: list[str] = []

    async def main() -> None:
        async with Node("solo", pool_of(Brittle), **quick()) as node:

            async def ask(name: str, event: Request[Any]) -> None:
                await node.request(event, timeout=20)
                order.append(name)

            await asyncio.gather(ask("first", Try(str(tmp_path / "one"), 1)), ask("second", Break("not")))

    world.run(main)
    assert order == ["first", "second"]


# Pools that fail


async def break_it(node: Node, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ProviderLost):
            await node.request(Break(), timeout=100)


def test_a_pool_whose_workers_die_too_often_fails_and_is_tried_again_and_recovers(world: World) -> None:
    changes = Changes()
    crew = pool_of(Brittle, restarts=2, within=1.0)

    async def main() -> None:
        options = quick(restart_delay_max=0.1, route_grace=0.02)
        async with Node("solo", lambda: changes, crew, **options) as node:
            await break_it(node, 3)
            await until(lambda: changes.list)
            assert changes.list == [("solo/Crew.pool", "failed")]
            with pytest.raises(NoRoute, match=r"solo/Crew.pool has failed: more than 2 workers died within 1 s; last,"):
                await node.request(Break("not"), timeout=20)
            await until(lambda: len(changes.list) == 2)
            assert await node.request(Break("not"), timeout=20) == "not"
            await until(lambda: len(changes.list) == 3)

    with records() as kept:
        world.run(main)
    assert [state for _, state in changes.list] == ["failed", "degraded", "ok"]
    assert "on trial" in changes.reasons[1]
    said = [record.getMessage() for record in kept.list if "solo/Crew.pool is " in record.getMessage()]
    assert [line.split()[2] for line in said] == ["failed:", "degraded:", "ok:"]


def test_a_pool_with_workers_left_goes_on_while_it_is_degraded(world: World) -> None:
    changes = Changes()
    crew = pool_of(Brittle, size=2, restarts=0, within=100.0)

    async def main() -> None:
        async with Node("solo", lambda: changes, crew, **quick(restart_delay_max=50)) as node:
            await break_it(node, 1)
            assert [await node.request(Break("not"), timeout=1) for _ in range(5)] == ["not"] * 5
            await until(lambda: changes.list)

    world.run(main)
    assert changes.list == [("solo/Crew.pool", "degraded")]


def test_what_waits_at_a_pool_that_fails_goes_to_another_provider(world: World) -> None:
    class Spare(Worker):
        @handles
        async def broken(self, event: Break) -> str:
            return f"spare {event.how}"

    spare = type("Other", (Manager,), {"pool": Pool(Spare)})
    gate = Gate()

    async def main() -> None:
        crew = pool_of(Brittle, concurrency=1, restarts=0, queue=2)
        options = quick(restart_delay_max=100, route_grace=5)
        async with Node("solo", lambda: gate, crew, **options) as node:
            held = asyncio.ensure_future(node.request(Ask("held"), timeout=20))
            await until(lambda: gate.waiting)
            breaks = asyncio.ensure_future(node.request(Break(), timeout=20))
            queued = [asyncio.ensure_future(node.request(Break(str(n)), timeout=20)) for n in range(4)]
            await turns(20)  # One is queued behind the break, and three wait for room.
            gate.open()
            assert await held == "held"
            with pytest.raises(ProviderLost):
                await breaks
            running = spare().run_on(node._running[0].pools[0]._node)  # type: ignore[attr-defined]
            await running.start()
            node._running.append(running)
            assert await asyncio.gather(*queued) == [f"spare {n}" for n in range(4)]

    world.run(main)


def test_notifications_wait_for_a_pool_that_has_failed(world: World, tmp_path: Path) -> None:
    answers, path = Answers(), tmp_path / "count"

    async def main() -> None:
        crew = pool_of(Brittle, restarts=0)
        async with Node("solo", lambda: answers, crew, **quick(restart_delay_max=0.05)) as node:
            await break_it(node, 1)
            await node.notify(Keep(str(path), 0))
            await until(lambda: answers.list)

    world.run(main)
    assert [seen.redelivered for seen in answers.list] == [False]


def test_the_bounds_of_a_pool_hold_after_restarts(world: World) -> None:
    running, most = 0, 0

    class Counting(Worker):
        @handles
        async def broken(self, event: Break) -> str:
            nonlocal running, most
            if event.how == "break":
                raise WorkerBroken
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1
            return event.how

    async def main() -> None:
        crew = pool_of(Counting, size=2, concurrency=2, queue=3, restarts=100)
        async with Node("solo", crew, **quick()) as node:
            pool = node._running[0].pools[0]  # type: ignore[attr-defined]
            await break_it(node, 6)
            await until(lambda: len(pool.crew.slots) == 2)
            await asyncio.gather(*[node.request(Break(str(n)), timeout=20) for n in range(40)])
            assert (pool.mailbox.limit, pool.mailbox.outstanding, len(pool._idle)) == (7, 0, 4)
            assert (pool.crew._stillborn, pool.crew._repairs, pool.crew._stopping) == ({}, {}, {})

    world.run(main)
    assert most == 4


def test_deaths_are_too_many_when_more_than_the_limit_lie_in_the_time() -> None:
    deaths = Deaths(2, 10.0, 0.1, 5.0)
    for now in (1.0, 2.0):
        deaths.note(now)
        assert not deaths.too_many(now)
    deaths.note(3.0)
    assert deaths.too_many(3.0)
    assert deaths.pause(3.0) == 5.0
    assert deaths.clear_at == 11.0
    assert not deaths.too_many(11.0)
    assert deaths.pause(11.0) == pytest.approx(0.4)


def test_an_exception_of_a_handler_kills_nobody(world: World) -> None:
    class Raising(Worker):
        @handles
        async def broken(self, event: Break) -> str:
            raise LookupError(event.how)

    async def main() -> None:
        async with Node("solo", pool_of(Raising, restarts=0), **quick()) as node:
            for _ in range(3):
                with pytest.raises(HandlerError):
                    await node.request(Break(), timeout=20)
            pool = node._running[0].pools[0]  # type: ignore[attr-defined]
            assert (pool.crew.state, pool.crew.restarts) == ("ok", 0)

    world.run(main)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"restarts": -1}, r"Pool\(Brittle, restarts=-1\): expected a whole number, 0 or more"),
        ({"within": 0}, r"Pool\(Brittle, within=0\): expected seconds above 0$"),
        ({"time_limit": "1 s"}, r"Pool\(Brittle, time_limit='1 s'\): expected seconds above 0, or None"),
        ({"time_limit": float("nan")}, r"time_limit=nan\): expected seconds above 0, or None"),
    ],
)
def test_limits_that_are_none_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        Pool(Brittle, **options)  # type: ignore[arg-type]
