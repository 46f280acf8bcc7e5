"""The SQLite database behind a storage, real or simulated: whole batches, and its errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edri_sim.errors import StorageError
from edri_sim.host import Statement

READ_ONLY = "it cannot be written: let this program's account write to the file and its folder"

_ADVICE = {
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_FULL: "the disk is full, or the file as large as it may be: make room, or change the data folder",
    sqlite3.SQLITE_IOERR: "the disk failed: mend it, or change the data folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: expected a file in a folder that this program may write to",
    sqlite3.SQLITE_CORRUPT: "it is damaged: put back a copy of it, or move it away to begin with an empty one",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database: expected one, or no file of this name",
}


def write(connection: sqlite3.Connection, batch: Sequence[Statement], place: str) -> None:
    """Run all of ``batch`` in one transaction, or leave everything as it was. Raises StorageError naming ``place``."""
    with ours(place):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in batch:
                _run(connection, statement, rows)
            connection.execute("COMMIT")
        except BaseException:
            _undo(connection)
            raise


def _run(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    if len(rows) == 1:  # executemany is for rows only: it takes no CREATE TABLE.
        connection.execute(statement, rows[0])
    else:
        connection.executemany(statement, rows)


def fetch(connection: sqlite3.Connection, query: str, parameters: Sequence[Any], place: str) -> list[tuple[Any, ...]]:
    """All rows that ``query`` finds; should it change anything, that is undone. Raises StorageError."""
    with ours(place):
        connection.execute("BEGIN")
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            _undo(connection)


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # After some errors SQLite has ended it already.
        connection.execute("ROLLBACK")


@contextmanager
def ours(place: str) -> Iterator[None]:
    """Turn what SQLite raises into StorageError, with what would be right."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _ADVICE.get(code)
        words = str(error) if advice is None else f"{advice} ({error})"
        raise StorageError(f"storage {place}: {words}") from error
