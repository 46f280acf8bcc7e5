"""edri: a router in this process, managers in processes of their own, as `EDRI.run` starts them.

No `from __future__ import annotations` here: edri reads the annotations of events and handlers as classes.
"""

import logging
import multiprocessing
import os
import signal
from multiprocessing.sharedctypes import RawArray
from time import monotonic, perf_counter, perf_counter_ns, sleep
from typing import Any

from edri import EDRI
from edri.abstract import ManagerBase, request
from edri.abstract import response as on_response
from edri.abstract.worker import WorkerProcess
from edri.dataclass.event import Event, event
from edri.dataclass.response import Response, response
from edri.dataclass.worker import WorkerPolicy

from benchmarks.sides import measure
from benchmarks.sides.payload import BURST, NUMBER, OUTSTANDING, RATIO, SUBSCRIBERS, TEXT

BATCH = 2_000
"""Notifications sent at once where none may be lost: below the 5,000 at which the router fails a subscriber."""
QUIET = 2.0
"""Seconds without a delivery after which a burst counts as over; a failed subscriber is restarted sooner."""


@response
class EchoResponse(Response):
    number: int
    text: str
    ratio: float


@event
class Echo(Event):
    number: int
    text: str
    ratio: float
    response: EchoResponse


@event
class Tick(Event):
    number: int
    text: str
    ratio: float


def reply(request: Echo) -> None:
    """Set the three fields of the response."""
    request.response.number = request.number
    request.response.text = request.text
    request.response.ratio = request.ratio


class Provider(ManagerBase):
    """Replies in its own handler."""

    @request
    def echo(self, event: Echo) -> None:
        reply(event)


class EchoWorker(WorkerProcess[Echo]):
    """A worker that stays, since a process for each event would cost milliseconds."""

    def do(self) -> None:
        while True:
            event = self.event_receive()
            reply(event)
            self.event_send(event)


class WorkerProvider(ManagerBase):
    """Hands every request to one process worker."""

    def after_start(self) -> None:
        super().after_start()
        self.worker = self.workers.start(None, EchoWorker, policy=WorkerPolicy(cancel_grace=0.0))

    @request
    def echo(self, event: Echo) -> None:
        self.workers[self.worker].pipe.send(event)


class Requester(ManagerBase):
    """Keeps a number of requests under way, measures them, prints the figure and stops the program."""

    def __init__(self, *args: Any, outstanding: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outstanding = outstanding
        self.sent: dict[Any, int] = {}
        self.latencies: list[int] = []
        self.since = self.until = 0.0

    def after_start(self) -> None:
        super().after_start()
        for _ in range(self.outstanding):
            self.ask()

    def ask(self) -> None:
        echo = Echo(NUMBER, TEXT, RATIO)
        self.sent[echo._id] = perf_counter_ns()
        self.send_to_router(echo)

    @on_response
    def on_reply(self, event: Echo) -> None:
        now = perf_counter()
        self.since = self.since or now + measure.WARM_UP
        latency = perf_counter_ns() - self.sent.pop(event._id)
        if now >= self.since:
            self.latencies.append(latency)
        if now < self.since + measure.WINDOW:
            self.ask()
        elif not self.until:
            self.until = now
            finish(self.figure())

    def figure(self) -> float:
        if self.outstanding == 1:
            return measure.microseconds(self.latencies)
        return len(self.latencies) / (self.until - self.since)


class Subscriber(ManagerBase):
    """Counts its notifications, and marks each in shared memory."""

    def __init__(self, *args: Any, index: int = 0, **kwargs: Any) -> None:
        self.index = index
        super().__init__(*args, **kwargs)

    @property
    def name(self) -> str:
        return f"Subscriber{self.index}"

    @request
    def on_tick(self, event: Tick) -> None:
        HANDLED[self.index] += 1
        SEEN[event.number] = 1


HANDLED = RawArray("q", SUBSCRIBERS)
SEEN = RawArray("b", BURST)


class Publisher(ManagerBase):
    """Publishes a batch, waits until all of it was handled, prints deliveries per second and stops the program."""

    subscribers = SUBSCRIBERS

    @on_response
    def on_reply(self, event: Echo) -> None:
        """A manager without a subscription has no line to the router, so it subscribes to what nobody sends."""

    def after_start(self) -> None:
        super().after_start()
        self.publish(10)
        start = perf_counter()
        self.publish(BATCH)
        finish(BATCH * SUBSCRIBERS / (perf_counter() - start))

    def publish(self, count: int) -> None:
        expected = sum(HANDLED) + count * self.subscribers
        for _ in range(count):
            self.send_to_router(Tick(0, TEXT, RATIO))
        while sum(HANDLED) < expected:
            sleep(0.0005)


class Burster(Publisher):
    """Publishes 20,000 notifications at once, prints how many were never handled and stops the program."""

    subscribers = 1

    def after_start(self) -> None:
        ManagerBase.after_start(self)
        self.publish(10)
        SEEN[0] = 0
        for number in range(BURST):
            self.send_to_router(Tick(number, TEXT, RATIO))
        last, since = 0, monotonic()
        while last < BURST and monotonic() - since < QUIET:
            sleep(0.05)
            if sum(SEEN) != last:
                last, since = sum(SEEN), monotonic()
        finish(float(BURST - last))


def finish(value: float) -> None:
    """Report, and stop the program as a service manager would."""
    measure.report(value)
    os.kill(os.getppid(), signal.SIGTERM)


def run(*components: Any) -> None:
    """Run components under one router until one of them stops the program."""
    logging.disable(logging.CRITICAL)
    multiprocessing.set_start_method("fork")
    edri = EDRI()
    for component in components:
        edri.add_component(component)
    edri.run()


CASES = {
    "request-sequence": lambda: run(Provider(), Requester()),
    "request-outstanding": lambda: run(Provider(), Requester(outstanding=OUTSTANDING)),
    "notify-fan-out": lambda: run(Publisher(), *(Subscriber(index=index) for index in range(SUBSCRIBERS))),
    "notify-burst": lambda: run(Burster(), Subscriber()),
    "process-sequence": lambda: run(WorkerProvider(), Requester()),
    "process-outstanding": lambda: run(WorkerProvider(), Requester(outstanding=OUTSTANDING)),
}

if __name__ == "__main__":
    measure.main(CASES)
