"""Deadlines: what they say when they pass, who inherits them, and what they cost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import Manager, Node, Request, event, handles
from edri_sim.errors import DeadlineExceeded
from edri_sim.routing.deadlines import Deadlines
from tests.runtime.cast import Ask, Echo, Enter, Gate, Held, PlainHeld
from tests.worlds import World, pool_of, quick, turns, until


@pytest.mark.parametrize("worker", [Held, PlainHeld])
def test_a_deadline_that_passes_names_the_event_the_time_and_the_holder(
    world: World, mode: str, worker: type[Held]
) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(worker, mode), lambda: gate, **quick()) as node:
            with pytest.raises(DeadlineExceeded) as caught:
                await node.request(Ask("x"), timeout=0.1)
            message = str(caught.value)
            assert message.startswith("Ask solo/")
            assert "no reply within 0.1" in message
            assert message.endswith("it was at solo/Crew.pool")
            assert isinstance(caught.value, TimeoutError)

    world.run(main)


def test_a_request_that_names_no_timeout_has_the_nodes(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held), lambda: gate, request_timeout=0.05) as node:
            with pytest.raises(DeadlineExceeded, match=r"no reply within 0\.05"):
                await node.request(Ask("x"))

    world.run(main)


@event
class Remaining(Request[float]):
    """Answered with how many seconds a nested request with a timeout of its own got."""

    own: float


@event
class Innermost(Request[None]):
    pass


class Relay(Manager):
    """Asks Innermost, which nobody answers in time, and measures when that ends."""

    @handles
    async def remaining(self, event: Remaining) -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(DeadlineExceeded):
            await self.request(Innermost(), timeout=event.own)
        return loop.time() - start

    @handles
    async def innermost(self, event: Innermost) -> None:
        await asyncio.get_running_loop().create_future()


def test_a_nested_request_ends_with_the_request_that_is_handled() -> None:
    """Simulated, as the times are exact there."""

    async def main() -> None:
        async with Node("solo", Relay) as node:
            assert await node.request(Remaining(own=2), timeout=10) == pytest.approx(2)
            with pytest.raises(DeadlineExceeded, match="within 3 s"):
                await node.request(Remaining(own=20), timeout=3)

    World("simulated").run(main)


def test_a_nested_request_inherits_what_remains(world: World, mode: str) -> None:
    """The nested request has a long timeout of its own, and still ends when nobody waits for it any more."""
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(PlainHeld, mode), lambda: gate, **quick()) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Ask("x"), timeout=0.2)
            assert gate.waiting == ["x"]
            router = _router(node)
            await until(lambda: router.live == 0, "the nested request to end")

    world.run(main)


def test_a_task_that_outlives_its_handler_has_no_deadline_of_the_handlers(world: World) -> None:
    gate = Gate()
    later: list[asyncio.Task[str]] = []

    class Starter(Manager):
        @handles
        async def enter(self, event: Enter) -> None:
            later.append(asyncio.get_running_loop().create_task(self._later()))

        async def _later(self) -> str:
            await gate.opened.wait()
            return await self.request(Ask("later"), timeout=5)

    async def main() -> None:
        async with Node("solo", Starter, pool_of(Echo)) as node:
            await node.request(Enter(), timeout=0.05)
            await asyncio.sleep(0.1)
            gate.open()
            assert await later[0] == "later"

    world.run(main)


def _router(node: Node) -> Any:
    return node._router


def test_a_thousand_requests_arm_a_few_timers(world: World) -> None:
    """Requests are counted by call_at and call_later of the loop: both are what a timer costs."""
    gate = Gate()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        async with Node("solo", pool_of(Held, concurrency=1000), lambda: gate) as node:
            armed = _count_timers(loop)
            requests = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20 + n / 100)) for n in range(1000)]
            await turns(50)
            count = len(armed)
            gate.open()
            await asyncio.gather(*requests)
        return count

    assert world.run(main) <= 5


def _count_timers(loop: asyncio.AbstractEventLoop) -> list[float]:
    armed: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        armed.append(when)
        return call_at(when, *args, **options)

    loop.call_at = counted  # type: ignore[assignment]
    return armed


def test_settled_requests_leave_the_heap(world: World) -> None:
    async def main() -> int:
        longest = 0
        async with Node("solo", pool_of(Echo)) as node:
            for _ in range(2_000):
                await node.request(Ask("x"), timeout=20)
                longest = max(longest, len(_router(node)._deadlines._heap))
        return longest

    assert world.run(main) <= 200


def test_the_heap_would_grow_without_compaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard above fails when compaction is broken."""
    monkeypatch.setattr(Deadlines, "_compact", lambda self: None)
    with pytest.raises(AssertionError):
        test_settled_requests_leave_the_heap(World("simulated"))


def test_what_hung_providers_leave_behind_is_bounded(world: World) -> None:
    """Every request expires, and takes its place in mailbox, parking and heap with it."""
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held, size=2, queue=3), lambda: gate, **quick()) as node:
            router = _router(node)
            crew = router._request_routes
            for _ in range(5):
                asked = [asyncio.ensure_future(node.request(Ask("x"), timeout=0.02)) for _ in range(200)]
                errors = await asyncio.gather(*asked, return_exceptions=True)
                assert not [error for error in errors if not isinstance(error, Exception)]
            (mailbox,) = crew[Ask].mailboxes
            await until(lambda: mailbox.outstanding == 0, "the handlers to end")
            assert (len(mailbox.queue), len(mailbox.parked)) == (0, 0)
            assert router.live == 0
            gate.open()
            assert await node.request(Ask("after"), timeout=5) == "after"

    world.run(main)
