"""Where a store writes down what it changes, so that its next life has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from edri_sim.host import Statement, Storage
from edri_sim.storing.contents import Record
from edri_sim.storing.outcomes import Mark

_TABLES = (
    "CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, value BLOB, version INTEGER, expires INTEGER)"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outcome (number INTEGER PRIMARY KEY, event TEXT UNIQUE, body BLOB)",
    "CREATE TABLE IF NOT EXISTS forgotten (node TEXT PRIMARY KEY, incarnation INTEGER, number INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS life (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER)",
)


class Change(NamedTuple):
    """What is written with one commit: what keys have now, what came of writes, and what is forgotten of that."""

    entries: Mapping[str, Record | None]
    outcomes: Mapping[str, bytes]
    overdue: Sequence[str]
    forgotten: Mapping[str, Mark]
    revision: int


class Found(NamedTuple):
    """What earlier lives left."""

    entries: list[tuple[str, Record]]
    outcomes: list[tuple[str, bytes]]
    forgotten: list[tuple[str, int, int]]
    revision: int


class Journal(Protocol):
    """Where changes are written down."""

    async def open(self) -> Found:
        """What earlier lives left. Raises StorageError, with nothing left open."""

    async def commit(self, change: Change) -> None:
        """Write all of a change down, or nothing, which StorageError says."""

    async def close(self) -> None:
        """Let go of what :meth:`open` opened."""


class Memory:
    """A journal that keeps nothing: what is stored ends with the life of its node."""

    async def open(self) -> Found:
        """See :class:`Journal`."""
        return Found([], [], [], 0)

    async def commit(self, change: Change) -> None:
        """See :class:`Journal`."""

    async def close(self) -> None:
        """See :class:`Journal`."""


class Stored:
    """A journal in a host's storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def open(self) -> Found:
        """See :class:`Journal`."""
        storage = self._storage
        try:
            await storage.commit([(table, [()]) for table in _TABLES])
            entries = await storage.read("SELECT key, value, version, expires FROM entry ORDER BY key")
            outcomes = await storage.read("SELECT event, body FROM outcome ORDER BY number")
            forgotten = await storage.read("SELECT node, incarnation, number FROM forgotten ORDER BY node")
            life = await storage.read("SELECT revision FROM life")
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            await storage.close()
            raise
        records = [(key, Record(value, version, expires)) for key, value, version, expires in entries]
        marks = [(node, int(incarnation), int(number)) for node, incarnation, number in forgotten]
        return Found(records, [(event, body) for event, body in outcomes], marks, life[0][0] if life else 0)

    async def commit(self, change: Change) -> None:
        """See :class:`Journal`."""
        await self._storage.commit([statement for statement in _statements(change) if statement[1]])

    async def close(self) -> None:
        """See :class:`Journal`."""
        await self._storage.close()


def _statements(change: Change) -> list[Statement]:
    kept: list[Sequence[Any]] = [(key, *record) for key, record in change.entries.items() if record is not None]
    gone = [(key,) for key, record in change.entries.items() if record is None]
    return [
        ("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", kept),
        ("DELETE FROM entry WHERE key = ?", gone),
        ("INSERT INTO outcome (event, body) VALUES (?, ?)", list(change.outcomes.items())),
        ("DELETE FROM outcome WHERE event = ?", [(event,) for event in change.overdue]),
        ("INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?)", [(node, *at) for node, at in change.forgotten.items()]),
        ("INSERT OR REPLACE INTO life VALUES (1, ?)", [(change.revision,)]),
    ]
