"""One key of a store as a sequential model, for the checker: what each operation does to it, and may answer.

Acts are the events of the store. Versions are given store-wide, so of one key it is only known that they rise; a write
that never returned has a version that is unknown until somebody reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from edri_sim.storing import CompareAndSet, Counted, Delete, Entry, Get, Increment, Set, SetIfAbsent, pack, unpack
from tests.store.linearizable import NEVER, Operation


class Conflict(NamedTuple):
    """The result of a compare-and-set that met another version."""

    version: int


class Register(NamedTuple):
    """What the key has; ``version`` None: some unknown one, above ``floor``, which was the last that is known."""

    value: bytes | None = None
    version: int | None = None
    floor: int = 0

    def may_have(self, version: int) -> bool:
        """Whether this can be its version, 0 if it is absent."""
        if self.value is None:
            return version == 0
        return version > self.floor if self.version is None else version == self.version

    def known(self, version: int) -> Register:
        """The same, with its version learned."""
        return self if self.value is None else Register(self.value, version, version)

    def put(self, value: bytes, version: int | None) -> list[Register]:
        """After a write that got this version, or an unknown one."""
        if version is None:
            return [Register(value, None, self.floor)]
        return [Register(value, version, version)] if version > self.floor else []


ABSENT = Register()


def _get(state: Register, act: Get, result: Entry | None) -> list[Register]:
    if result is None:
        return [state] if state.value is None else []
    fits = result.value == state.value and state.may_have(result.version)
    return [state.known(result.version)] if fits else []


def _set(state: Register, act: Set, result: int) -> list[Register]:
    return state.put(act.value, result)


def _compare_and_set(state: Register, act: CompareAndSet, result: int | Conflict) -> list[Register]:
    if isinstance(result, Conflict):
        fits = result.version != act.version and state.may_have(result.version)
        return [state.known(result.version)] if fits else []
    return state.known(act.version).put(act.value, result) if state.may_have(act.version) else []


def _set_if_absent(state: Register, act: SetIfAbsent, result: int | None) -> list[Register]:
    if result is None:
        return [state] if state.value is not None else []
    return state.put(act.value, result) if state.value is None else []


def _delete(state: Register, act: Delete, result: bool) -> list[Register]:
    return [Register(None, None, state.floor)] if result == (state.value is not None) else []


def _increment(state: Register, act: Increment, result: Counted) -> list[Register]:
    value = 0 if state.value is None else unpack(state.value)
    return state.put(pack(result.value), result.version) if result.value == value + act.by else []


_RETURNED: dict[type[Any], Callable[[Register, Any, Any], list[Register]]] = {
    Get: _get,
    Set: _set,
    CompareAndSet: _compare_and_set,
    SetIfAbsent: _set_if_absent,
    Delete: _delete,
    Increment: _increment,
}


def _maybe_increment(state: Register, act: Increment) -> list[Register]:
    value = 0 if state.value is None else unpack(state.value)
    return state.put(pack(value + act.by), None)


_NEVER: dict[type[Any], Callable[[Register, Any], list[Register]]] = {
    Get: lambda _state, _act: [],
    Set: lambda state, act: state.put(act.value, None),
    CompareAndSet: lambda state, act: state.put(act.value, None) if state.may_have(act.version) else [],
    SetIfAbsent: lambda state, act: state.put(act.value, None) if state.value is None else [],
    Delete: lambda state, _act: [Register(None, None, state.floor)] if state.value is not None else [],
    Increment: _maybe_increment,
}


def step(state: Register, operation: Operation) -> list[Register]:
    """See :data:`tests.store.linearizable.Step`: of what never returned, the states in which it changed something."""
    kind = type(operation.act)
    if operation.returned == NEVER:
        return _NEVER[kind](state, operation.act)
    return _RETURNED[kind](state, operation.act, operation.result)
