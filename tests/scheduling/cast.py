"""Events to schedule, who takes them, and the node that both are on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from edri_sim import DeadLetter, Manager, Node, Notification, Request, Tunnel, event, handles, part
from edri_sim.host import Host, current_host
from edri_sim.scheduling import ScheduleInfo, Scheduler
from edri_sim.settings import Settings
from tests.worlds import until


@event(name="scheduling.Tick")
class Tick(Notification):
    number: int


@event(name="scheduling.Copy")
class Copy(Request[str]):
    text: str


@event(name="scheduling.Pipe")
class Pipe(Tunnel[int, int]):
    pass


class Witness(Manager):
    """Keeps what it is told, with the times of both clocks."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.ticks: list[int] = []
        self.walls: list[datetime] = []
        self.loops: list[float] = []
        self.copies: list[str] = []
        self.letters: list[DeadLetter] = []
        self.pause = 0.0

    @handles
    async def on_tick(self, event: Tick) -> None:
        self.ticks.append(event.number)
        self.walls.append(self._host.now())
        self.loops.append(asyncio.get_running_loop().time())

    @handles
    async def copy(self, event: Copy) -> str:
        self.copies.append(event.text)
        await asyncio.sleep(self.pause)
        if event.text == "broken":
            raise OSError("paper jam")
        return event.text

    @handles
    async def on_letter(self, event: DeadLetter) -> None:
        self.letters.append(event)

    async def has(self, count: int) -> None:
        """Wait for so many ticks."""
        await until(lambda: len(self.ticks) >= count, f"{count} ticks")


class Here:
    """A node with a scheduler and a witness, and the clock of its host."""

    def __init__(self, node: Node, host: Host, witness: Witness) -> None:
        self.node = node
        self.witness = witness
        self._host = host

    async def ask(self, asked: Request[ScheduleInfo]) -> ScheduleInfo:
        return await self.node.request(asked)

    def soon(self, seconds: float = 0.05) -> datetime:
        return self._host.now() + timedelta(seconds=seconds)


@asynccontextmanager
async def here(
    host: Host | None = None, *, settings: dict[str, Any] | None = None, **given: Any
) -> AsyncIterator[Here]:
    """A node that runs; ``given`` are the scheduler's arguments."""
    machine = host or current_host(asyncio.get_running_loop(), Settings())
    witness = Witness(machine)
    async with Node("solo", part(Scheduler, **given), lambda: witness, host=machine, **settings or {}) as node:
        yield Here(node, machine, witness)
