"""What the latency of an event consists of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

from edri_sim.run.spans import SECOND, Span, Visit
from edri_sim.traffic import Crossing


class Parts(NamedTuple):
    """The shares of one event's latency, in seconds; they add up to it.

    ``network`` is the way to the other router and that of the reply back; ``recovery`` is what the event waited in the
    outbox until it was sent for the last time, because the other could not be reached or had lost it; ``queue`` is the
    time before a handler, for room as well; ``service`` is in the handler, whatever that waited for.
    A reply's own recovery is in ``network``: the trace does not tell one from the other.
    """

    queue: float
    network: float
    recovery: float
    service: float


class Ways:
    """The crossings of a run, by event and target."""

    def __init__(self, crossings: Mapping[tuple[str, str, str], Crossing]) -> None:
        self._to = {(event, target): crossing for (event, _, target), crossing in crossings.items()}

    def parts(self, span: Span) -> Parts | None:
        """The parts of an event's latency; None where no handler has finished it."""
        visit = max((one for one in span.visits if one.finished is not None), key=_end, default=None)
        if visit is None or span.latency is None:
            return None
        arrived, recovery = self._arrival(span, visit.component.partition("/")[0])
        back = span.ended - _end(visit) if span.ended is not None else 0
        queue, service = visit.started - arrived, _end(visit) - visit.started
        network = arrived - span.created - recovery + max(0, back)
        return Parts(*(share / SECOND for share in (queue, network, recovery, service)))

    def _arrival(self, span: Span, node: str) -> tuple[int, int]:
        """When an event came to a node, and how much of its way there was recovery; nanoseconds."""
        way = self._to.get((span.event_id, node))
        if way is None or way.delivered is None or way.accepted is None:
            return span.created, 0
        before = bisect_left(way.sent, way.delivered)
        return way.delivered, max(0, way.sent[before - 1] - way.accepted) if before else 0


def _end(visit: Visit) -> int:
    assert visit.finished is not None
    return visit.finished
