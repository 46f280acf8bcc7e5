"""Workers for tests of real processes; light, for each child imports this module."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from edri_sim import Request, Worker, event, handles
from tests.runtime.cast import Ask, Locate, Told, Tracker, Where, Witness


@event
class Die(Request[str]):
    how: str


class Mortal(Tracker):
    """Dies when told to."""

    @handles
    def die(self, event: Die) -> str:
        if event.how == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif event.how == "exit":
            os._exit(3)
        elif event.how == "hang":
            while True:
                pass
        return "alive"

    @handles
    def told(self, event: Told) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @handles
    async def ask(self, event: Ask) -> str:
        await asyncio.get_running_loop().create_future()
        return ""


class Fragile(Tracker):
    """Cannot start while a file is there."""

    def __init__(self, obstacle: str) -> None:
        super().__init__()
        self.obstacle = Path(obstacle)

    async def start(self) -> None:
        if self.obstacle.exists():
            raise LookupError("an obstacle")

    @handles
    def die(self, event: Die) -> str:
        os._exit(3)


class Patient(Witness):
    """A Witness that says where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    @handles
    def locate(self, event: Locate) -> Where:
        self.count += 1
        return Where(os.getpid(), self.count)


class AnyTold(Worker):
    """Repeats what it hears, with 100 added."""

    @handles
    async def told(self, event: Told) -> None:
        if event.number < 100:
            await self.notify(Told(event.number + 100))
