"""What one may ask of a store, and what it tells. Values are MessagePack: see ``pack`` and ``unpack``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from edri_sim.events import Notification, Request, Tunnel, event

Cause = Literal["set", "deleted", "expired"]
"""Why a key changed."""


class Entry(msgspec.Struct, frozen=True):
    """What a key has: its ``value``, its ``version``, and when it ``expires`` (UTC; None: never)."""

    key: str
    value: bytes
    version: int
    expires: datetime | None = None


class Page(msgspec.Struct, frozen=True):
    """Some entries in the order of their keys, as of ``revision``; ``more``: there are more after the last of them."""

    entries: list[Entry]
    revision: int
    more: bool


class Counted(msgspec.Struct, frozen=True):
    """What came of an increment."""

    value: int
    version: int


@event(name="store.Get", idempotent=True)
class Get(Request[Entry | None]):
    """What ``key`` has, or None where it has nothing."""

    key: str


@event(name="store.Set", idempotent=True)
class Set(Request[int]):
    """Give ``key`` a value, for ``ttl`` seconds (None: for good); the reply is its new version."""

    key: str
    value: bytes
    ttl: float | None = None


@event(name="store.Delete", idempotent=True)
class Delete(Request[bool]):
    """Remove ``key``, if it has the ``version`` (None: any); the reply is whether it was there.

    Raises:
        VersionConflict: it has another version, or is absent and ``version`` is not 0.
    """

    key: str
    version: int | None = None


@event(name="store.CompareAndSet", idempotent=True)
class CompareAndSet(Request[int]):
    """Give ``key`` a value if it has the ``version`` (0: it is absent); the reply is its new version.

    Raises:
        VersionConflict: it has another version, which the error names; nothing was changed.
    """

    key: str
    value: bytes
    version: int
    ttl: float | None = None


@event(name="store.SetIfAbsent", idempotent=True)
class SetIfAbsent(Request[int | None]):
    """Give ``key`` a value if it has none; the reply is its version, or None if it had one, which stays."""

    key: str
    value: bytes
    ttl: float | None = None


@event(name="store.Increment", idempotent=True)
class Increment(Request[Counted]):
    """Add ``by`` to the integer that ``key`` has; one that is absent has 0. A ``ttl`` of None leaves that as it is.

    Raises:
        NotAnInteger: it has something else.
        IntegerOverflow: the sum has more than 64 bits.
    """

    key: str
    by: int = 1
    ttl: float | None = None


@event(name="store.ListEntries", idempotent=True)
class ListEntries(Request[Page]):
    """The entries whose keys begin with ``prefix`` and come after ``after``, in the order of their keys.

    A page has at most ``limit`` entries (1 to 1,000), and about 256 KiB.
    """

    prefix: str = ""
    after: str = ""
    limit: int = 100


@event(name="store.Changed")
class Changed(Notification):
    """A change that is committed: ``key`` has ``value`` since ``version``, or None: it was deleted, or has expired.

    The versions of all changes rise, and those of one key come in order.
    """

    key: str
    version: int
    value: bytes | None
    cause: Cause
    expires: datetime | None = None


@event(name="store.Opened")
class Opened(Notification):
    """The store on ``node`` has begun a life, at ``revision``: changes that nobody was told of may have come before.

    Who keeps a copy of what is stored reads it again.
    """

    node: str
    revision: int


@event(name="store.Watch")
class Watch(Tunnel[None, Changed]):
    """Follow the keys that begin with ``prefix``: first what each of them has, then each change that is committed.

    What there is at first is of one instant, and comes as changes with the cause ``"set"``, in the order of keys. A
    watcher that keeps up misses no change after that; docs/store.md says what becomes of one that does not.

    Raises:
        BadArgument, TooManyWatches, StoreUnavailable: in place of the first item.
        WatchEnded: the node of the store stops.
    """

    prefix: str = ""
