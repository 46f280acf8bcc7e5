"""Thread workers in real time: they run side by side, and one that is stuck holds nobody up for long."""

from __future__ import annotations

import asyncio
import threading

from edri_sim import Manager, Node, Pool, Worker, handles
from tests.runtime.cast import Ask, Echo, Told
from tests.worlds import World, pool_of, records, until

REAL = World("real")


def meeting(parties: int, asynchronous: bool) -> type[Worker]:
    """A worker whose handlers return only once so many of them run at the same time."""
    barrier = threading.Barrier(parties)

    class Meets(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            barrier.wait(timeout=20)
            return threading.current_thread().name

    class MeetsAsync(Worker):
        @handles
        async def ask(self, event: Ask) -> str:
            barrier.wait(timeout=20)
            return threading.current_thread().name

    return MeetsAsync if asynchronous else Meets


def test_blocking_handlers_run_at_the_same_time_each_in_a_thread() -> None:
    async def main(asynchronous: bool) -> list[str]:
        crew = pool_of(meeting(4, asynchronous), "thread", size=2, concurrency=2)
        async with Node("solo", crew) as node:
            return await asyncio.gather(*[node.request(Ask(), timeout=20) for _ in range(4)])

    expected = {f"solo/Crew.pool#{slot}.{thread}" for slot in range(2) for thread in range(2)}
    for asynchronous in (False, True):
        names = REAL.run(lambda chosen=asynchronous: main(chosen))
        assert set(names) == expected


def test_the_loop_is_free_while_a_thread_blocks() -> None:
    release = threading.Event()

    class Blocks(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            return "released" if release.wait(timeout=20) else "never released"

    class Both(Manager):
        pool = Pool(Blocks, mode="thread")

        @handles
        async def told(self, event: Told) -> None:
            release.set()

    async def main() -> None:
        async with Node("solo", Both) as node:
            asked = asyncio.ensure_future(node.request(Ask(), timeout=20))
            await asyncio.sleep(0.01)
            await node.notify(Told())
            assert await asked == "released"

    REAL.run(main)


def test_an_async_handler_awaits_in_its_thread() -> None:
    class Awaits(Worker):
        async def start(self) -> None:
            self.started_in = threading.current_thread()

        @handles
        async def ask(self, event: Ask) -> str:
            await asyncio.sleep(0.001)
            assert threading.current_thread() is self.started_in
            assert threading.current_thread() is not threading.main_thread()
            return "fine"

    async def main() -> None:
        async with Node("solo", pool_of(Awaits, "thread")) as node:
            for _ in range(3):
                assert await node.request(Ask(), timeout=20) == "fine"

    REAL.run(main)


def test_a_cancelled_thread_keeps_its_slot_and_its_result_is_dropped() -> None:
    release, entered = threading.Event(), threading.Event()
    order: list[str] = []

    class Stubborn(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            order.append(f"begin {event.text}")
            if event.text == "first":
                entered.set()
                release.wait(timeout=20)
            order.append(f"end {event.text}")
            return event.text

    async def main() -> None:
        async with Node("solo", pool_of(Stubborn, "thread")) as node:
            first = asyncio.ensure_future(node.request(Ask("first"), timeout=20))
            await until(entered.is_set)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            second = asyncio.ensure_future(node.request(Ask("second"), timeout=20))
            await asyncio.sleep(0.02)
            assert order == ["begin first"]
            release.set()
            assert await second == "second"
            assert node._router is not None
            assert node._router.late == 0

    REAL.run(main)
    assert order == ["begin first", "end first", "begin second", "end second"]


def test_a_thread_that_is_busy_at_the_stop_is_named_and_not_awaited() -> None:
    release, entered, left = threading.Event(), threading.Event(), threading.Event()

    class Stuck(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            entered.set()
            release.wait(timeout=20)
            left.set()
            return "too late"

    async def main() -> None:
        with records() as kept:
            async with Node("solo", pool_of(Stuck, "thread"), drain_timeout=0.05) as node:
                asked = asyncio.ensure_future(node.request(Ask(), timeout=20))
                await until(entered.is_set)
            assert not left.is_set()
            assert "thread solo/Crew.pool#0.0 is busy and was left behind" in [r.getMessage() for r in kept.list]
        (error,) = await asyncio.gather(asked, return_exceptions=True)
        assert "stopped before the reply" in str(error)
        release.set()
        await until(lambda: not [t for t in threading.enumerate() if t.name.startswith("solo/")])

    REAL.run(main)


def test_a_busy_thread_that_outlives_the_loop_ends_quietly() -> None:
    release, entered = threading.Event(), threading.Event()

    class Stuck(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            entered.set()
            release.wait(timeout=20)
            return "too late"

    async def main() -> None:
        async with Node("solo", pool_of(Stuck, "thread"), drain_timeout=0.05) as node:
            asked = asyncio.ensure_future(node.request(Ask(), timeout=20))
            await until(entered.is_set)
        await asyncio.gather(asked, return_exceptions=True)

    REAL.run(main)
    (thread,) = [thread for thread in threading.enumerate() if thread.name.startswith("solo/")]
    release.set()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_a_node_with_threads_can_be_started_again() -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Echo, "thread", size=2))
        for _ in range(3):
            async with node:
                assert await node.request(Ask("x"), timeout=20) == "x"
            assert not [t for t in threading.enumerate() if t.name.startswith("solo/")]

    REAL.run(main)
