"""What a batch of writes is about to change: they see it, nobody else does before it is committed."""

from __future__ import annotations

from edri_sim.storing.contents import Contents, Record, datetime_of, size_of
from edri_sim.storing.events import Cause, Changed
from edri_sim.storing.outcomes import Outcome, Outcomes, decode, encode
from edri_sim.storing.refusals import StoreFull


class Draft:
    """A layer of changes on the contents, as of ``now`` (microseconds since 1970); ``most`` bytes may be stored."""

    def __init__(self, contents: Contents, outcomes: Outcomes, now: int, most: int) -> None:
        self.now = now
        self.revision = contents.revision
        self.changes: dict[str, Record | None] = {}
        """What each key that changes has in the end."""
        self.news: list[Changed] = []
        """All changes, one after the other."""
        self.outcomes: dict[str, bytes] = {}
        self._contents = contents
        self._known = outcomes
        self._size = contents.size
        self._most = most
        for key in contents.due(now):
            self.remove(key, "expired")

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.changes or self.outcomes)

    def get(self, key: str) -> Record | None:
        """What a key has by now."""
        return self.changes[key] if key in self.changes else self._contents.get(key)

    def put(self, key: str, value: bytes, expires: int | None) -> int:
        """Give a key a value; returns its version. Raises StoreFull."""
        record = Record(value, self.revision + 1, expires)
        growth = size_of(key, record) - size_of(key, self.get(key))
        if growth > 0 and self._size + growth > self._most:
            raise StoreFull(
                f"key {key!r}: with it the store would hold {self._size + growth} bytes, and it holds {self._most} at "
                "most: delete what is not needed, store with a ttl, or give the store a larger max_total"
            )
        self._change(key, record, "set")
        return self.revision

    def remove(self, key: str, cause: Cause) -> None:
        """Take away what a key has."""
        self._change(key, None, cause)

    def _change(self, key: str, record: Record | None, cause: Cause) -> None:
        self._size += size_of(key, record) - size_of(key, self.get(key))
        self.revision += 1
        self.changes[key] = record
        value, expires = (None, None) if record is None else (record.value, record.expires)
        when = None if expires is None else datetime_of(expires)
        self.news.append(Changed(key, self.revision, value, cause, when))

    def expires(self, ttl: float | None) -> int | None:
        """When that is, which lives for ``ttl`` seconds from now."""
        return None if ttl is None else self.now + max(1, round(ttl * 1_000_000))

    # What came of writes

    def outcome(self, event_id: str, redelivered: bool) -> Outcome | None:
        """What came of a write that was made before, in this batch as well. Raises OutcomeUnknown."""
        known = self.outcomes.get(event_id)
        return self._known.find(event_id, redelivered) if known is None else decode(known)

    def remember(self, event_id: str, outcome: Outcome) -> None:
        """Keep what came of a write."""
        self.outcomes[event_id] = encode(outcome)
