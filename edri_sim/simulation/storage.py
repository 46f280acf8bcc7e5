"""Simulated disks: what was committed outlives a crash, and what was being committed may or may not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edri_sim.database import fetch, write
from edri_sim.errors import StorageError
from edri_sim.host import RandomStream, Statement

if TYPE_CHECKING:
    from edri_sim.simulation.host import SimulatedHost
    from edri_sim.simulation.loop import SimulationLoop


Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True, eq=False)
class _Job:
    """What a storage was asked for: ``seconds`` on the disk, and then ``work``, whose result is ``done``'s."""

    work: Work
    seconds: float
    done: asyncio.Future[Any]
    changes: bool = False


class Disk:
    """One database of a host, through all of its lives, with the present life's queue in front of it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.user: SimulatedStorage | None = None
        self._jobs: deque[_Job] = deque()
        self._opened: sqlite3.Connection | None = None

    def put(self, loop: SimulationLoop, job: _Job) -> None:
        """Do ``job`` on ``loop`` after all that was put before it; like bytes in flight, it keeps the run alive."""
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._begin(loop)

    def _begin(self, loop: SimulationLoop) -> None:
        loop.deliver_at(loop.time() + self._jobs[0].seconds, partial(self._finish, loop), copy_context())

    def _finish(self, loop: SimulationLoop) -> None:
        job = self._jobs.popleft()
        try:
            value = job.work(self._connection())
        except Exception as error:
            if not job.done.done():
                job.done.set_exception(error)
        else:
            if not job.done.done():
                job.done.set_result(value)
        if self._jobs:
            self._begin(loop)

    def crash(self, stream: RandomStream) -> None:
        """End the present life's use: what was being committed is stored or not, what waited behind it is not.

        Which of the two, ``stream`` decides.
        """
        jobs, self._jobs = self._jobs, deque()
        self.user = None
        if jobs and jobs[0].changes and stream.random() < 0.5:
            with suppress(Exception):  # It would have been refused.
                jobs[0].work(self._connection())

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            # The kernel may be run in one thread now, and in another later.
            self._opened = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        return self._opened

    def close(self) -> None:
        """The simulation is over."""
        if self._opened is not None:
            self._opened.close()


class SimulatedStorage:
    """See :class:`~edri_sim.host.Storage`: a handle that one life of a host has on one of its disks.

    A commit takes the host's ``costs.commit`` seconds, a read none but those of the commits before it.
    """

    def __init__(self, host: SimulatedHost, disk: Disk) -> None:
        self._host = host
        self._disk = disk
        self._loop = host.loop
        self._closed = False

    def __repr__(self) -> str:
        return f"<SimulatedStorage {self._disk.place}>"

    async def commit(self, batch: Sequence[Statement]) -> None:
        """See :class:`~edri_sim.host.Storage`."""
        troubles, place = self._host.troubles, self._disk.place

        def work(connection: sqlite3.Connection) -> None:
            troubles.check_room(place)
            write(connection, batch, place)

        await self._put(work, self._host.costs.commit + troubles.delay, changes=True)

    async def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See :class:`~edri_sim.host.Storage`."""
        rows: list[tuple[Any, ...]] = await self._put(
            lambda connection: fetch(connection, query, parameters, self._disk.place)
        )
        return rows

    async def close(self) -> None:
        """See :class:`~edri_sim.host.Storage`."""
        if self._disk.user is self and not self._closed:
            released = self._put(self._release)
            self._closed = True
            await released
        self._closed = True

    def _release(self, _: sqlite3.Connection) -> None:
        self._disk.user = None

    def _put(self, work: Work, seconds: float = 0.0, *, changes: bool = False) -> asyncio.Future[Any]:
        self._claim()
        done: asyncio.Future[Any] = self._loop.create_future()
        self._disk.put(self._loop, _Job(work, seconds, done, changes))
        return done

    def _claim(self) -> None:
        """Make this the one handle that uses the disk."""
        disk = self._disk
        if self._closed:
            raise StorageError(f"storage {disk.place}: it is closed; ask the host for it again")
        if not self._host.up or self._host.loop is not self._loop:
            raise StorageError(f"storage {disk.place}: the host went down, and this life of it stores nothing any more")
        if disk.user not in (None, self):
            raise StorageError(
                f"storage {disk.place}: this process has it open: stop that first, or change the data folder"
            )
        disk.user = self
