"""The durable outbox: what a node has published and no other router has taken yet, in a database.

What changes while a commit is under way is written together with the next one: a *group commit*. Nothing is sent
before it is written, so that a new life never gives a place in the order away twice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from edri_sim.errors import StorageError
from edri_sim.host import Host, Statement, Storage
from edri_sim.links.flow.items import Change, Drop, Flow, Item, Payload, Put
from edri_sim.logs import NodeLog

RETRY = 1.0
"""Seconds between attempts to write where the disk refuses."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS life (one INTEGER PRIMARY KEY CHECK (one = 1), incarnation INTEGER, outbox INTEGER)",
    "CREATE TABLE IF NOT EXISTS flow (peer TEXT PRIMARY KEY, incarnation INTEGER, generation INTEGER, base INTEGER,"
    " next INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS item (peer TEXT, generation INTEGER, seq INTEGER, body BLOB,"
    " PRIMARY KEY (peer, generation, seq)) WITHOUT ROWID",
)


class _Life(NamedTuple):
    incarnation: int
    outbox: int


_SQL: dict[type[Any], str] = {
    _Life: "INSERT OR REPLACE INTO life VALUES (1, ?, ?)",
    Flow: "INSERT OR REPLACE INTO flow VALUES (?, ?, ?, ?, ?)",
    Put: "INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)",
    Drop: "DELETE FROM item WHERE peer = ? AND generation = ? AND seq = ?",
}
"""What writes a change of each kind down."""


