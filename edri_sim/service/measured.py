"""What a run measured of the work in its handlers: the time of each that was its own, and who worked beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edri_sim.errors import DeclarationError
from edri_sim.registry import registry
from edri_sim.trace import Recorder

SECOND = 1e9
"""Nanoseconds."""

Interval = tuple[float, float]


class Visited(Protocol):
    """A handler's work on one event; see :class:`~edri_sim.run.Visit`."""

    component: str
    started: int
    finished: int | None


class Lived(Protocol):
    """The life of one event; see :class:`~edri_sim.run.Span`."""

    event_id: str
    type: str
    created: int
    cause: str
    ended: int | None

    @property
    def visits(self) -> Sequence[Visited]:
        """The handlers' work on it."""


class Measured(Protocol):
    """What is needed of a :class:`~edri_sim.run.Run`."""

    recorder: Recorder

    @property
    def spans(self) -> Sequence[Lived]:
        """All events."""

    @property
    def counted(self) -> Sequence[Lived]:
        """The events that figures are of."""


@dataclass(frozen=True, slots=True)
class Work:
    """One handler's work on one event of a type.

    Its ``own`` seconds are those from start to end in which no request that it had made was under way.
    """

    type: str
    component: str
    own: float


def works_of(run: Measured) -> list[Work]:
    """All work that was finished, of the events that figures are of.

    Raises:
        DeclarationError: ``run`` is no run, or its trace has none.
    """
    if not hasattr(run, "recorder") or not hasattr(run, "counted"):
        raise DeclarationError(f"fit({run!r}): expected a Run")
    if not len(run.recorder):
        raise DeclarationError(f"fit({run!r}): the trace has no rows: expected a run that was traced in full")
    visits = [(span, visit) for span in run.counted for visit in span.visits if visit.finished is not None]
    if not visits:
        raise DeclarationError(f"fit({run!r}): no handler finished an event in the time that is measured")
    waits = _waits(run.spans)
    found = []
    for span, visit in visits:
        own = _length(visit) - _covered(waits.get(span.event_id, ()), _interval(visit))
        found.append(Work(span.type, visit.component, max(0.0, own) / SECOND))
    return found


def class_of(type_: str) -> type[Any]:
    """The class of events with a wire name. Raises DeclarationError where none is known here."""
    entry = registry.snapshot().by_name.get(type_)
    if entry is None:
        raise DeclarationError(f"fit: no class of events named {type_!r} is known here: import its module before")
    return entry.cls


def _interval(visit: Visited) -> Interval:
    assert visit.finished is not None
    return visit.started, visit.finished


def _length(visit: Visited) -> float:
    begin, end = _interval(visit)
    return end - begin


def _waits(spans: Iterable[Lived]) -> Mapping[str, list[Interval]]:
    """When requests were under way that a handler had made, by the event that it handled."""
    waits: dict[str, list[Interval]] = {}
    for span in spans:
        if span.cause and span.ended is not None:
            waits.setdefault(span.cause, []).append((span.created, span.ended))
    return waits


def _covered(intervals: Iterable[Interval], within: Interval) -> float:
    """The length of what some intervals cover of another."""
    total, reached = 0.0, within[0]
    for begin, end in sorted(intervals):
        low, high = max(begin, reached), min(end, within[1])
        if high > low:
            total += high - low
            reached = high
    return total


def crowd_of(run: Measured, component: str) -> dict[int, float]:
    """For how many seconds of a run a pool worked on so many events at once."""
    visits = (visit for span in run.spans for visit in span.visits)
    intervals = [_interval(visit) for visit in visits if visit.component == component and visit.finished is not None]
    changes = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    seconds: dict[int, float] = {}
    count, before = 0, 0.0
    for time, change in changes:
        if count:
            seconds[count] = seconds.get(count, 0.0) + (time - before) / SECOND
        count, before = count + change, time
    return seconds
