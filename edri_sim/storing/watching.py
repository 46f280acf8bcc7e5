"""Who watches keys, and what is still to be told: one who is slow is told of fewer changes, and slows nobody down."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from edri_sim.storing.events import Cause, Changed, Watch
from edri_sim.storing.refusals import TooManyWatches, WatchEnded
from edri_sim.storing.values import read

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from edri_sim.events import Tunnel
    from edri_sim.routing.tunnel import TunnelEnd

MOST = 1_000
"""How many watches a store serves at once."""
BEHIND = 1 << 20
"""Bytes of changes that wait for one watcher, from which on only the newest of each key is kept."""
OVERHEAD = 1024
"""Bytes that a change counts for, beside its value: so a thousand small ones may wait."""

_ENDED = "the store's node stops: watch again once it is back, and take what there is then"

Up = TypeVar("Up")
Down = TypeVar("Down")
T = TypeVar("T")


class Opener(Protocol):
    """Whoever can open a tunnel: a node, a manager, a worker."""

    def open(
        self, event: Tunnel[Up, Down], *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[TunnelEnd[Up, Down]]:
        """What opens a tunnel, and closes it."""


@dataclass(frozen=True, slots=True)
class Update(Generic[T]):
    """What a key has since ``version``: ``value``, until it ``expires`` (UTC; None: never).

    ``cause`` is ``"set"``, or it is gone: ``"deleted"`` or ``"expired"``, with None as the value.
    """

    key: str
    value: T | None
    version: int
    cause: Cause
    expires: datetime | None


class Updates(Generic[T]):
    """What a watch tells, to be iterated over. A value of another type is a CodecError, and ends nothing."""

    def __init__(self, tunnel: TunnelEnd[None, Changed], type: Any) -> None:  # noqa: A002 - as msgspec calls it
        self._tunnel = tunnel
        self._type = type

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update[T]:
        change = await anext(self._tunnel)
        value = None if change.value is None else read(change.key, change.version, change.value, self._type)
        return Update(change.key, value, change.version, change.cause, change.expires)


@asynccontextmanager
async def watch(node: Opener, prefix: str, type: Any, timeout: float | None) -> AsyncIterator[Updates[Any]]:  # noqa: A002
    """See :meth:`edri_sim.storing.Store.watch`."""
    async with node.open(Watch(prefix), timeout=timeout) as tunnel:
        yield Updates(tunnel, type)


class Watching:
    """One watch: takes changes as they are committed, and tells of them as fast as the watcher takes them.

    What waits is bounded: beyond :data:`BEHIND` it is packed into the newest change of each key, so that there are
    never many more than the store has keys. A key keeps its place in the queue, however often it changes.
    """

    def __init__(self, prefix: str, there: Iterable[Changed]) -> None:
        self._prefix = prefix
        self._waiting = deque(there)
        self._size = sum(map(_size, self._waiting))
        self._limit = 2 * self._size + BEHIND
        self._told: dict[str, None] = {}
        self._more = asyncio.Event()
        self._end = asyncio.timeout(None)

    def tell(self, news: Sequence[Changed]) -> None:
        """Changes were committed."""
        ours = [change for change in news if change.key.startswith(self._prefix)]
        if not ours:
            return
        self._waiting.extend(ours)
        self._size += sum(map(_size, ours))
        if self._size > self._limit:
            self._pack()
        self._more.set()

    def _pack(self) -> None:
        """Keep the newest change of each key; of one that came and went nothing, if the watcher never heard of it."""
        newest = {change.key: change for change in self._waiting}
        self._waiting = deque(
            change for change in newest.values() if change.value is not None or change.key in self._told
        )
        self._size = sum(map(_size, self._waiting))
        self._limit = 2 * self._size + BEHIND

    async def run(self, tunnel: TunnelEnd[Changed, None]) -> None:
        """Tell of changes until the watcher leaves, which cancels this, or until :meth:`end`: raises WatchEnded."""
        try:
            async with self._end:
                while True:
                    await self._tell_waiting(tunnel)
        except TimeoutError:
            raise WatchEnded(_ENDED) from None

    async def _tell_waiting(self, tunnel: TunnelEnd[Changed, None]) -> None:
        while self._waiting:
            await tunnel.send(self._next())
        self._more.clear()
        await self._more.wait()

    def _next(self) -> Changed:
        change = self._waiting.popleft()
        self._size -= _size(change)
        if change.value is None:
            self._told.pop(change.key, None)
        else:
            self._told[change.key] = None
        return change

    def end(self) -> None:
        """Tell no more."""
        self._end.reschedule(asyncio.get_running_loop().time())


class Watches:
    """All watches of a store."""

    def __init__(self) -> None:
        self._open: dict[Watching, None] = {}
        self._ended = False

    def __len__(self) -> int:
        return len(self._open)

    def tell(self, news: Sequence[Changed]) -> None:
        """A listener: see :class:`~edri_sim.storing.writer.Writer`."""
        for watching in self._open:
            watching.tell(news)

    async def serve(self, watching: Watching, tunnel: TunnelEnd[Changed, None]) -> None:
        """Run a watch, which hears of all that is committed from this turn on. Raises WatchEnded, TooManyWatches."""
        if self._ended:
            raise WatchEnded(_ENDED)
        if len(self._open) >= MOST:
            raise TooManyWatches(f"{MOST} watches are open, and this store serves no more: end some, or share one")
        self._open[watching] = None
        try:
            await watching.run(tunnel)
        finally:
            del self._open[watching]

    def end(self) -> None:
        """End all, and those that are still to come; once, for a node may be told twice to stop."""
        if self._ended:
            return
        self._ended = True
        for watching in self._open:
            watching.end()


def _size(change: Changed) -> int:
    return OVERHEAD + len(change.value or b"")
