"""Who watches the requests that pass a router, and what they are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edri_sim.envelope import Envelope
from edri_sim.errors import RequestCancelled, RequestError

E = TypeVar("E", covariant=True)


@dataclass(frozen=True, slots=True)
class Observation(Generic[E]):
    """A request that has passed this node, when it has ended: with its ``reply``, or with an ``error``.

    ``source`` is the node that asked. ``provider`` is the pool or manager that had the request, or ``node <name>``
    where another node had it, or empty if nobody had; ``duration`` is in seconds, from when it came to this router.
    Event and reply are the requester's and the provider's own: look, and change nothing.
    """

    event: E
    event_id: str
    source: str
    provider: str
    reply: Any
    error: RequestError | None
    duration: float


Take = Callable[[Observation[Any]], None]
"""Takes an observation, at once."""


class Observers:
    """The observers of one node; ``time`` is its loop's clock, in seconds."""

    def __init__(self, time: Callable[[], float]) -> None:
        self.any = False
        """Whether there are any: looked at before each end."""
        self._time = time
        self._all: list[tuple[type[Any], Take]] = []
        self._of: dict[type[Any], tuple[Take, ...]] = {}

    def add(self, cls: type[Any], take: Take) -> None:
        """Show the requests of ``cls`` and its subclasses to ``take``, from now on."""
        self._all.append((cls, take))
        self.any = True
        self._of.clear()

    def remove(self, take: Take) -> None:
        """Show nothing more to ``take``."""
        self._all = [one for one in self._all if one[1] != take]
        self.any = bool(self._all)
        self._of.clear()

    def ended(self, envelope: Envelope, end: Any, *, replied: bool) -> None:
        """A request ends with ``end``: its reply, or its error, or None where its requester has gone."""
        cls = type(envelope.event)
        takers = self._of.get(cls)
        if takers is None:
            takers = self._of[cls] = tuple(take for base, take in self._all if issubclass(cls, base))
        if not takers:
            return
        error = None if replied else end or RequestCancelled(f"{envelope.subject}: the requester has gone")
        provider = "" if envelope.holder is None else envelope.holder.label
        observation = Observation(
            envelope.event, envelope.event_id, envelope.origin.node, provider, end if replied else None, error,
            self._time() - envelope.created,
        )  # fmt: skip
        for take in takers:
            take(observation)
