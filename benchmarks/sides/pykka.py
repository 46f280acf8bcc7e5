"""Pykka: actors on threads, each with a queue.Queue for its inbox."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from pykka import Future, ThreadingActor, get_all

from benchmarks.sides import measure
from benchmarks.sides.payload import OUTSTANDING, SUBSCRIBERS, Payload, payload


class Echo(ThreadingActor):
    """Replies with the message."""

    def on_receive(self, message: Payload) -> Payload:
        return message


class Subscriber(ThreadingActor):
    """Counts what it is told; asked, it replies with its count."""

    def __init__(self) -> None:
        super().__init__()
        self.handled = 0

    def on_receive(self, message: Payload | None) -> int:
        self.handled += message is not None
        return self.handled


def request_outstanding() -> float:
    """100 asks, then their 100 replies, again and again; to replace each reply at once is no faster."""
    echo = Echo.start()

    def call() -> None:
        futures: list[Future[Any]] = [echo.ask(payload(), block=False) for _ in range(OUTSTANDING)]
        get_all(futures)

    try:
        return measure.rate(call, OUTSTANDING)
    finally:
        echo.stop()


def notify_fan_out() -> float:
    """Each payload is told to ten actors; an ask at the end of each chunk waits until they handled it."""
    subscribers = [Subscriber.start() for _ in range(SUBSCRIBERS)]

    def chunk() -> None:
        for _ in range(measure.CHUNK):
            notification = payload()
            for subscriber in subscribers:
                subscriber.tell(notification)

    def handled() -> int:
        return sum(get_all([subscriber.ask(None, block=False) for subscriber in subscribers]))

    try:
        return _deliveries(chunk, handled)
    finally:
        for subscriber in subscribers:
            subscriber.stop()


def _deliveries(chunk: Callable[[], None], handled: Callable[[], int]) -> float:
    chunk()
    before, start = handled(), perf_counter()
    while perf_counter() - start < measure.WINDOW:
        chunk()
    return (handled() - before) / (perf_counter() - start)


CASES: dict[str, measure.Measurement] = {
    "request-outstanding": request_outstanding,
    "notify-fan-out": notify_fan_out,
}

if __name__ == "__main__":
    measure.main(CASES)
