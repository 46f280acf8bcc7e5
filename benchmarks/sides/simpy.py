"""SimPy, by hand: a Store for each queue, an event for each reply."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy import Environment, Event, Store

from benchmarks.sides import measure, model
from benchmarks.sides.payload import Payload, payload

Process = Generator[Event, Any, None]
Request = tuple[Payload, Event]


def client(env: Environment, router: Store, requests: int) -> Process:
    for _ in range(requests):
        reply = env.event()
        router.put((payload(), reply))
        yield reply


def forward(source: Store, target: Store) -> Process:
    while True:
        target.put((yield source.get()))


def worker(env: Environment, source: Store) -> Process:
    while True:
        request, reply = yield source.get()
        yield env.timeout(model.SERVICE_TIME)
        reply.succeed(request)


def run(requests: int) -> float:
    """Build and run the model; returns the simulated seconds. No put is awaited: the stores are unbounded."""
    env = Environment()
    router, manager, workers = Store(env), Store(env), Store(env)
    env.process(forward(router, manager))
    env.process(forward(manager, workers))
    for _ in range(model.WORKERS):
        env.process(worker(env, workers))
    for _ in range(model.CLIENTS):
        env.process(client(env, router, requests))
    env.run()
    return float(env.now)


if __name__ == "__main__":
    measure.main({"simulated-requests": lambda: model.per_wall_second(run)})
