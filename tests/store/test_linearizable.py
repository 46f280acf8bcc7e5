"""The checker itself: it takes what a sequential store could have answered, and rejects what none could."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from edri_sim.storing import CompareAndSet, Counted, Delete, Entry, Get, Increment, Set, SetIfAbsent, pack
from tests.store.linearizable import NEVER, NotLinearizable, Operation, check
from tests.store.register import ABSENT, Conflict, step

ONE, TWO, THREE = pack(1), pack(2), pack(3)


def op(called: float, returned: float, act: Any, result: Any = None) -> Operation:
    return Operation(f"at {called:g}", act, result, called, returned)


def put(called: float, returned: float, value: bytes, version: int) -> Operation:
    return op(called, returned, Set("k", value), version)


def got(called: float, returned: float, value: bytes, version: int) -> Operation:
    return op(called, returned, Get("k"), Entry("k", value, version))


def absent(called: float, returned: float) -> Operation:
    return op(called, returned, Get("k"), None)


def lost(called: float, act: Any) -> Operation:
    return op(called, NEVER, act)


def cas(called: float, returned: float, expected: int, value: bytes, result: int | Conflict) -> Operation:
    return op(called, returned, CompareAndSet("k", value, expected), result)


GOOD = {
    "nothing": [],
    "a read between two writes": [put(0, 1, ONE, 1), got(2, 3, ONE, 1), put(4, 5, TWO, 2)],
    "a read during a write may see either": [
        put(0, 1, ONE, 1), put(2, 9, TWO, 2), got(3, 4, ONE, 1), got(5, 6, TWO, 2)],
    "a write that never returned was made": [put(0, 1, ONE, 1), lost(2, Set("k", TWO)), got(3, 4, TWO, 2)],
    "and was not": [put(0, 1, ONE, 1), lost(2, Set("k", TWO)), got(3, 4, ONE, 1)],
    "and was made later": [
        put(0, 1, ONE, 1), lost(2, Set("k", TWO)), got(3, 4, ONE, 1), got(5, 6, TWO, 2)],
    "of two that never returned, each may have been": [
        lost(0, Set("k", ONE)), lost(1, Set("k", TWO)), got(2, 3, TWO, 1), got(4, 5, ONE, 2)],
    "compare-and-set, and one that came too late": [
        put(0, 1, ONE, 1), cas(2, 5, 1, TWO, 2), cas(3, 6, 1, THREE, Conflict(2)), got(7, 8, TWO, 2)],
    "a delete between": [put(0, 1, ONE, 1), op(2, 3, Delete("k"), True), absent(4, 5), put(6, 7, ONE, 3)],
    "a lost delete": [put(0, 1, ONE, 1), lost(2, Delete("k")), op(3, 4, SetIfAbsent("k", TWO), 3)],
    "counting": [op(0, 3, Increment("k"), Counted(2, 2)), op(1, 2, Increment("k"), Counted(1, 1)), got(4, 5, TWO, 2)],
    "a lost increment that was made": [
        op(0, 1, Increment("k"), Counted(1, 1)), lost(2, Increment("k")), op(3, 4, Increment("k"), Counted(3, 3))],
}  # fmt: skip

BAD = {
    "a stale read": [put(0, 1, ONE, 1), put(2, 3, TWO, 2), got(4, 5, ONE, 1)],
    "a read of what nobody wrote": [put(0, 1, ONE, 1), got(2, 3, THREE, 1)],
    "a read that forgets": [put(0, 1, ONE, 1), absent(2, 3)],
    "two reads in the wrong order": [
        put(0, 1, ONE, 1), put(2, 9, TWO, 2), got(3, 4, TWO, 2), got(5, 6, ONE, 1)],
    "a lost update": [
        put(0, 1, ONE, 1), got(2, 3, ONE, 1), got(2, 3, ONE, 1), cas(4, 5, 1, TWO, 2), cas(4.5, 6, 1, THREE, 3)],
    "a lost increment": [
        op(0, 2, Increment("k"), Counted(1, 1)), op(1, 3, Increment("k"), Counted(1, 2)), got(4, 5, ONE, 2)],
    "an increment made twice": [
        op(0, 1, Increment("k"), Counted(1, 1)), op(2, 3, Increment("k"), Counted(3, 3))],
    "a write that un-happens": [lost(0, Set("k", ONE)), got(1, 2, ONE, 1), absent(3, 4)],
    "a version that falls": [put(0, 1, ONE, 5), put(2, 3, TWO, 4)],
    "a version that comes again": [
        put(0, 1, ONE, 1), op(2, 3, Delete("k"), True), put(4, 5, TWO, 1)],
    "compare-and-set of a version that was gone": [
        put(0, 1, ONE, 1), put(2, 3, TWO, 2), cas(4, 5, 1, THREE, 3)],
    "a conflict with the version that was expected": [put(0, 1, ONE, 1), cas(2, 3, 1, TWO, Conflict(1))],
    "set-if-absent twice": [op(0, 2, SetIfAbsent("k", ONE), 1), op(1, 3, SetIfAbsent("k", TWO), 2)],
    "a delete of what is not there": [op(0, 1, Delete("k"), True)],
    "seen before it was asked for": [got(0, 1, ONE, 1), put(2, 3, ONE, 1)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_it_takes(name: str) -> None:
    check(GOOD[name], ABSENT, step)


@pytest.mark.parametrize("name", BAD)
def test_it_rejects(name: str) -> None:
    with pytest.raises(NotLinearizable):
        check(BAD[name], ABSENT, step)


def test_the_message_says_what_does_not_fit() -> None:
    with pytest.raises(NotLinearizable) as caught:
        check(BAD["a stale read"], ABSENT, step)
    assert "there is no place for any of\n  [4, 5] at 4: Get(key='k') -> Entry" in str(caught.value)


def naive(history: list[Operation]) -> bool:
    """The definition itself: some order of some of the incomplete and all other operations."""
    complete = [one for one in history if one.returned < NEVER]
    open_ = [one for one in history if one.returned == NEVER]
    for count in range(len(open_) + 1):
        for chosen in itertools.combinations(open_, count):
            if any(_fits(order) for order in itertools.permutations([*complete, *chosen])):
                return True
    return False


def _fits(order: tuple[Operation, ...]) -> bool:
    if any(b.returned < a.called for i, a in enumerate(order) for b in order[i + 1 :]):
        return False
    states = [ABSENT]
    for one in order:
        states = [after for state in states for after in step(state, one)]
    return bool(states)


def drawn(source: random.Random) -> list[Operation]:
    """A short history, about as often right as wrong."""
    made = []
    for number in range(source.randint(2, 5)):
        called = source.randint(0, 8) + number / 10
        returned = NEVER if source.random() < 0.2 else called + source.choice([0.5, 2.5, 6.5])
        value, version = source.choice([ONE, TWO]), source.randint(1, 3)
        act, result = source.choice([
            (Set("k", value), version), (Get("k"), Entry("k", value, version)), (Get("k"), None),
            (Increment("k"), Counted(source.randint(1, 3), version)), (Delete("k"), True),
            (CompareAndSet("k", value, version - 1), version), (SetIfAbsent("k", value), version),
        ])  # fmt: skip
        made.append(Operation("c", act, result, called, returned))
    return made


def test_it_says_what_the_definition_says() -> None:
    source = random.Random("definition")
    verdicts = {True: 0, False: 0}
    for _ in range(1_500):
        history = drawn(source)
        try:
            check(history, ABSENT, step)
            verdict = True
        except NotLinearizable:
            verdict = False
        assert verdict == naive(history), "\n".join(map(str, history))
        verdicts[verdict] += 1
    assert min(verdicts.values()) > 100, verdicts
