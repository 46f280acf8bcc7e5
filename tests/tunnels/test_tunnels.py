"""Tunnels within one node: items both ways, ends, errors, credit, cancellation; in every mode and on both loops."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from edri_sim import Node, Request, TunnelEnd, Worker, event, handles
from edri_sim.envelope import current
from edri_sim.errors import (
    CodecError,
    DeadlineExceeded,
    DeclarationError,
    HandlerError,
    NodeStopped,
    NoRoute,
    ProviderLost,
    TunnelClosed,
)
from edri_sim.routing.tunnel import WINDOW
from tests.tunnels.cast import Count, Double, Fail, PlainServing, Reader, Serving, Sum
from tests.worlds import World, pool_of, quick, turns, until

WORKERS = [Serving, PlainServing]


@pytest.fixture(params=WORKERS, ids=["async", "plain"])
def worker(request: pytest.FixtureRequest) -> type[Worker]:
    """Who serves: coroutines, then plain functions."""
    chosen: type[Worker] = request.param
    return chosen


def solo(worker: type[Worker], mode: str = "method", **options: Any) -> Node:
    return Node("solo", pool_of(worker, mode, **options), **quick())


async def read_all(node: Node, event: Any, read: list[int]) -> None:
    async with node.open(event) as tunnel:
        async for number in tunnel:
            read.append(number)


def test_items_go_both_ways_in_order(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with solo(worker, mode) as node, node.open(Double()) as tunnel:
            for number in range(300):
                await tunnel.send(number)
                assert await tunnel.receive() == 2 * number

    world.run(main)


def test_a_half_closes_and_the_other_goes_on(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with solo(worker, mode) as node, node.open(Sum()) as tunnel:
            for number in range(1_000):
                await tunnel.send(number)
            tunnel.end()
            assert [total async for total in tunnel] == [499_500]
            with pytest.raises(TunnelClosed, match="ended its half"):
                await tunnel.send(1)
            with pytest.raises(TunnelClosed, match="all that it sent was received"):
                await tunnel.receive()

    world.run(main)


def test_what_came_before_an_error_is_read_first(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with solo(worker, mode) as node:
            read: list[int] = []
            with pytest.raises(HandlerError, match="as told") as caught:
                await read_all(node, Fail(first=5), read)
            assert caught.value.type_name == "LookupError"
            assert read == [0, 1, 2, 3, 4]

    world.run(main)


def test_who_leaves_hears_of_an_error_that_came_after(world: World, mode: str) -> None:
    async def main() -> None:
        async with solo(Serving, mode) as node:
            with pytest.raises(HandlerError, match="as told"):
                async with node.open(Fail(first=0)):
                    pass

    world.run(main)


def test_who_leaves_a_tunnel_that_only_sends_down_ends_it(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with solo(worker, mode, size=1) as node:
            for _ in range(3):  # Each needs the one worker.
                read = []
                async with node.open(Count(), timeout=10) as tunnel:
                    async for number in tunnel:
                        read.append(number)
                        if len(read) == 200:
                            break
                assert read == list(range(1, 201))

    world.run(main)


def test_a_handler_that_returns_early_ends_both_halves(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with solo(worker, mode) as node, node.open(Double(most=2)) as tunnel:
            await tunnel.send(1)
            await tunnel.send(2)
            assert [number async for number in tunnel] == [2, 4]
            with pytest.raises(TunnelClosed):
                await tunnel.send(3)

    world.run(main)


def test_an_item_of_the_wrong_type_is_refused_and_the_tunnel_goes_on(world: World, mode: str) -> None:
    async def main() -> None:
        async with solo(Serving, mode) as node, node.open(Double()) as tunnel:
            with pytest.raises(CodecError, match=r"Double solo/.*: an item cannot be sent: int: expected int, got str"):
                await tunnel.send("one")  # type: ignore[arg-type]
            await tunnel.send(1)
            assert await tunnel.receive() == 2

    world.run(main)


def test_a_slow_reader_slows_the_writer(world: World) -> None:
    reader = Reader()

    async def main() -> None:
        async with Node("solo", lambda: reader) as node, node.open(Sum()) as tunnel:
            sent = 0

            async def write() -> None:
                nonlocal sent
                for number in range(500):
                    await tunnel.send(number)
                    sent += 1

            writing = asyncio.ensure_future(write())
            await until(lambda: sent == WINDOW)
            await turns(20)
            assert sent <= WINDOW
            for _ in range(200):
                reader.allowed.release()
            await until(lambda: len(reader.read) == 201)
            await turns(20)
            assert sent <= 201 + WINDOW
            assert len(tunnel._far._queue) <= WINDOW  # type: ignore[union-attr]
            for _ in range(500):
                reader.allowed.release()
            await writing
            tunnel.end()
            await until(lambda: reader.ended == "returned")
            assert reader.read == list(range(500))

    world.run(main)


def test_several_writers_share_the_credit_and_a_cancelled_one_takes_none(world: World) -> None:
    reader = Reader()

    async def main() -> None:
        async with Node("solo", lambda: reader) as node, node.open(Sum()) as tunnel:
            writers = [asyncio.ensure_future(tunnel.send(number)) for number in range(WINDOW + 40)]
            await until(lambda: sum(writer.done() for writer in writers) == WINDOW)
            for writer in writers[WINDOW : WINDOW + 20]:
                writer.cancel()
            for _ in range(500):
                reader.allowed.release()
            await until(lambda: len(reader.read) == WINDOW + 20)
            assert reader.read == [*range(WINDOW), *range(WINDOW + 20, WINDOW + 40)]
            tunnel.end()
            await until(lambda: reader.ended == "returned")

    world.run(main)


def test_a_receive_that_times_out_loses_nothing(world: World, mode: str) -> None:
    async def main() -> None:
        async with solo(Serving, mode) as node, node.open(Double()) as tunnel:
            for number in range(50):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await tunnel.receive()
                await tunnel.send(number)
                assert await tunnel.receive() == 2 * number

    world.run(main)


def test_an_exception_in_the_block_cancels_the_handler(world: World) -> None:
    reader = Reader()

    async def main() -> None:
        async with Node("solo", lambda: reader) as node:

            async def fail() -> None:
                async with node.open(Sum()) as tunnel:
                    await tunnel.send(1)
                    await until(lambda: reader.read == [1])
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            await until(lambda: reader.ended == "CancelledError")

    world.run(main)


def test_a_task_that_is_cancelled_cancels_the_handler(world: World) -> None:
    reader = Reader()

    async def main() -> None:
        async with Node("solo", lambda: reader) as node:

            async def hold() -> None:
                async with node.open(Sum()) as tunnel:
                    await tunnel.send(1)
                    await asyncio.Event().wait()

            holding = asyncio.ensure_future(hold())
            await until(lambda: reader.read == [1])
            holding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await holding
            await until(lambda: reader.ended == "CancelledError")

    world.run(main)


@event(name="tunnels.Ask")
class Ask(Request[list[int]]):
    """Has the handler open so many tunnels, one after the other; the reply is how many its job had after each."""

    count: int


class Asking(Worker):
    @handles
    async def ask(self, event: Ask) -> list[int]:
        held = []
        for number in range(event.count):
            async with self.open(Double(), timeout=10) as tunnel:
                await tunnel.send(number)
                assert await tunnel.receive() == 2 * number
            job = current.get()
            assert job is not None
            held.append(len(job.tunnels or ()))
        return held


class PlainAsking(Worker):
    @handles
    def ask(self, event: Ask) -> list[int]:
        held = []
        for number in range(event.count):
            with self.blocking.open(Double(), timeout=10) as tunnel:
                tunnel.send(number)
                assert tunnel.receive() == 2 * number
            job = current.get()
            assert job is not None
            held.append(len(job.tunnels or ()))
        return held


@pytest.mark.parametrize("asking", [Asking, PlainAsking], ids=["async", "plain"])
def test_handlers_open_tunnels_and_keep_none_that_is_over(world: World, mode: str, asking: type[Worker]) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Serving), pool_of(asking, mode), **quick()) as node:
            assert await node.request(Ask(20), timeout=20) == [0] * 20

    world.run(main)


def test_opening_has_a_deadline_and_an_open_tunnel_has_none(world: World) -> None:
    reader = Reader()

    class Busy(Reader):
        concurrency = 1

    async def main() -> None:
        busy = Busy()
        async with Node("solo", lambda: busy) as node:
            async with node.open(Sum(), timeout=0.05) as tunnel:
                with pytest.raises(DeadlineExceeded):
                    async with node.open(Sum(), timeout=0.05):
                        pass
                await asyncio.sleep(0.1)
                await tunnel.send(1)
                await until(lambda: busy.read == [1])
                busy.allowed.release()
            assert busy.ended == "returned"

    world.run(main)
    assert reader.ended == ""


class Dying(Worker):
    """Its process ends as soon as an item has come."""

    @handles
    async def double(self, event: Double, tunnel: TunnelEnd[int, int]) -> None:
        await tunnel.send(await tunnel.receive())
        await tunnel.receive()
        os.kill(os.getpid(), signal.SIGKILL)


async def test_a_worker_process_that_dies_ends_its_tunnel_with_an_error_and_another_serves_the_next() -> None:
    async with asyncio.timeout(30), Node("solo", pool_of(Dying, "process"), **quick()) as node:
        for _ in range(2):
            read: list[int] = []
            with pytest.raises(ProviderLost, match="SIGKILL"):
                await exchange(node, read)
            assert read == [1]


async def exchange(node: Node, read: list[int]) -> None:
    async with node.open(Double(), timeout=10) as tunnel:
        await tunnel.send(1)
        read.append(await tunnel.receive())
        await tunnel.send(2)
        await tunnel.receive()


def test_nobody_serves_it(world: World) -> None:
    async def main() -> None:
        async with Node("solo", **quick()) as node:
            with pytest.raises(NoRoute):
                async with node.open(Sum()):
                    pass

    world.run(main)


def test_what_is_no_tunnel_is_not_opened_and_a_tunnel_is_not_requested(world: World) -> None:
    from tests.runtime.cast import Ask

    async def main() -> None:
        async with Node("solo", **quick()) as node:
            with pytest.raises(DeclarationError, match=r"request\(\)"):
                async with node.open(Ask("")):  # type: ignore[arg-type]
                    pass
            with pytest.raises(DeclarationError, match=r"open\(\)"):
                await node.request(Sum())  # type: ignore[arg-type]

    world.run(main)


def test_a_node_that_stops_ends_its_tunnels(world: World, mode: str) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Serving, mode), **quick(drain_timeout=0.05))
        await node.start()
        caught: list[int] = []

        async def hold() -> None:
            async with node.open(Double()) as tunnel:
                await tunnel.send(1)
                assert await tunnel.receive() == 2
                caught.append(0)
                await tunnel.receive()

        holding = asyncio.ensure_future(hold())
        await until(lambda: caught)
        await node.stop()
        with pytest.raises(NodeStopped):
            await holding

    world.run(main)
