"""How a side measures itself: a warm-up, then a window of wall time; the same for ours and theirs."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import perf_counter, perf_counter_ns
from typing import Any

WARM_UP = 0.15
"""Seconds that run unmeasured, so that caches are warm and children are up."""
WINDOW = 0.8
"""Seconds that are measured."""
CHUNK = 1_000
"""Publications between two looks at the clock, where looking at each would be measured itself."""

Measurement = Callable[[], float | None]
"""Runs one case and returns its figure, or None where it reported the figure itself."""


def main(cases: Mapping[str, Measurement]) -> None:
    """Run the case named by the first argument and print its figure as one JSON line."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in cases:
        raise SystemExit(f"unknown case {name!r}; this side has: {', '.join(cases)}")
    value = cases[name]()
    if value is not None:
        report(value)


def report(value: float) -> None:
    """Print one figure, in the case's unit, as the line that the harness reads."""
    print(json.dumps({"value": value}), flush=True)


def microseconds(latencies: list[int]) -> float:
    """The median of latencies in nanoseconds, in microseconds."""
    return statistics.median(latencies) / 1_000


def sequence(call: Callable[[], object]) -> float:
    """The p50 latency, in microseconds, of a blocking call made again and again."""
    _repeat(call, WARM_UP)
    return microseconds(_repeat(call, WINDOW))


def _repeat(call: Callable[[], object], seconds: float) -> list[int]:
    latencies = []
    end = perf_counter_ns() + int(seconds * 1e9)
    before = 0
    while before < end:
        before = perf_counter_ns()
        call()
        latencies.append(perf_counter_ns() - before)
    return latencies


def rate(call: Callable[[], object], each: int) -> float:
    """Calls per second of a blocking function that makes `each` of them at a time."""
    _count(call, WARM_UP)
    start = perf_counter()
    return each * _count(call, WINDOW) / (perf_counter() - start)


def _count(call: Callable[[], object], seconds: float) -> int:
    count = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        call()
        count += 1
    return count


async def sequence_async(call: Callable[[], Awaitable[object]]) -> float:
    """The p50 latency, in microseconds, of a call awaited again and again."""
    await _repeat_async(call, WARM_UP)
    return microseconds(await _repeat_async(call, WINDOW))


async def _repeat_async(call: Callable[[], Awaitable[object]], seconds: float) -> list[int]:
    latencies = []
    end = perf_counter_ns() + int(seconds * 1e9)
    before = 0
    while before < end:
        before = perf_counter_ns()
        await call()
        latencies.append(perf_counter_ns() - before)
    return latencies


class Throughput:
    """Counts calls per second from the end of the warm-up on; `done` ends the calling."""

    def __init__(self) -> None:
        self.count = 0
        self.done = False

    async def watch(self) -> float:
        """Let the callers run; returns the calls per second within the window."""
        await asyncio.sleep(WARM_UP)
        count, start = self.count, perf_counter()
        await asyncio.sleep(WINDOW)
        rate = (self.count - count) / (perf_counter() - start)
        self.done = True
        return rate


async def outstanding_async(call: Callable[[], Awaitable[object]], callers: int) -> float:
    """Calls per second of `callers` tasks that each await one call after the other."""
    throughput = Throughput()

    async def caller() -> None:
        while not throughput.done:
            await call()
            throughput.count += 1

    tasks = [asyncio.create_task(caller()) for _ in range(callers)]
    rate = await throughput.watch()
    await asyncio.gather(*tasks)
    return rate


async def deliveries_async(
    publish: Callable[[], Awaitable[object]], handled: Callable[[], int], subscribers: int
) -> float:
    """Deliveries per second, from the first publication until the last delivery was handled."""
    warm = await publish_for(publish, WARM_UP)
    await _settle(handled, warm * subscribers)
    before, start = handled(), perf_counter()
    published = await publish_for(publish, WINDOW)
    await _settle(handled, before + published * subscribers)
    return published * subscribers / (perf_counter() - start)


async def publish_for(publish: Callable[[], Awaitable[object]], seconds: float) -> int:
    published = 0
    end = perf_counter() + seconds
    while perf_counter() < end:
        for _ in range(CHUNK):
            await publish()
        published += CHUNK
    return published


async def _settle(handled: Callable[[], int], expected: int) -> None:
    while handled() < expected:  # noqa: ASYNC110 - to set an event would cost each delivery what is not being measured
        await asyncio.sleep(0)


def run_async(main: Callable[[], Coroutine[Any, Any, float]]) -> Measurement:
    """A measurement that runs a coroutine function on uvloop where it is installed, for every side alike."""
    return lambda: _run(main())


try:
    from uvloop import run as _run
except ImportError:
    from asyncio import run as _run
