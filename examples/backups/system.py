"""Nightly backups: a scheduler says when, a vault makes the copies, and neither knows of the other.

python examples/backups/simulate.py    # a year, with a power cut of three days, in simulated time
python examples/backups/hurry.py       # the same vault in real time, with nights of a tenth of a second
"""

from __future__ import annotations

from typing import Any, Protocol

from edri_sim import Manager, Notification, Request, Scheduler, Topology, event, handles, part
from edri_sim.scheduling import ListSchedules, Schedule, ScheduleInfo

ZONE = "Europe/Prague"


@event
class Backup(Notification):
    """It is time to copy a database."""

    database: str


@event
class CountBackups(Request[dict[str, int]]):
    """How many copies there are of each database."""


class Vault(Manager):
    """Makes the copies. The shelf that it puts them on stands in another building, and outlives the machine."""

    def __init__(self, shelf: dict[str, int]) -> None:
        self.shelf = shelf

    @handles
    async def back_up(self, event: Backup) -> None:
        self.shelf[event.database] = self.shelf.get(event.database, 0) + 1

    @handles
    async def count(self, event: CountBackups) -> dict[str, int]:
        return self.shelf


class Door(Protocol):
    """What one needs of a node."""

    async def request(self, event: Any, *, timeout: float | None = None) -> Any: ...


async def arrange(door: Door) -> list[ScheduleInfo]:
    """A copy of the orders every night at half past two, and one of the archive on the first Sunday of a month."""
    await door.request(Schedule(Backup("orders"), cron="30 2 * * *", tz=ZONE, id="nightly", jitter=300))
    await door.request(Schedule(Backup("archive"), cron="0 4 * * SUN#1", tz=ZONE, id="monthly", missed="skip"))
    listed: list[ScheduleInfo] = await door.request(ListSchedules())
    return listed


def office(shelf: dict[str, int]) -> Topology:
    """One machine, whose schedules are on its disk."""
    topology = Topology("backups")
    topology.node("office", part(Scheduler, storage="schedules"), part(Vault, shelf))
    return topology
