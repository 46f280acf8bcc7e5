"""How a program asks the store: with values of its own types, and no event in sight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from edri_sim.storing.events import (
    CompareAndSet,
    Counted,
    Delete,
    Entry,
    Get,
    Increment,
    ListEntries,
    Set,
    SetIfAbsent,
)
from edri_sim.storing.refusals import VersionConflict
from edri_sim.storing.values import pack, read

if TYPE_CHECKING:
    from edri_sim.events import Request

R = TypeVar("R")
T = TypeVar("T")


class Requester(Protocol):
    """Whoever can send a request: a node, a manager, a worker."""

    def request(self, event: Request[R], *, timeout: float | None = None) -> Coroutine[Any, Any, R]:
        """Send a request, return its reply."""


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """What a key has: its ``value``, its ``version``, and when it ``expires`` (UTC; None: never)."""

    key: str
    value: T
    version: int
    expires: datetime | None


class StoreClient:
    """Asks the store; see :meth:`edri_sim.storing.Store.of`.

    ``type`` is what a value is read as, by default plain data, and what it is checked against when it is written, by
    default its own class. Every call raises a RequestError: a :class:`StoreError` is the store's answer, and after any
    other a write may have been made or not. A value that does not fit its type is a CodecError.
    """

    def __init__(self, node: Requester, timeout: float | None = None) -> None:
        self._node = node
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<StoreClient of {self._node!r}>"

    def _ask(self, event: Request[R]) -> Coroutine[Any, Any, R]:
        return self._node.request(event, timeout=self._timeout)

    # Reading

    @overload
    async def get(self, key: str) -> Any: ...

    @overload
    async def get(self, key: str, type: type[T]) -> T | None: ...

    async def get(self, key: str, type: Any = None) -> Any:  # noqa: A002 - as msgspec calls it
        """The value of a key, or None where it has none."""
        item = await self.item(key, type)
        return None if item is None else item.value

    @overload
    async def item(self, key: str) -> Item[Any] | None: ...

    @overload
    async def item(self, key: str, type: type[T]) -> Item[T] | None: ...

    async def item(self, key: str, type: Any = None) -> Item[Any] | None:  # noqa: A002
        """The value of a key with its version, or None where it has none."""
        entry = await self._ask(Get(key))
        return None if entry is None else _item(entry, type)

    @overload
    def items(self, prefix: str = "") -> AsyncIterator[Item[Any]]: ...

    @overload
    def items(self, prefix: str, type: type[T]) -> AsyncIterator[Item[T]]: ...

    async def items(self, prefix: str = "", type: Any = None) -> AsyncIterator[Item[Any]]:  # noqa: A002
        """What there is under a prefix, in the order of keys, page by page: each as it was when its page was asked."""
        after, more = "", True
        while more:
            page = await self._ask(ListEntries(prefix, after))
            for entry in page.entries:
                yield _item(entry, type)
                after = entry.key
            more = page.more

    # Writing

    async def set(self, key: str, value: Any, *, ttl: float | None = None, type: Any = None) -> int:  # noqa: A002
        """Give a key a value, for ``ttl`` seconds (None: for good); returns its version."""
        return await self._ask(Set(key, pack(value, type), ttl))

    async def set_if_absent(
        self,
        key: str,
        value: Any,
        *,
        ttl: float | None = None,
        type: Any = None,  # noqa: A002
    ) -> int | None:
        """Give a key a value if it has none; returns its version, or None if it had one."""
        return await self._ask(SetIfAbsent(key, pack(value, type), ttl))

    async def compare_and_set(
        self,
        key: str,
        value: Any,
        version: int,
        *,
        ttl: float | None = None,
        type: Any = None,  # noqa: A002
    ) -> int:
        """Give a key a value if it has this version (0: none); returns its new version.

        Raises:
            VersionConflict: it has another, which the error names.
        """
        return await self._ask(CompareAndSet(key, pack(value, type), version, ttl))

    async def update(
        self,
        key: str,
        change: Callable[[T | None], T],
        type: type[T],  # noqa: A002
        *,
        ttl: float | None = None,
    ) -> T:
        """Replace what a key has by what ``change`` makes of it (of None, where it has nothing), and return that.

        If another writer comes between, that is done again with what is there then; so no update is lost.
        """
        while True:
            former = await self.item(key, type)
            value = change(None if former is None else former.value)
            version = 0 if former is None else former.version
            try:
                await self.compare_and_set(key, value, version, ttl=ttl, type=type)
            except VersionConflict:
                continue
            return value

    async def increment(self, key: str, by: int = 1, *, ttl: float | None = None) -> Counted:
        """Add to the integer that a key has, or to 0; without ``ttl`` it expires when it did before.

        Raises:
            NotAnInteger, IntegerOverflow: and then nothing was changed.
        """
        return await self._ask(Increment(key, by, ttl))

    async def delete(self, key: str, version: int | None = None) -> bool:
        """Remove a key, if it has this version (None: any); returns whether it was there.

        Raises:
            VersionConflict: it has another version.
        """
        return await self._ask(Delete(key, version))


def _item(entry: Entry, type: Any) -> Item[Any]:  # noqa: A002
    return Item(entry.key, read(entry.key, entry.version, entry.value, type), entry.version, entry.expires)
