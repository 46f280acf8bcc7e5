"""What came of the latest writes, by the id of the event: so a write that is delivered again is made once.

At most :data:`MOST` are remembered. Of each node, the latest write that was forgotten is known: a repeat that may be
one of those is not made again, and its requester is told that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec

from edri_sim.storing.refusals import OutcomeUnknown

MOST = 10_000
"""How many outcomes are remembered."""

Mark = tuple[int, int]
"""The incarnation of a node, and the number of an event that it published in that life."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """The reply to a write in MessagePack; or the code, message and details of the refusal in its place."""

    reply: bytes
    refusal: tuple[str, str, dict[str, str]] | None = None


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Outcome).decode


class Outcomes:
    """The outcomes that are committed, oldest first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[str, bytes] = {}
        self._forgotten: dict[str, Mark] = {}

    def load(self, known: Iterable[tuple[str, bytes]], forgotten: Iterable[tuple[str, int, int]]) -> None:
        """Take over what an earlier life wrote down."""
        self._known = dict(known)
        self._forgotten = {node: (incarnation, number) for node, incarnation, number in forgotten}

    def find(self, event_id: str, redelivered: bool) -> Outcome | None:
        """What came of a write, or None if it was not made.

        Raises:
            OutcomeUnknown: it is a repeat, and may have been made so long ago that its outcome was forgotten.
        """
        known = self._known.get(event_id)
        if known is not None:
            return decode(known)
        node, mark = _parts(event_id)
        if redelivered and mark <= self._forgotten.get(node, (0, 0)):
            raise OutcomeUnknown(
                f"the write {event_id} was repeated after {self._most} others, and may have been made before: "
                "read what is stored"
            )
        return None

    def overdue(self, more: int) -> tuple[list[str], dict[str, Mark]]:
        """What is to be forgotten to have room for ``more``: the ids, and the latest of them for each node."""
        ids = list(islice(self._known, max(0, len(self._known) + more - self._most)))
        marks: dict[str, Mark] = {}
        for event_id in ids:
            node, mark = _parts(event_id)
            marks[node] = max(mark, marks.get(node) or self._forgotten.get(node, mark))
        return ids, marks

    def merge(self, known: Mapping[str, bytes], overdue: tuple[list[str], Mapping[str, Mark]]) -> None:
        """Remember ``known``, and forget what was ``overdue``."""
        for event_id in overdue[0]:
            del self._known[event_id]
        self._forgotten.update(overdue[1])
        self._known.update(known)


def _parts(event_id: str) -> tuple[str, Mark]:
    """The node of an event, and its mark there; see :func:`edri_sim.envelope.event_id`."""
    node, incarnation, number = event_id.split("/")
    return node, (int(incarnation, 16), int(number))
