"""edri over its switch: a router, a manager and a connector on either side, and the switch's own main loop between.

A asks until it gets a first reply: what was sent before the connectors have met is sent again from the router's cache
if A's connector was the first to reach the switch, and is lost if it was not.

No `from __future__ import annotations` here: edri reads the annotations of events and handlers as classes.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from time import perf_counter, perf_counter_ns
from typing import Any

from edri import EDRI
from edri.abstract import ManagerBase, request
from edri.abstract import response as on_response
from edri.dataclass.event import Event, event
from edri.dataclass.response import Response, response
from edri.switch import Switch

from benchmarks.sides import links, measure
from benchmarks.sides.payload import NUMBER, OUTSTANDING, RATIO, TEXT

RETRY = 0.1
"""Seconds between two attempts to reach B."""
WINDOW = 3.0
"""Seconds that are measured: at 88 ms a request the others' 0.8 s would hold nine of them."""
UNDER_WAY = 4_000
"""Notifications sent beyond those that B has said that it received: the router fails a subscriber at 5,000."""
EVERY = 200
"""B says after so many notifications how many it has received."""


@response
class EchoResponse(Response):
    number: int
    text: str
    ratio: float


@event(shareable=True)
class Echo(Event):
    number: int
    text: str
    ratio: float
    response: EchoResponse


@event(shareable=True)
class Tick(Event):
    number: int
    text: str
    ratio: float


@event(shareable=True)
class Received(Event):
    count: int


class Responder(ManagerBase):
    """B: replies, and counts notifications."""

    received = 0

    @request
    def echo(self, event: Echo) -> None:
        event.response.number = event.number
        event.response.text = event.text
        event.response.ratio = event.ratio

    @request
    def on_tick(self, event: Tick) -> None:  # noqa: ARG002 - edri finds the handler by this name and its annotation
        self.received += 1
        if self.received % EVERY == 0:
            self.send_to_router(Received(self.received))


class Driver(ManagerBase):
    """A: measures from the first reply on, prints the figure and stops the program."""

    def __init__(self, place: links.Place, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place
        self.requested: dict[Any, int] = {}
        self.since = 0.0
        self.done = False

    def after_start(self) -> None:
        super().after_start()
        self.reached = threading.Event()
        threading.Thread(target=self._ask_until_reached, daemon=True).start()

    def _ask_until_reached(self) -> None:
        while not self.reached.wait(RETRY):
            self.send_to_router(Echo(NUMBER, TEXT, RATIO))

    def ask(self) -> None:
        echo = Echo(NUMBER, TEXT, RATIO)
        self.requested[echo._id] = perf_counter_ns()
        self.send_to_router(echo)

    @on_response
    def on_reply(self, event: Echo) -> None:
        if event._id in self.requested:
            self.replied(perf_counter_ns() - self.requested.pop(event._id))
        elif not self.reached.is_set():
            self.reached.set()
            self.since = perf_counter() + measure.WARM_UP
            self.begin()

    def begin(self) -> None:
        """Called with the first reply."""
        raise NotImplementedError

    def replied(self, latency: int) -> None:
        """Called with each reply after that, and how long it took in nanoseconds."""
        raise NotImplementedError

    def finish(self, value: float) -> None:
        self.done = True
        measure.report(value)
        os.kill(os.getppid(), signal.SIGTERM)


class Ready(Driver):
    """Is done with the first reply."""

    def begin(self) -> None:
        self.finish(self.place.age())


class Requester(Driver):
    """Keeps a number of requests under way."""

    def __init__(self, place: links.Place, outstanding: int = 1, **kwargs: Any) -> None:
        super().__init__(place, **kwargs)
        self.outstanding = outstanding
        self.latencies: list[int] = []

    def begin(self) -> None:
        for _ in range(self.outstanding):
            self.ask()

    def replied(self, latency: int) -> None:
        now = perf_counter()
        if now >= self.since:
            self.latencies.append(latency)
        if now < self.since + WINDOW:
            self.ask()
        elif not self.done:
            self.finish(self.figure(now))

    def figure(self, now: float) -> float:
        if self.outstanding == 1:
            return measure.microseconds(self.latencies)
        return len(self.latencies) / (now - self.since)


class Publisher(Driver):
    """Keeps notifications under way; measures between two of the times at which B has said how many it received."""

    published = 0
    before: tuple[float, int] | None = None

    def begin(self) -> None:
        self.publish(UNDER_WAY)

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.send_to_router(Tick(NUMBER, TEXT, RATIO))
        self.published += count

    @request
    def on_received(self, event: Received) -> None:
        now = perf_counter()
        if self.before is None and now >= self.since:
            self.before = now, event.count
        if now < self.since + WINDOW:
            self.publish(UNDER_WAY - (self.published - event.count))
        elif event.count == self.published and self.before is not None:
            start, count = self.before
            self.finish((event.count - count) / (now - start))


DRIVERS: dict[str, Callable[[links.Place], Driver]] = {
    "link-request-sequence": Requester,
    "link-request-outstanding": lambda place: Requester(place, OUTSTANDING),
    "link-notify": Publisher,
    "link-ready": Ready,
}


def run(component: ManagerBase) -> None:
    """Run a component under a router with a connector, until it stops the program or is stopped."""
    logging.disable(logging.CRITICAL)
    multiprocessing.set_start_method("fork")
    edri = EDRI()
    edri.add_component(component)
    edri.start_connector()
    edri.run()


def switch(_: links.Place) -> None:
    """Forward."""
    logging.disable(logging.CRITICAL)
    Switch().run()


def environment(port: int) -> dict[str, str]:
    """What edri reads when it is imported."""
    return {"EDRI_SWITCH_HOST": links.HOST, "EDRI_SWITCH_PORT": str(port), "EDRI_SWITCH_STATUS_ENABLED": "false"}


if __name__ == "__main__":
    links.main(
        links.Side(
            a=lambda place: run(DRIVERS[place.case](place)),
            b=lambda _: run(Responder()),
            switch=switch,
            environment=environment,
        )
    )
