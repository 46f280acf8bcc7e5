"""Workers that break when told to; light, for process workers import this module too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from edri_sim import Notification, Request, Worker, event, handles
from edri_sim.errors import WorkerBroken
from tests.runtime.cast import Ask, Enter


@event(name="breakers.Break")
class Break(Request[str]):
    """Answered, unless the worker breaks on it."""

    how: str = "break"


@event(name="breakers.Try", idempotent=True)
class Try(Request[int]):
    """Breaks the first ``deaths`` workers that get it, by the count in a file, and is answered with that count."""

    path: str
    deaths: int


@event(name="breakers.Keep", ack="handled")
class Keep(Notification):
    """As Try."""

    path: str
    deaths: int


@event(name="breakers.Repeated")
class Repeated(Notification):
    """A worker has handled a Keep in the end."""

    count: int
    redelivered: bool
    event_id: str


@event(name="breakers.Sleep")
class Sleep(Request[str]):
    """Takes its time; ``deaf``: and does not heed its cancellation."""

    seconds: float
    deaf: bool = False


@event(name="breakers.Nap")
class Nap(Notification):
    seconds: float


def count(path: str) -> int:
    """One more than there were, in any process."""
    file = Path(path)
    number = int(file.read_text(encoding="utf-8")) + 1 if file.exists() else 1
    file.write_text(str(number), encoding="utf-8")
    return number


class Brittle(Worker):
    """Breaks on order, in a coroutine."""

    @handles
    async def ask(self, event: Ask) -> str:
        await self.request(Enter(event.text))
        return event.text

    @handles
    async def broken(self, event: Break) -> str:
        if event.how == "break":
            raise WorkerBroken("its device is lost")
        if event.how == "silent":
            raise WorkerBroken
        return event.how

    @handles
    async def attempt(self, event: Try) -> int:
        number = count(event.path)
        if number <= event.deaths:
            raise WorkerBroken("cannot bear it")
        return number

    @handles
    async def keep(self, event: Keep) -> None:
        number = count(event.path)
        if number <= event.deaths:
            raise WorkerBroken("cannot bear it")
        delivery = self.delivery
        await self.notify(Repeated(number, delivery.redelivered, delivery.event_id))


class PlainBrittle(Worker):
    """Breaks on order, in blocking code."""

    @handles
    def ask(self, event: Ask) -> str:
        self.blocking.request(Enter(event.text))
        return event.text

    @handles
    def broken(self, event: Break) -> str:
        if event.how == "break":
            raise WorkerBroken("its device is lost")
        return event.how


class Sleeper(Worker):
    """Is slower than it may be."""

    @handles
    async def sleep(self, event: Sleep) -> str:
        end = asyncio.get_running_loop().time() + event.seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                if not event.deaf:
                    raise
        return "slept"

    @handles
    async def nap(self, event: Nap) -> None:
        await asyncio.sleep(event.seconds)

    @handles
    async def broken(self, event: Break) -> str:
        return event.how


class Blocked(Worker):
    """Blocks its thread or process."""

    @handles
    def sleep(self, event: Sleep) -> str:
        time.sleep(event.seconds)
        return "slept"

    @handles
    async def broken(self, event: Break) -> str:
        return event.how
