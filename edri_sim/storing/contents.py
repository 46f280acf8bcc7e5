"""What a store holds, in memory: by key, in the order of keys, and by when it expires."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STALE = 64
"""How many alarms may be out of date before they are cleared away, beside as many as there are of the others."""


def micros(when: datetime) -> int:
    """A time as whole microseconds since 1970."""
    return (when - _EPOCH) // _MICROSECOND


def datetime_of(when: int) -> datetime:
    """A time of so many microseconds since 1970, in UTC."""
    return _EPOCH + when * _MICROSECOND


class Record(NamedTuple):
    """What is stored under a key; ``expires`` in microseconds since 1970, or None."""

    value: bytes
    version: int
    expires: int | None


class Contents:
    """All records, and the ``revision``: the version that was given last. ``size`` is the bytes of keys and values."""

    def __init__(self) -> None:
        self.revision = 0
        self.size = 0
        self._records: dict[str, Record] = {}
        self._keys: list[str] = []
        self._alarms: list[tuple[int, str]] = []
        self._expiring = 0

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> Record | None:
        """The record of a key."""
        return self._records.get(key)

    def put(self, key: str, record: Record | None) -> None:
        """Give a key a record, or, with None, take away what it has."""
        former = self._records.get(key)
        self.size += size_of(key, record) - size_of(key, former)
        self._expiring += _expires(record) - _expires(former)
        if record is None:
            self._remove(key)
            return
        self._records[key] = record
        if former is None:
            insort(self._keys, key)
        if record.expires is not None:
            self._set_alarm(record.expires, key)

    def load(self, records: Iterable[tuple[str, Record]]) -> None:
        """Put many records; far faster where they come in the order of their keys."""
        for key, record in records:
            self.put(key, record)

    def _remove(self, key: str) -> None:
        if self._records.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def _set_alarm(self, when: int, key: str) -> None:
        heapq.heappush(self._alarms, (when, key))
        if len(self._alarms) > 2 * self._expiring + _STALE:
            self._alarms = [
                (record.expires, key) for key, record in self._records.items() if record.expires is not None
            ]
            heapq.heapify(self._alarms)

    def next_due(self) -> int | None:
        """When the next record expires, in microseconds since 1970."""
        while self._alarms:
            when, key = self._alarms[0]
            record = self._records.get(key)
            if record is not None and record.expires == when:
                return when
            heapq.heappop(self._alarms)
        return None

    def due(self, now: int) -> list[str]:
        """The keys whose records have expired by ``now`` and are still there, in the order in which they did."""
        found: dict[str, None] = {}
        kept = []
        while self._alarms and self._alarms[0][0] <= now:
            alarm = heapq.heappop(self._alarms)
            record = self._records.get(alarm[1])
            if record is not None and record.expires == alarm[0] and alarm[1] not in found:
                found[alarm[1]] = None
                kept.append(alarm)
        for alarm in kept:  # Until they are removed, which may fail.
            heapq.heappush(self._alarms, alarm)
        return list(found)

    def after(self, prefix: str, key: str) -> Iterator[tuple[str, Record]]:
        """The records whose keys begin with ``prefix`` and come after ``key``, in order."""
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, key) if key else 0)
        for position in range(start, len(self._keys)):
            found = self._keys[position]
            if not found.startswith(prefix):
                return
            yield found, self._records[found]


def size_of(key: str, record: Record | None) -> int:
    """The bytes that a key and its record count for."""
    return 0 if record is None else len(key.encode()) + len(record.value)


def _expires(record: Record | None) -> bool:
    return record is not None and record.expires is not None
