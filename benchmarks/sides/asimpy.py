"""asimpy, by hand: a Queue for each queue, an Event for each reply."""

from __future__ import annotations

from asimpy import Environment, Event, Process, Queue

from benchmarks.sides import measure, model
from benchmarks.sides.payload import payload


class Client(Process):
    def init(self, router: Queue, requests: int) -> None:
        self.router = router
        self.requests = requests

    async def run(self) -> None:
        for _ in range(self.requests):
            reply = Event(self._env)
            self.router.put((payload(), reply))
            await reply


class Forward(Process):
    def init(self, source: Queue, target: Queue) -> None:
        self.source = source
        self.target = target

    async def run(self) -> None:
        while True:
            self.target.put(await self.source.get())


class Worker(Process):
    def init(self, source: Queue) -> None:
        self.source = source

    async def run(self) -> None:
        while True:
            request, reply = await self.source.get()
            await self.timeout(model.SERVICE_TIME)
            reply.succeed(request)


def run(requests: int) -> float:
    """Build and run the model; returns the simulated seconds. No put is awaited: the queues are unbounded."""
    env = Environment()
    router, manager, workers = Queue(env), Queue(env), Queue(env)
    Forward(env, router, manager)
    Forward(env, manager, workers)
    for _ in range(model.WORKERS):
        Worker(env, workers)
    for _ in range(model.CLIENTS):
        Client(env, router, requests)
    env.run()
    return float(env.now)


if __name__ == "__main__":
    measure.main({"simulated-requests": lambda: model.per_wall_second(run)})
