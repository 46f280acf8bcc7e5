"""Our events and components: what an application would declare. A module of its own, so that children import it."""

from __future__ import annotations

import asyncio

from benchmarks.sides import model
from benchmarks.sides.payload import NUMBER, OUTSTANDING, RATIO, TEXT, Payload
from edri_sim import Manager, Notification, Pool, Request, Worker, event, handles


@event
class Echo(Request[Payload]):
    number: int
    text: str
    ratio: float


@event
class Tick(Notification):
    number: int
    text: str
    ratio: float


def echo_request() -> Echo:
    """A new request with the payload."""
    return Echo(NUMBER, TEXT, RATIO)


def tick(number: int = NUMBER) -> Tick:
    """A new notification with the payload."""
    return Tick(number, TEXT, RATIO)


class EchoManager(Manager):
    """Replies in an async handler of its own."""

    @handles
    async def echo(self, event: Echo) -> Payload:
        return Payload(event.number, event.text, event.ratio)


class EchoWorker(Worker):
    """Replies in a plain handler, which may block."""

    @handles
    def echo(self, event: Echo) -> Payload:
        return Payload(event.number, event.text, event.ratio)


class MethodPool(Manager):
    workers = Pool(EchoWorker, mode="method", size=1, queue=1_000)


class ProcessPool(Manager):
    workers = Pool(EchoWorker, mode="process", size=1, queue=1_000)


class BusyProcessPool(Manager):
    """As many events at the child as there are outstanding: what xoscar sends to its actor's process too."""

    workers = Pool(EchoWorker, mode="process", size=1, concurrency=OUTSTANDING, queue=1_000)


class Subscriber(Manager):
    """Marks each notification that it handles in an array that it shares with the benchmark."""

    def __init__(self, seen: bytearray) -> None:
        super().__init__()
        self.seen = seen
        self.handled = 0

    @handles
    async def on_tick(self, event: Tick) -> None:
        self.handled += 1
        self.seen[event.number] = 1


class AsyncEchoWorker(Worker):
    """Replies in an async handler."""

    @handles
    async def echo(self, event: Echo) -> Payload:
        return Payload(event.number, event.text, event.ratio)


class Service(Manager):
    """The workers of the simulated model; how long they take is said by the simulation's ``service``."""

    workers = Pool(AsyncEchoWorker, mode="method", size=model.WORKERS, queue=1_000)


class SleepingWorker(Worker):
    """Takes the model's service time for each request by itself, in unmodified asyncio."""

    @handles
    async def echo(self, event: Echo) -> Payload:
        await asyncio.sleep(model.SERVICE_TIME)
        return Payload(event.number, event.text, event.ratio)


class SleepingService(Manager):
    workers = Pool(SleepingWorker, mode="method", size=model.WORKERS, queue=1_000)
