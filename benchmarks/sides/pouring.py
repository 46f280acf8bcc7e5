"""What both sides of the tunnel cases share: the items, how their rate is measured, and children to send them to."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter

from benchmarks.sides import measure

SMALL, LARGE = b"x" * 48, b"x" * 65_536
MILLION = 1e6
HOST = "127.0.0.1"


async def items(send: Callable[[bytes], Awaitable[object]]) -> float:
    """Small items per second that the reader keeps up with."""
    return await _rate(lambda: send(SMALL))


async def megabytes(send: Callable[[bytes], Awaitable[object]]) -> float:
    """Megabytes per second in large items."""
    return await _rate(lambda: send(LARGE)) * len(LARGE) / MILLION


async def _rate(send: Callable[[], Awaitable[object]]) -> float:
    await measure.publish_for(send, measure.WARM_UP)
    start = perf_counter()
    return await measure.publish_for(send, measure.WINDOW) / (perf_counter() - start)


KINDS = {"items": items, "bytes": megabytes}


@contextlib.contextmanager
def children(*runs: Callable[[int], None]) -> Iterator[int]:
    """Processes that each run a function of one free port, which is the value, until the block is left."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=run, args=(port,), daemon=True) for run in runs]
    for process in started:
        process.start()
    try:
        yield port
    finally:
        for process in started:
            process.kill()
            process.join()
