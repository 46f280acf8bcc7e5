"""What a scheduler writes down, so that its next life neither forgets a schedule nor fires an occurrence again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from edri_sim.host import Statement, Storage


class Put(NamedTuple):
    """A schedule as it stands now; ``due``, ``fire`` and ``last`` in microseconds since 1970."""

    id: str
    body: bytes
    due: int
    fire: int
    last: int | None


class Remove(NamedTuple):
    """A schedule is no more."""

    id: str


class Begin(NamedTuple):
    """An occurrence is about to be published: it never will be again.

    ``type`` and ``payload`` are its event, or empty where the schedule is still there to tell.
    """

    id: str
    due: int
    type: str = ""
    payload: bytes = b""


class End(NamedTuple):
    """An occurrence was published."""

    id: str
    due: int


Change = Put | Remove | Begin | End

_TABLES = (
    "CREATE TABLE IF NOT EXISTS schedule (id TEXT PRIMARY KEY, body BLOB, due INTEGER, fire INTEGER, last INTEGER)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS begun (id TEXT, due INTEGER, type TEXT, payload BLOB, PRIMARY KEY (id, due))"
    " WITHOUT ROWID",
)
_SQL: dict[type[Any], str] = {
    Put: "INSERT OR REPLACE INTO schedule VALUES (?, ?, ?, ?, ?)",
    Remove: "DELETE FROM schedule WHERE id = ?",
    Begin: "INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?)",
    End: "DELETE FROM begun WHERE id = ? AND due = ?",
}
"""What writes a change of each kind down."""


class Ledger(Protocol):
    """Where changes are written down."""

    async def open(self) -> tuple[list[Put], list[Begin]]:
        """What earlier lives left: their schedules, and the occurrences of which nobody knows if they were published.

        Raises StorageError, with nothing left open.
        """

    async def commit(self, changes: Sequence[Change]) -> None:
        """Write all of ``changes`` down, or nothing, which StorageError says."""

    async def close(self) -> None:
        """Let go of what :meth:`open` opened."""


class Memory:
    """A ledger that keeps nothing: what is scheduled ends with the life of its node."""

    async def open(self) -> tuple[list[Put], list[Begin]]:
        """See :class:`Ledger`."""
        return [], []

    async def commit(self, changes: Sequence[Change]) -> None:
        """See :class:`Ledger`."""

    async def close(self) -> None:
        """See :class:`Ledger`."""


class Stored:
    """A ledger in a host's storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def open(self) -> tuple[list[Put], list[Begin]]:
        """See :class:`Ledger`."""
        try:
            await self._storage.commit([(table, [()]) for table in _TABLES])
            puts = await self._storage.read("SELECT id, body, due, fire, last FROM schedule ORDER BY id")
            begun = await self._storage.read("SELECT id, due, type, payload FROM begun ORDER BY due, id")
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            await self._storage.close()
            raise
        return [Put(*row) for row in puts], [Begin(*row) for row in begun]

    async def commit(self, changes: Sequence[Change]) -> None:
        """See :class:`Ledger`."""
        batch: list[Statement] = [(_SQL[type(change)], [change]) for change in changes]
        if batch:
            await self._storage.commit(batch)

    async def close(self) -> None:
        """See :class:`Ledger`."""
        await self._storage.close()
