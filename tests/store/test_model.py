"""The store against a plain dict, under any order of requests, time that passes and crashes; by Hypothesis."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edri_sim import Simulation, Store, Topology, part
from edri_sim.storing import (
    Changed,
    CompareAndSet,
    Counted,
    Delete,
    Get,
    Increment,
    ListEntries,
    NotAnInteger,
    Set,
    SetIfAbsent,
    VersionConflict,
    pack,
    unpack,
)
from tests.store.shelf import Copy, Listener
from tests.worlds import turns

KEYS = st.sampled_from(["a", "a/b", "a/c", "b", "é", "\U0001f600"])
VALUES = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.lists(st.booleans(), max_size=2))
LIVES = st.one_of(st.none(), st.sampled_from([0.5, 1.0, 1.5, 5.0]))
FOR_GOOD = float("inf")


class Kept(NamedTuple):
    value: Any
    version: int
    until: float


class Model(RuleBasedStateMachine):
    """What each key has, and the revision; ``storage`` as the store's."""

    storage: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Kept] = {}
        self.revision = 0
        self.news: list[tuple[str, int, Any]] = []
        self.listener = Listener()
        self.copy = Copy("a")
        topology = Topology("model")
        topology.node("shelf", part(Store, storage=self.storage), lambda: self.listener, lambda: self.copy)
        self.simulation = Simulation(topology)
        self.node = self.simulation.node("shelf")

    @initialize()
    def begin(self) -> None:
        self.ask(Get("a"))

    def teardown(self) -> None:
        self.simulation.close()

    def ask(self, request: Any) -> Any:
        """The reply, or the error; the model forgets what has expired by then."""
        reply = self.simulation.run(self._asked(request))
        self.expire()
        return reply

    async def _asked(self, request: Any) -> Any:
        try:
            return await self.node.request(request)
        except (VersionConflict, NotAnInteger) as error:
            return error

    def expire(self) -> None:
        due = [(kept.until, key) for key, kept in self.kept.items() if kept.until <= self.simulation.now]
        for _, key in sorted(due):
            self.remove(key)

    def put(self, key: str, value: Any, ttl: float | None) -> int:
        self.revision += 1
        until = FOR_GOOD if ttl is None else self.simulation.now + ttl
        self.kept[key] = Kept(value, self.revision, until)
        self.news.append((key, self.revision, value))
        return self.revision

    def remove(self, key: str) -> None:
        self.revision += 1
        del self.kept[key]
        self.news.append((key, self.revision, None))

    def version(self, key: str) -> int:
        return self.kept[key].version if key in self.kept else 0

    # Requests

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        entry = self.ask(Get(key))
        assert (entry is None) == (key not in self.kept)
        if entry is not None:
            assert (unpack(entry.value), entry.version) == self.kept[key][:2]
            assert (entry.expires is None) == (self.kept[key].until == FOR_GOOD)

    @rule(key=KEYS, value=VALUES, ttl=LIVES)
    def set(self, key: str, value: Any, ttl: float | None) -> None:
        assert self.ask(Set(key, pack(value), ttl)) == self.put(key, value, ttl)

    @rule(key=KEYS, value=VALUES, ttl=LIVES)
    def set_if_absent(self, key: str, value: Any, ttl: float | None) -> None:
        version = self.ask(SetIfAbsent(key, pack(value), ttl))
        assert version == (None if key in self.kept else self.put(key, value, ttl))

    @rule(key=KEYS, value=VALUES, off=st.sampled_from([0, 0, 0, 1, -1, -5]), ttl=LIVES)
    def compare_and_set(self, key: str, value: Any, off: int, ttl: float | None) -> None:
        expected = self.version(key) + off
        result = self.ask(CompareAndSet(key, pack(value), expected, ttl))
        if self.version(key) == expected:
            assert result == self.put(key, value, ttl)
        else:
            assert isinstance(result, VersionConflict)
            assert result.version == self.version(key)

    @rule(key=KEYS, by=st.integers(-3, 3), ttl=LIVES)
    def increment(self, key: str, by: int, ttl: float | None) -> None:
        result = self.ask(Increment(key, by, ttl))
        former = self.kept.get(key, Kept(0, 0, FOR_GOOD))
        if type(former.value) is not int:
            assert isinstance(result, NotAnInteger)
            return
        version = self.put(key, former.value + by, ttl)
        if ttl is None:
            self.kept[key] = self.kept[key]._replace(until=former.until)
        assert result == Counted(former.value + by, version)

    @rule(key=KEYS, off=st.sampled_from([None, None, 0, 1]))
    def delete(self, key: str, off: int | None) -> None:
        expected = None if off is None else self.version(key) + off
        result = self.ask(Delete(key, expected))
        if off == 1:
            assert isinstance(result, VersionConflict)
            return
        assert result == (key in self.kept)
        if result:
            self.remove(key)

    @rule(prefix=st.sampled_from(["", "a", "a/", "z"]), after=st.one_of(st.just(""), KEYS), limit=st.integers(1, 4))
    def list_entries(self, prefix: str, after: str, limit: int) -> None:
        page = self.ask(ListEntries(prefix, after, limit))
        keys = sorted(key for key in self.kept if key.startswith(prefix) and key > after)
        assert [entry.key for entry in page.entries] == keys[:limit]
        assert [entry.version for entry in page.entries] == [self.version(key) for key in keys[:limit]]
        assert (page.more, page.revision) == (len(keys) > limit, self.revision)

    # What happens meanwhile

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.simulation.run(until=self.simulation.now + seconds)
        self.expire()

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0]))
    def crash(self, seconds: float) -> None:
        self.node.host.crash()
        self.simulation.run(until=self.simulation.now + seconds)
        self.node.host.restart()
        if self.storage is None:
            self.kept.clear()
            self.revision = 0
        self.ask(Get("a"))

    @invariant()
    def all_changes_are_heard(self) -> None:
        self.simulation.run(self._settled())
        assert [(change.key, change.version, _value(change)) for change in self.listener.heard] == self.news

    @invariant()
    def who_watches_has_what_there_is(self) -> None:
        kept = {key: (kept.value, kept.version) for key, kept in self.kept.items() if key.startswith("a")}
        assert self.copy.held == kept
        assert self.copy.late == []

    async def _settled(self) -> None:
        await self.node.request(ListEntries())  # What is due at this very instant goes before it.
        await self.node.host.call(lambda: turns(20))


def _value(change: Changed) -> Any:
    return None if change.value is None else unpack(change.value)


class OnDisk(Model):
    """The same, and it survives crashes."""

    storage = "values"


FEW = settings(max_examples=50, stateful_step_count=25, deadline=None, derandomize=True)
TestInMemory = Model.TestCase
TestInMemory.settings = FEW
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = FEW
