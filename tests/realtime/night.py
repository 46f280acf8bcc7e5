"""A durable scheduler that rings, and is killed: what each of its lives has rung, written down line by line."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edri_sim import DeadLetter, Manager, Node, Notification, Scheduler, event, handles, part
from edri_sim.scheduling import Schedule

COUNT = 500
PERIOD = 0.006
"""Seconds between two rings."""
AHEAD = 1.0
"""Seconds until the first of them: by then all are scheduled."""


@event(name="night.Ring")
class Ring(Notification):
    number: int
    due: float


class Diary(Manager):
    """A line for each ring, written by one system call: it is there, or it is not, whenever the process is killed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def stop(self) -> None:
        os.close(self._file)

    @handles
    async def on_ring(self, event: Ring) -> None:
        os.write(self._file, f"rung {event.number} {time.time() - event.due:.6f}\n".encode())

    @handles
    async def on_letter(self, event: DeadLetter) -> None:
        os.write(self._file, f"{event.reason.partition(':')[0]}, {event.where}\n".encode())


async def watch(folder: Path, first: bool) -> None:
    parts = part(Diary, folder / "diary"), part(Scheduler, storage="schedules")
    async with Node("night", *parts, data=str(folder), route_grace=0.01) as node:
        if first:
            begin = datetime.now(UTC) + timedelta(seconds=AHEAD)
            for number in range(COUNT):
                at = begin + timedelta(seconds=number * PERIOD)
                await node.request(Schedule(Ring(number, at.timestamp()), at=at, id=str(number)))
        print("ready", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(watch(Path(sys.argv[1]), sys.argv[2] == "first"))
