"""The bare limit: what asyncio's queues and futures, and a pipe to a child, cost with no framework around them."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections.abc import AsyncIterator, Coroutine, Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.sides import measure
from benchmarks.sides.payload import OUTSTANDING, SUBSCRIBERS, Payload, payload


@contextlib.asynccontextmanager
async def _running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request_sequence() -> float:
    """A round trip through two asyncio queues and an echoing task."""
    requests: asyncio.Queue[Payload] = asyncio.Queue()
    replies: asyncio.Queue[Payload] = asyncio.Queue()

    async def echo() -> None:
        while True:
            replies.put_nowait(await requests.get())

    async def call() -> Payload:
        requests.put_nowait(payload())
        return await replies.get()

    async with _running(echo()):
        return await measure.sequence_async(call)


async def request_outstanding() -> float:
    """100 tasks that each put a future on one queue and await it."""
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[tuple[Payload, asyncio.Future[Payload]]] = asyncio.Queue()

    async def echo() -> None:
        while True:
            request, reply = await requests.get()
            reply.set_result(request)

    async def call() -> Payload:
        reply: asyncio.Future[Payload] = loop.create_future()
        requests.put_nowait((payload(), reply))
        return await reply

    async with _running(echo()):
        return await measure.outstanding_async(call, OUTSTANDING)


async def notify_fan_out() -> float:
    """One publisher, ten bounded queues, ten tasks that count."""
    queues: list[asyncio.Queue[Payload]] = [asyncio.Queue(1_000) for _ in range(SUBSCRIBERS)]
    handled = [0] * SUBSCRIBERS

    async def subscribe(index: int) -> None:
        queue = queues[index]
        while True:
            await queue.get()
            handled[index] += 1

    async def publish() -> None:
        notification = payload()
        for queue in queues:
            await queue.put(notification)

    async with _running(*(subscribe(index) for index in range(SUBSCRIBERS))):
        return await measure.deliveries_async(publish, lambda: sum(handled), SUBSCRIBERS)


def _echo(connection: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            connection.send(connection.recv())


@contextlib.contextmanager
def _echoing_child() -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_echo, args=(theirs,))
    child.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        child.join()


def process_sequence() -> float:
    """A round trip of one pickled payload through a pipe to a child that echoes."""
    with _echoing_child() as connection:

        def call() -> None:
            connection.send(payload())
            connection.recv()

        return measure.sequence(call)


def process_outstanding() -> float:
    """The same pipe with up to 100 payloads under way, taken and refilled by halves: faster than one by one."""
    half = OUTSTANDING // 2
    with _echoing_child() as connection:

        def send() -> None:
            for _ in range(half):
                connection.send(payload())

        def receive() -> None:
            for _ in range(half):
                connection.recv()

        def call() -> None:
            receive()
            send()

        send()
        send()
        rate = measure.rate(call, half)
        receive()
        receive()
        return rate


CASES: dict[str, measure.Measurement] = {
    "request-sequence": measure.run_async(request_sequence),
    "request-outstanding": measure.run_async(request_outstanding),
    "notify-fan-out": measure.run_async(notify_fan_out),
    "process-sequence": process_sequence,
    "process-outstanding": process_outstanding,
}

if __name__ == "__main__":
    measure.main(CASES)
