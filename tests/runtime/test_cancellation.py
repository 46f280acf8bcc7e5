"""A requester that gives up: what happens to its request, queued or running, in each mode."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Request, Worker, event, handles, sleep
from tests.runtime.cast import Ask, Echo, Gate, Held, Letters, PlainEcho, PlainWitness, Reader, Recall, Told, Witness
from tests.worlds import World, pool_of, quick, records, turns, until


async def cancelled(task: asyncio.Future[str]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_queued_request_is_removed_and_its_handler_never_runs(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Witness, mode), lambda: gate) as node:
            running = asyncio.ensure_future(node.request(Ask("running"), timeout=10))
            await until(lambda: gate.waiting)
            queued = asyncio.ensure_future(node.request(Ask("queued"), timeout=10))
            await turns(5)
            await cancelled(queued)
            gate.open()
            await running
            assert await node.request(Recall(), timeout=10) == ["began running"]

    world.run(main)


def test_a_request_that_waits_for_room_is_removed(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Witness, queue=1), lambda: gate) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=10)) for n in range(3)]
            await until(lambda: gate.waiting)
            await turns(3)
            await cancelled(asked[2])
            gate.open()
            await asyncio.gather(*asked[:2])
            assert await node.request(Recall(), timeout=10) == ["began 0", "began 1"]

    world.run(main)


def test_a_request_that_waits_for_a_provider_is_removed(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Letters, route_grace=20) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await turns(3)
            await cancelled(asked)
            assert node._router is not None
            assert node._router.live == 0
            assert not node._router._unrouted

    world.run(main)


def test_a_running_async_handler_sees_cancelled_error_and_its_slot_is_free_again(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Witness, mode), lambda: gate) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await until(lambda: gate.waiting)
            with records() as kept:
                await cancelled(asked)
                assert await node.request(Recall(), timeout=10) == ["began x", "CancelledError"]
            assert not kept.at("ERROR"), "a cancelled handler is no failure"

    world.run(main)


def test_a_plain_handler_meets_request_cancelled_at_its_next_call_and_its_result_is_dropped(
    world: World, mode: str
) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(PlainWitness, mode), lambda: gate) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await until(lambda: gate.waiting)
            await cancelled(asked)
            seen = await node.request(Recall(), timeout=10)
            assert seen == ["began x", "RequestCancelled", "still RequestCancelled"]
            assert node._router is not None
            assert node._router.late == 0

    world.run(main)


def test_what_a_handler_is_told_names_its_event_by_type_and_id(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Reader, mode), lambda: gate) as node:
            assert node._router is not None
            life = f"solo/{node._router.origin.incarnation:x}"
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await until(lambda: gate.waiting)
            await cancelled(asked)
            assert await node.request(Recall(), timeout=10) == [
                f"Ask {life}/1: the request was cancelled",
                f"Ask {life}/1: the request was cancelled, so self.blocking.notify does not go on",
            ]

    world.run(main)


def test_a_deadline_that_passes_cancels_the_handler_too(world: World, mode: str) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Witness, mode), lambda: gate) as node:
            with pytest.raises(TimeoutError):
                await node.request(Ask("x"), timeout=0.2)
            seen = await node.request(Recall(), timeout=10)
            assert seen[0] == "began x"
            # The nested request has the same deadline: the handler hears of that, or of its own cancellation.
            assert seen[1] in ("CancelledError", "DeadlineExceeded")

    world.run(main)


@pytest.mark.parametrize("worker", [Echo, PlainEcho, Held])
@pytest.mark.parametrize("count", range(8))
def test_cancelling_at_any_turn_leaves_the_slot_free(world: World, worker: type[Worker], count: int) -> None:
    """A task that is cancelled before its first step never runs: its slot must come back all the same."""
    gate = Gate()
    gate.open()

    async def main() -> None:
        async with Node("solo", pool_of(worker), lambda: gate) as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await turns(count)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert await node.request(Ask("next"), timeout=10) == "next"

    world.run(main)


@pytest.mark.parametrize("count", range(6))
def test_cancelling_at_any_turn_in_other_modes(world: World, mode: str, count: int) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Echo, mode)) as node:
            for _ in range(3):
                asked = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
                await turns(count)
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
            assert await node.request(Ask("next"), timeout=10) == "next"

    world.run(main)


@event
class Nap(Request[int]):
    """Sleeps so often, a moment each time."""

    times: int


class Napper(Worker):
    def __init__(self) -> None:
        self.naps = 0

    @handles
    def nap(self, event: Nap) -> int:
        for _ in range(event.times):
            sleep(0.005)
            self.naps += 1
        return self.naps

    @handles
    async def recall(self, event: Recall) -> list[str]:
        return [str(self.naps)]


def test_a_plain_handler_that_sleeps_is_woken(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Napper, mode)) as node:
            asked = asyncio.ensure_future(node.request(Nap(100_000), timeout=1000))
            await asyncio.sleep(0.1)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            (naps,) = await node.request(Recall(), timeout=10)
            assert int(naps) < 100_000

    world.run(main)


def test_a_slot_stays_taken_until_a_cancelled_plain_handler_ends(world: World) -> None:
    """In a method: a handler that swallows its cancellation keeps the one slot until it returns."""
    order: list[str] = []
    gate = Gate()

    class Stubborn(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            order.append(f"begin {event.text}")
            if event.text == "first":
                try:
                    sleep(10)
                finally:
                    order.append(f"end {event.text}")
            return event.text

    async def main() -> None:
        async with Node("solo", pool_of(Stubborn), lambda: gate) as node:
            first = asyncio.ensure_future(node.request(Ask("first"), timeout=100))
            await until(lambda: order)
            second = asyncio.ensure_future(node.request(Ask("second"), timeout=100))
            await cancelled(first)
            assert await second == "second"

    world.run(main)
    assert order == ["begin first", "end first", "begin second"]


def test_quitting_a_notification_publisher_does_not_cancel_its_handlers(world: World) -> None:
    heard: list[int] = []
    gate = Gate()

    class Listener(Manager):
        @handles
        async def told(self, event: Told) -> None:
            await gate.opened.wait()
            heard.append(event.number)

    async def main() -> None:
        async with Node("solo", Listener) as node:
            task = asyncio.ensure_future(node.notify(Told(1)))
            await turns(3)
            task.cancel()
            gate.open()

    world.run(main)
    assert heard == [1]


def test_cancelling_a_requester_that_handles_a_request_cancels_the_whole_chain(world: World) -> None:
    gate = Gate()
    ended: list[str] = []

    class Middle(Manager):
        @handles
        async def recall(self, event: Recall) -> list[str]:
            try:
                return [await self.request(Ask("inner"))]
            except asyncio.CancelledError:
                ended.append("middle")
                raise

    class Inner(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            gate.waiting.append("inner")
            try:
                await gate.opened.wait()
            except asyncio.CancelledError:
                ended.append("inner")
                raise
            return ""

    async def main() -> None:
        async with Node("solo", Middle, Inner, **quick()) as node:
            asked = asyncio.ensure_future(node.request(Recall(), timeout=10))
            await until(lambda: gate.waiting)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await until(lambda: len(ended) == 2)

    world.run(main)