class _Batch:
    """Changes that are written together; ``done`` once they are on the disk."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.changes: list[Change | _Life] = []
        self.done: asyncio.Future[None] = loop.create_future()


class _Stored(msgspec.Struct, array_like=True):
    """An item as it is written; times are of the wall clock, in seconds, for a loop's clock dies with its life."""

    kind: int
    type: str
    payload: bytes
    origin: int
    number: int
    created: float
    deadline: float | None
    ref: int
    schema: str
    trace: str
    latest: bool
    handled: bool
    redelivered: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class DurableOutbox:
    """What one life of a node writes down, and what it found of the lives before it.

    ``incarnation`` is this life's number, ``identity`` the outbox's own; both are known after :meth:`open`.
    """

    def __init__(self, host: Host, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.incarnation = 0
        self.identity = 0
        self.flows: list[tuple[Flow, list[Put]]] = []
        """What earlier lives left: each flow, with its items on this loop's clock."""
        self.on_committed: Callable[[Flow], None] = lambda _: None
        """Told of each flow that was written down."""
        self._storage: Storage = host.storage(name)
        self._log = NodeLog("outbox", name, host.now)
        self._loop = loop
        # What is added to a time on the loop's clock to have it on the wall's.
        self._offset = host.now().timestamp() - loop.time()
        self._writer: asyncio.Task[None] | None = None
        self._present = _Batch(loop)
        """What is being written, or was written last."""
        self._present.done.set_result(None)
        self._next = _Batch(loop)
        self._closing = False

    async def open(self, incarnation: int) -> None:
        """Take the next number, at least ``incarnation``, for this life, and read what is left of the lives before.

        Raises:
            StorageError: the database cannot be used; the message says what would be right.
        """
        try:
            await self._storage.commit([(table, [()]) for table in _TABLES])
            former = await self._storage.read("SELECT incarnation, outbox FROM life")
            last, self.identity = former[0] if former else (0, incarnation)
            # A clock that was set back must not bring an old number back.
            self.incarnation = max(incarnation, last + 1)
            await self._storage.commit([(_SQL[_Life], [(self.incarnation, self.identity)])])
            self.flows = await self._read_flows()
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            await self._storage.close()
            raise

    async def _read_flows(self) -> list[tuple[Flow, list[Put]]]:
        puts: dict[str, list[Put]] = {}
        for peer, generation, seq, body in await self._storage.read(
            "SELECT * FROM item ORDER BY peer, generation, seq"
        ):
            puts.setdefault(peer, []).append(Put(peer, generation, seq, self._item(body)))
        flows = [Flow(*row) for row in await self._storage.read("SELECT * FROM flow ORDER BY peer")]
        return [(flow, puts.get(flow.peer, [])) for flow in flows]

    def _item(self, body: bytes) -> Item:
        stored = _decode(body)
        deadline = math.inf if stored.deadline is None else stored.deadline - self._offset
        return Item(
            stored.kind, stored.type, Payload(stored.payload), stored.origin, stored.number,
            stored.created - self._offset, deadline, stored.ref, stored.schema, stored.trace, stored.latest,
            stored.handled, stored.redelivered,
        )  # fmt: skip

    def _body(self, item: Item) -> bytes:
        deadline = None if item.deadline == math.inf else item.deadline + self._offset
        return _encode(
            _Stored(
                item.kind, item.type, item.payload.data, item.origin, item.number, item.created + self._offset,
                deadline, item.ref, item.schema, item.trace, item.latest, item.handled, item.redelivered,
            )
        )  # fmt: skip

    # Writing

    @property
    def busy(self) -> bool:
        """Whether something is not written yet."""
        return self._writer is not None

    def write(self, changes: Sequence[Change]) -> None:
        """Write changes down, with what else comes while the disk is busy; after :meth:`close`, nothing."""
        self._add(changes)

    def renumber(self, incarnation: int) -> None:
        """This life has a later number than was thought: the next one must have a later one still."""
        self.incarnation = incarnation
        self._add([_Life(incarnation, self.identity)])

    def _add(self, changes: Sequence[Change | _Life]) -> None:
        if self._closing:
            return
        self._next.changes += changes
        if self._next.changes and self._writer is None:
            self._writer = self._loop.create_task(self._write(), name="outbox")

    def written(self) -> Awaitable[None]:
        """Await this until all that was given to :meth:`write` before this call is on the disk.

        Raises StorageError when awaited, if the outbox was closed before that.
        """
        batch = self._next if self._next.changes else self._present
        return asyncio.shield(batch.done)

    async def _write(self) -> None:
        try:
            while self._next.changes:
                batch, self._next = self._next, _Batch(self._loop)
                self._present = batch
                await self._commit(batch.changes)
                for change in batch.changes:
                    if isinstance(change, Flow):
                        self.on_committed(change)
                batch.done.set_result(None)
        except StorageError as error:
            self._log.error("the outbox is closed, and not all of it is written: %s", error)
        finally:
            self._writer = None

    async def _commit(self, changes: Sequence[Change | _Life]) -> None:
        """Write changes, however long the disk refuses: nothing is lost meanwhile, and nothing is sent.

        Raises StorageError if it refuses while the outbox is being closed.
        """
        batch = self._statements(changes)
        while True:
            try:
                await self._storage.commit(batch)
            except StorageError as error:
                if self._closing:
                    raise
                self._log.error("the outbox cannot be written: %s; trying again in %g s", error, RETRY)
                await asyncio.sleep(RETRY)
            else:
                return

    def _statements(self, changes: Iterable[Change | _Life]) -> list[Statement]:
        """SQL for changes: runs of one kind together, in their order."""
        runs: list[tuple[str, list[Sequence[Any]]]] = []
        for change in changes:
            sql = _SQL[type(change)]
            row = self._row(change) if isinstance(change, Put) else change
            if runs and runs[-1][0] == sql:
                runs[-1][1].append(row)
            else:
                runs.append((sql, [row]))
        return list(runs)

    def _row(self, put: Put) -> Sequence[Any]:
        return put.peer, put.generation, put.seq, self._body(put.item)

    async def close(self) -> None:
        """Write what waits, and let go of the database; a disk that refuses is asked once more, and then left.

        Who waits for what is not on the disk then is told so.
        """
        self._closing = True
        try:
            if self._writer is not None:
                await asyncio.shield(self._writer)
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            await self._let_go()
            raise
        await self._let_go()

    async def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        self._disappoint()
        await self._storage.close()

    def _disappoint(self) -> None:
        for batch in (self._present, self._next):
            if not batch.done.done():
                batch.done.set_exception(StorageError("the outbox was closed before this was written"))
                batch.done.exception()  # Perhaps nobody waits, and then nothing is to be reported.
