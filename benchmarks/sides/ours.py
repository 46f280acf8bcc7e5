"""edri-sim in real time: default settings and tracing, a deadline on each request."""

from __future__ import annotations

from benchmarks.sides import measure
from benchmarks.sides.components import (
    BusyProcessPool,
    EchoManager,
    MethodPool,
    ProcessPool,
    Subscriber,
    echo_request,
    tick,
)
from benchmarks.sides.payload import BURST, NUMBER, OUTSTANDING, SUBSCRIBERS
from edri_sim import Manager, Node

TIMEOUT = 5.0
"""The deadline of each request, in seconds."""


async def sequence(manager: type[Manager]) -> float:
    """p50 latency in microseconds of one request after the other."""
    async with Node("bench", manager) as node:
        return await measure.sequence_async(lambda: node.request(echo_request(), timeout=TIMEOUT))


async def outstanding(manager: type[Manager]) -> float:
    """Requests per second with 100 under way."""
    async with Node("bench", manager) as node:
        return await measure.outstanding_async(lambda: node.request(echo_request(), timeout=TIMEOUT), OUTSTANDING)


async def fan_out() -> float:
    """Deliveries per second of notifications to ten subscribers."""
    subscribers = [Subscriber(bytearray(NUMBER + 1)) for _ in range(SUBSCRIBERS)]

    def handled() -> int:
        return sum(subscriber.handled for subscriber in subscribers)

    async with Node("bench", *((lambda made=made: made) for made in subscribers)) as node:
        return await measure.deliveries_async(lambda: node.notify(tick()), handled, SUBSCRIBERS)


async def burst() -> float:
    """How many of 20,000 notifications, published without a pause, their one subscriber never handled."""
    subscriber = Subscriber(bytearray(BURST))
    async with Node("bench", lambda: subscriber) as node:
        for number in range(BURST):
            await node.notify(tick(number))
    return float(BURST - sum(subscriber.seen))


CASES: dict[str, measure.Measurement] = {
    "request-sequence": measure.run_async(lambda: sequence(EchoManager)),
    "request-sequence-worker": measure.run_async(lambda: sequence(MethodPool)),
    "request-outstanding": measure.run_async(lambda: outstanding(EchoManager)),
    "notify-fan-out": measure.run_async(fan_out),
    "notify-burst": measure.run_async(burst),
    "process-sequence": measure.run_async(lambda: sequence(ProcessPool)),
    "process-outstanding": measure.run_async(lambda: outstanding(BusyProcessPool)),
}

if __name__ == "__main__":
    measure.main(CASES)
