"""What a store may answer in place of a reply."""

from __future__ import annotations

from edri_sim.errors import BadEvent, Refused


class StoreError(Refused):
    """The base of a store's refusals. Nothing was changed, save where :class:`OutcomeUnknown` says otherwise."""

    code = "store"


class BadArgument(StoreError, BadEvent):
    """A key, a value, a time to live or a limit is not what it may be; the message names it and what is expected.

    It is a BadEvent, which is what a request of the wrong types is before it leaves for another node.
    """

    code = "store.bad_argument"


class ValueTooLarge(StoreError):
    """A value is larger than this store takes; the message names both sizes."""

    code = "store.value_too_large"


class VersionConflict(StoreError):
    """The key does not have the version that was expected: ``version`` is what it has, 0 where it is absent."""

    code = "store.version_conflict"

    def __init__(self, message: str, *, version: int | str) -> None:
        super().__init__(message)
        self.version = int(version)

    def details(self) -> dict[str, str]:
        """The version, as text."""
        return {"version": str(self.version)}


class NotAnInteger(StoreError):
    """What the key has cannot be incremented, as it is no integer."""

    code = "store.not_an_integer"


class IntegerOverflow(StoreError):
    """The sum would not be an integer of 64 bits with a sign."""

    code = "store.integer_overflow"


class StoreFull(StoreError):
    """The keys and values would be more bytes than this store holds; the message names both figures."""

    code = "store.full"


class StoreUnavailable(StoreError):
    """The store's disk refuses to write; the message says what would be right."""

    code = "store.unavailable"


class OutcomeUnknown(StoreError):
    """A write was repeated so late that the store has forgotten whether it made it before; it is not made now."""

    code = "store.outcome_unknown"


class WatchEnded(StoreError):
    """A watch is over, because the node of the store stops: watch again, and take what there is then."""

    code = "store.watch_ended"


class TooManyWatches(StoreError):
    """The store serves as many watches as it can; the message names how many."""

    code = "store.too_many_watches"
