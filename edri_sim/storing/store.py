"""The key-value store: a manager that owns what is stored, for all nodes of a topology."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime
from typing import Any, ClassVar, TypeVar, overload

from edri_sim.errors import DeclarationError
from edri_sim.managers.manager import Manager, RunningManager
from edri_sim.managers.worker import handles
from edri_sim.names import check_name
from edri_sim.routing.context import NodeContext
from edri_sim.routing.tunnel import TunnelEnd
from edri_sim.storing.announcer import Announcer
from edri_sim.storing.checks import check
from edri_sim.storing.client import Requester, StoreClient
from edri_sim.storing.contents import Contents, Record, datetime_of
from edri_sim.storing.events import (
    Changed,
    CompareAndSet,
    Counted,
    Delete,
    Entry,
    Get,
    Increment,
    ListEntries,
    Opened,
    Page,
    Set,
    SetIfAbsent,
    Watch,
)
from edri_sim.storing.journal import Journal, Memory, Stored
from edri_sim.storing.outcomes import Outcomes
from edri_sim.storing.watching import MOST, Opener, Updates, Watches, Watching, watch
from edri_sim.storing.writer import Writer
from edri_sim.storing.writes import Write

T = TypeVar("T")

PAGE_BYTES = 256 * 1024
"""Bytes of keys and values after which a page ends: it has to fit into a frame, also with one value more."""
LARGEST_VALUE = 512 * 1024
"""Bytes that ``max_value`` may be: a page with one such value still fits into a frame of 1 MiB."""


class Store(Manager):
    """Keeps values by key: ``Node("shelf", Store)``, or with arguments ``part(Store, storage="values")``.

    It is driven by the events of :mod:`edri_sim.storing`, from any node; ``Store.of(node)`` sends them for one. A
    topology has one store. With ``storage``, the name of a storage of its host, what it holds outlives the program;
    without, it ends with it. A value has up to ``max_value`` bytes in MessagePack, and all keys and values have up to
    ``max_total``.

    Linearizable, each write made once, and read only once it is committed: docs/store.md says what that is worth.
    """

    concurrency: ClassVar[int] = 2 * MOST
    """Each open watch is in a handler: as many requests again can be."""

    def __init__(
        self, *, storage: str | None = None, max_value: int = 64 * 1024, max_total: int = 256 * 1024 * 1024
    ) -> None:
        if storage is not None:
            check_name("storage", storage)
        for name, value, highest in (("max_value", max_value, LARGEST_VALUE), ("max_total", max_total, 2**40)):
            if type(value) is not int or not 1 <= value <= highest:
                raise DeclarationError(f"Store({name}={value!r}): expected a number of bytes from 1 to {highest}")
        self._storage = storage
        self._max_value = max_value
        self._max_total = max_total
        self._closing = AsyncExitStack()

    @staticmethod
    def of(node: Requester, *, timeout: float | None = None) -> StoreClient:
        """What asks the store, wherever it is, through ``node``: a node, or ``self`` in a manager or worker.

        ``timeout`` is in seconds for each request, by default the setting ``request_timeout``.
        """
        return StoreClient(node, timeout)

    @overload
    @staticmethod
    def watch(
        node: Opener, prefix: str = "", *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[Updates[Any]]: ...

    @overload
    @staticmethod
    def watch(
        node: Opener, prefix: str, type: type[T], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[Updates[T]]: ...

    @staticmethod
    def watch(
        node: Opener, prefix: str = "", type: Any = None, *, timeout: float | None = None  # noqa: A002
    ) -> AbstractAsyncContextManager[Updates[Any]]:  # fmt: skip
        """``async with Store.watch(node, "config/", Limits) as updates``: follow keys; see :class:`Watch`.

        Iterate over ``updates``: first what each key under ``prefix`` has, then its changes. ``timeout`` is in seconds,
        for the opening alone. Raises what ``node.open`` raises, a CodecError for a value that is no ``type``, and,
        while one iterates, a StoreError: WatchEnded when the store's node stops.
        """
        return watch(node, prefix, type, timeout)

    def run_on(self, context: NodeContext) -> RunningManager:
        """See :class:`~edri_sim.routing.context.Part`. Raises DeclarationError for a storage of the node's own name."""
        if self._storage == context.name:
            raise DeclarationError(
                f"Store(storage={self._storage!r}): under its own name a durable node keeps what it publishes: choose "
                "another, such as 'values'"
            )
        self._node = context
        return RunningStore(self, context)

    async def start(self) -> None:
        """Open the storage and take over what is in it. Raises StorageError, SettingsError."""
        host, log = self._node.host, self._node.log.of("store")
        journal: Journal = Memory() if self._storage is None else Stored(host.storage(self._storage))
        self._contents = Contents()
        self.announcer = Announcer(self.notify, log)
        self._writer = Writer(
            self._contents, Outcomes(), journal, host, log, most=self._max_total, hold_back=self.announcer.room
        )
        self.watches = Watches()
        self._writer.listeners += [self.announcer.announce, self.watches.tell]
        await self._writer.open()
        self._closing.push_async_callback(self._writer.close)
        self._closing.push_async_callback(self.announcer.close)
        # By then those who want to know, who may start after the store, are there.
        opening = self._node.loop.call_later(self._node.settings.route_grace, self._tell_opened)
        self._closing.callback(opening.cancel)

    async def stop(self) -> None:
        """Let go of the storage, and of what has not been published."""
        await self._closing.aclose()

    def _tell_opened(self) -> None:
        self.announcer.announce([Opened(self._node.name, self._contents.revision)])

    @handles
    async def opened(self, event: Opened) -> None:
        """Notice that a second store runs: each is asked some of the requests, and knows nothing of the others."""
        if event.node != self._node.name:
            self.log.error(
                "nodes %s and %s both run a Store, so what one of them is told the other does not know: stop one",
                self._node.name, event.node,
            )  # fmt: skip

    # Reading: from what is committed

    @handles
    async def get(self, event: Get) -> Entry | None:
        """See :class:`~edri_sim.storing.Get`."""
        check(event, self._max_value)
        record = self._contents.get(event.key)
        while record is not None and self._expired(record):
            await self._writer.sweep()
            record = self._contents.get(event.key)
        return None if record is None else _entry(event.key, record)

    @handles
    async def list_entries(self, event: ListEntries) -> Page:
        """See :class:`~edri_sim.storing.ListEntries`."""
        check(event, self._max_value)
        await self._swept()
        return self._page(event)

    @handles
    async def follow(self, event: Watch, tunnel: TunnelEnd[Changed, None]) -> None:
        """See :class:`~edri_sim.storing.Watch`."""
        check(event, self._max_value)
        await self._swept()
        there = (_news(key, record) for key, record in self._contents.after(event.prefix, ""))
        await self.watches.serve(Watching(event.prefix, there), tunnel)

    async def _swept(self) -> None:
        """Return when nothing is there whose time has passed."""
        while self._contents.due(self._writer.now):
            await self._writer.sweep()

    def _expired(self, record: Record) -> bool:
        """Whether its time has passed: nobody is told before its removal is committed, for the clock may go back."""
        return record.expires is not None and record.expires <= self._writer.now

    def _page(self, event: ListEntries) -> Page:
        entries: list[Entry] = []
        size = 0
        more = False
        for key, record in self._contents.after(event.prefix, event.after):
            if len(entries) == event.limit or size >= PAGE_BYTES:
                more = True
                break
            entries.append(_entry(key, record))
            size += len(key.encode()) + len(record.value)
        return Page(entries, self._contents.revision, more)

    # Writing

    @handles
    async def set(self, event: Set) -> int:
        """See :class:`~edri_sim.storing.Set`."""
        version: int = await self._write(event)
        return version

    @handles
    async def set_if_absent(self, event: SetIfAbsent) -> int | None:
        """See :class:`~edri_sim.storing.SetIfAbsent`."""
        version: int | None = await self._write(event)
        return version

    @handles
    async def compare_and_set(self, event: CompareAndSet) -> int:
        """See :class:`~edri_sim.storing.CompareAndSet`."""
        version: int = await self._write(event)
        return version

    @handles
    async def delete(self, event: Delete) -> bool:
        """See :class:`~edri_sim.storing.Delete`."""
        there: bool = await self._write(event)
        return there

    @handles
    async def increment(self, event: Increment) -> Counted:
        """See :class:`~edri_sim.storing.Increment`."""
        counted: Counted = await self._write(event)
        return counted

    def _write(self, event: Write) -> asyncio.Future[Any]:
        check(event, self._max_value)
        return self._writer.do(event, self.delivery)


class RunningStore(RunningManager):
    """A store in one life of a node: the node drains until all changes are published."""

    def __init__(self, store: Store, node: NodeContext) -> None:
        super().__init__(store, node)
        self._store = store

    def leave(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`: a watch never ends by itself."""
        super().leave()
        self._store.watches.end()

    @property
    def busy(self) -> bool:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        return super().busy or self._store.announcer.busy

    async def quiet(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        await super().quiet()
        await self._store.announcer.quiet()


def _entry(key: str, record: Record) -> Entry:
    return Entry(key, record.value, record.version, _time(record.expires))


def _news(key: str, record: Record) -> Changed:
    return Changed(key, record.version, record.value, "set", _time(record.expires))


def _time(expires: int | None) -> datetime | None:
    return None if expires is None else datetime_of(expires)
