"""What each write does: it looks at the draft, refuses or changes it, and says what the reply is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edri_sim.storing.contents import Record
from edri_sim.storing.draft import Draft
from edri_sim.storing.events import CompareAndSet, Counted, Delete, Increment, Set, SetIfAbsent
from edri_sim.storing.refusals import IntegerOverflow, NotAnInteger, VersionConflict
from edri_sim.storing.values import pack, unpack

Write = Set | Delete | CompareAndSet | SetIfAbsent | Increment

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""The integers that can be counted up to."""


def _set(draft: Draft, event: Set) -> int:
    return draft.put(event.key, event.value, draft.expires(event.ttl))


def _set_if_absent(draft: Draft, event: SetIfAbsent) -> int | None:
    if draft.get(event.key) is not None:
        return None
    return draft.put(event.key, event.value, draft.expires(event.ttl))


def _compare_and_set(draft: Draft, event: CompareAndSet) -> int:
    _expect(draft, event.key, event.version)
    return draft.put(event.key, event.value, draft.expires(event.ttl))


def _delete(draft: Draft, event: Delete) -> bool:
    if event.version is not None:
        _expect(draft, event.key, event.version)
    if draft.get(event.key) is None:
        return False
    draft.remove(event.key, "deleted")
    return True


def _expect(draft: Draft, key: str, version: int) -> None:
    record = draft.get(key)
    found = 0 if record is None else record.version
    if found != version:
        state = f"has version {found}" if found else "is absent (version 0)"
        raise VersionConflict(f"key {key!r} {state}, and version {version} was expected: read it again", version=found)


def _increment(draft: Draft, event: Increment) -> Counted:
    record = draft.get(event.key)
    total = _integer(event.key, record) + event.by
    if not LOWEST <= total <= HIGHEST:
        raise IntegerOverflow(f"key {event.key!r}: {total} is not within {LOWEST} to {HIGHEST}")
    kept = None if record is None else record.expires
    expires = kept if event.ttl is None else draft.expires(event.ttl)
    return Counted(total, draft.put(event.key, pack(total), expires))


def _integer(key: str, record: Record | None) -> int:
    value = 0 if record is None else unpack(record.value)
    if type(value) is not int:
        raise NotAnInteger(f"key {key!r} has a {type(value).__name__}: expected an integer, to add to it")
    return value


_WRITES: dict[type[Any], Callable[[Draft, Any], Any]] = {
    Set: _set,
    SetIfAbsent: _set_if_absent,
    CompareAndSet: _compare_and_set,
    Delete: _delete,
    Increment: _increment,
}


def make(draft: Draft, event: Write) -> Any:
    """Make a write; returns its reply. Raises a StoreError, with the draft as it was."""
    return _WRITES[type(event)](draft, event)
