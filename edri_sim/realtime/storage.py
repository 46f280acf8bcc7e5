"""Storage in a file: an SQLite database that one thread of its own opens, writes and closes."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from edri_sim.database import READ_ONLY, fetch, ours, write
from edri_sim.errors import StorageError
from edri_sim.host import Statement

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

# In this order: a lock that is exclusive before the first access to the log needs no shared memory, and is held until
# the connection closes. FULL syncs the log to the disk at every commit.
_SETUP = ("PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
          "BEGIN IMMEDIATE", "COMMIT")  # fmt: skip


class FileStorage:
    """See :class:`~edri_sim.host.Storage`: the file ``path``, locked against all others while it is open.

    Beside it, ``.pid`` names the process that has it open. A folder that is missing is made, for its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = str(path)
        self._owner = path.with_suffix(".pid")
        self._jobs: queue.SimpleQueue[tuple[Work | None, asyncio.Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<FileStorage {self._place}>"

    async def commit(self, batch: Sequence[Statement]) -> None:
        """See :class:`~edri_sim.host.Storage`."""
        await self._do(lambda connection: write(connection, batch, self._place))

    async def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """See :class:`~edri_sim.host.Storage`."""
        rows: list[tuple[Any, ...]] = await self._do(
            lambda connection: fetch(connection, query, parameters, self._place)
        )
        return rows

    async def close(self) -> None:
        """See :class:`~edri_sim.host.Storage`."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is not None:
            await self._put(None)
            thread.join()

    async def _do(self, work: Work) -> Any:
        if self._closed:
            raise StorageError(f"storage {self._place}: it is closed; ask the host for it again")
        if self._thread is None:
            # A daemon, so that a program which forgets to close it can end: what was acknowledged is on the disk.
            self._thread = threading.Thread(target=self._serve, name=f"storage {self._path.stem}", daemon=True)
            self._thread.start()
        return await self._put(work)

    def _put(self, work: Work | None) -> asyncio.Future[Any]:
        done = asyncio.get_running_loop().create_future()
        self._jobs.put((work, done))
        return done

    # In the thread

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            work, done = self._jobs.get()
            if work is None:
                break
            try:
                connection = connection or self._open()
                value = work(connection)
            except BaseException as error:
                _tell(done, _fail, error)
            else:
                _tell(done, _succeed, value)
        if connection is not None:
            self._release(connection)
        _tell(done, _succeed, None)

    def _open(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_writable()
            with ours(self._place):
                connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
                self._set_up(connection)
            self._owner.write_text(str(os.getpid()), encoding="ascii")
        except OSError as error:
            raise StorageError(
                f"storage {self._place}: {error.strerror}: expected a folder that this program may write to"
            ) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return connection

    def _check_writable(self) -> None:
        """SQLite would open what it may only read, and call it a failure of the disk that it cannot lock it."""
        for path in (self._path.parent, self._path):
            if path.exists() and not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise StorageError(f"storage {self._place}: {READ_ONLY}")

    def _set_up(self, connection: sqlite3.Connection) -> None:
        try:
            for statement in _SETUP:
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise StorageError(
                f"storage {self._place}: {self._holder()} has it open: stop that first, or change the data folder"
            ) from error

    def _holder(self) -> str:
        try:
            number = int(self._owner.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return "another process"
        return "this process" if number == os.getpid() else f"process {number}"

    def _release(self, connection: sqlite3.Connection) -> None:
        with suppress(OSError):
            self._owner.unlink()  # Before the lock goes: after that it would be the next one's.
        connection.close()


def _tell(future: asyncio.Future[Any], settle: Callable[[asyncio.Future[Any], Any], None], value: Any) -> None:
    with suppress(RuntimeError):  # The loop may be closed by the time that the disk has done its work.
        future.get_loop().call_soon_threadsafe(settle, future, value)


def _succeed(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
