"""Clients that ask a store this and that, and write down what they asked, when, and what they were told."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from edri_sim.errors import HostDown, RequestError
from edri_sim.storing import (
    CompareAndSet,
    Counted,
    Delete,
    Entry,
    Get,
    Increment,
    Set,
    SetIfAbsent,
    VersionConflict,
    pack,
)
from tests.store.linearizable import NEVER, Operation, check
from tests.store.register import ABSENT, Conflict, step

KEYS = ("alpha", "beta", "gamma")
PATIENCE = (0.1, 0.3, 1.0, 3.0)
"""Seconds that a client waits for an answer: one of these."""

Ask = Callable[[Any, float], Coroutine[Any, Any, Any]]
"""Sends a request with a timeout in seconds."""


class History:
    """What happened, in the order in which it did: the ticks at which it began and ended count everything."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.ends: Counter[str] = Counter()
        self._ticks = itertools.count(1)

    async def ask(self, client: str, act: Any, ask: Ask, timeout: float) -> Any:
        """Ask, and write it down, also if this is the client's end."""
        called = next(self._ticks)
        place = len(self.operations)
        self.operations.append(Operation(client, act, None, called, NEVER))
        try:
            result = await ask(act, timeout)
        except VersionConflict as conflict:
            result = Conflict(conflict.version)
        except (RequestError, HostDown) as error:
            self.ends[type(error).__name__] += 1
            return None
        self.ends["reply"] += 1
        self.operations[place] = Operation(client, act, result, called, next(self._ticks))
        return result

    def check(self) -> None:
        """Raise NotLinearizable, or AssertionError where versions of different keys do not rise in time."""
        for key in KEYS:
            check([operation for operation in self.operations if operation.act.key == key], ABSENT, step)
        self._check_versions()

    def _check_versions(self) -> None:
        """Of two writes of which one began when the other had ended, it has the higher version, whatever their keys."""
        writes = [one for one in self.operations if version_of(one.act, one.result) and not isinstance(one.act, Get)]
        ended = sorted(writes, key=lambda one: one.returned)
        highest, place = 0, 0
        for write in sorted(writes, key=lambda one: one.called):
            while ended[place].returned < write.called:
                highest = max(highest, version_of(ended[place].act, ended[place].result))
                place += 1
            assert version_of(write.act, write.result) > highest, f"{write} comes after version {highest}"
        versions = [version_of(write.act, write.result) for write in writes]
        assert len(set(versions)) == len(versions), "two writes have one version"


def version_of(act: Any, result: Any) -> int:
    """The version that a key had once this had ended, as far as the answer tells; else 0."""
    if isinstance(result, Entry | Counted | Conflict):
        return 0 if isinstance(result, Conflict) else result.version
    return result if type(result) is int else 0


class Client:
    """Asks one thing after the other, with values that nobody else sets."""

    def __init__(self, name: str, history: History, ask: Ask, source: random.Random) -> None:
        self.name = name
        self._history = history
        self._ask = ask
        self._source = source
        self._versions = dict.fromkeys(KEYS, 0)
        self._count = 0

    async def run(self, goes_on: Callable[[], bool], ready: Callable[[], bool], pause: float) -> None:
        """Ask as long as ``goes_on()``, whenever ``ready()``; ``pause`` is the mean between two questions, in s."""
        while goes_on():
            await asyncio.sleep(self._source.expovariate(1 / pause))
            if ready():
                await self.ask_something()

    async def ask_something(self) -> None:
        key = self._source.choice(KEYS)
        self._count += 1
        act = self._source.choice(_ACTS)(key, pack(self._number()), self._versions[key])
        result = await self._history.ask(self.name, act, self._ask, self._source.choice(PATIENCE))
        known = result.version if isinstance(result, Conflict) else version_of(act, result)
        self._versions[key] = known or self._versions[key]

    def _number(self) -> int:
        """A number unlike those of the others, with room for increments between."""
        return 1_000 * (1_000 * (sum(self.name.encode()) % 997) + self._count)


_ACTS: tuple[Callable[[str, bytes, int], Any], ...] = (
    lambda key, _value, _version: Get(key),
    lambda key, _value, _version: Get(key),
    lambda key, value, _version: Set(key, value),
    lambda key, value, version: CompareAndSet(key, value, version),
    lambda key, value, version: CompareAndSet(key, value, version),
    lambda key, _value, _version: Increment(key),
    lambda key, _value, _version: Increment(key),
    lambda key, value, _version: SetIfAbsent(key, value),
    lambda key, _value, _version: Delete(key),
)
