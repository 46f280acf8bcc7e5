"""salabim, by hand: generator components that queue requests and wake one another with activate."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import salabim

from benchmarks.sides import measure, model
from benchmarks.sides.payload import Payload, payload

Process = Generator[None, None, None]


class Client(salabim.Component):
    def setup(self, router: Forward, requests: int) -> None:
        self.router = router
        self.requests = requests

    def process(self) -> Process:
        for _ in range(self.requests):
            self.router.put((payload(), self))
            yield self.passivate()


class Forward(salabim.Component):
    def setup(self, target: Forward | Workers) -> None:
        self.target = target
        self.inbox: deque[tuple[Payload, Client]] = deque()

    def put(self, request: tuple[Payload, Client]) -> None:
        self.inbox.append(request)
        if self.ispassive():
            self.activate()

    def process(self) -> Process:
        while True:
            while not self.inbox:
                yield self.passivate()
            self.target.put(self.inbox.popleft())


class Workers:
    """The queue before the workers, and the workers that are idle."""

    def __init__(self) -> None:
        self.inbox: deque[tuple[Payload, Client]] = deque()
        self.idle: deque[Worker] = deque()

    def put(self, request: tuple[Payload, Client]) -> None:
        self.inbox.append(request)
        if self.idle:
            self.idle.popleft().activate()


class Worker(salabim.Component):
    def setup(self, workers: Workers) -> None:
        self.workers = workers

    def process(self) -> Process:
        inbox = self.workers.inbox
        while True:
            while not inbox:
                self.workers.idle.append(self)
                yield self.passivate()
            _, requester = inbox.popleft()
            yield self.hold(model.SERVICE_TIME)
            requester.activate()


def run(requests: int) -> float:
    """Build and run the model; returns the simulated seconds."""
    salabim.yieldless(False)
    env = salabim.Environment(trace=False)
    workers = Workers()
    for _ in range(model.WORKERS):
        Worker(workers=workers)
    router = Forward(target=Forward(target=workers))
    for _ in range(model.CLIENTS):
        Client(router=router, requests=requests)
    env.run()
    return float(env.now())


if __name__ == "__main__":
    measure.main({"simulated-requests": lambda: model.per_wall_second(run)})
