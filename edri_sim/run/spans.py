"""The lives of events, and the work of handlers on them, read from a trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edri_sim import trace
from edri_sim.trace import Recorder

SECOND = 1_000_000_000
"""Nanoseconds."""


@dataclass(slots=True)
class Visit:
    """One handler's work on one event: where, in which slot, and from when to when (nanoseconds)."""

    component: str
    slot: int
    queued: int | None
    started: int
    finished: int | None = None


@dataclass(slots=True)
class Span:
    """The life of one event; times in nanoseconds. ``outcome`` is replied, failed:<code>, dropped, or open.

    ``cause`` is the id of the event whose handler published it, on this node or another; empty if none did.
    """

    event_id: str
    type: str
    created: int
    cause: str = ""
    ended: int | None = None
    outcome: str = "open"
    visits: list[Visit] = field(default_factory=list)
    queued: dict[int, int] = field(default_factory=dict)

    @property
    def latency(self) -> float | None:
        """Seconds from publication to the end of the request; for a notification, to the end of its last handler."""
        end = self.end
        return None if end == math.inf else (end - self.created) / SECOND

    @property
    def end(self) -> float:
        """When it ended, in nanoseconds; infinity for what has not."""
        if self.ended is not None:
            return self.ended
        return max((visit.finished for visit in self.visits if visit.finished is not None), default=math.inf)


def spans_of(recorder: Recorder) -> list[Span]:
    """Every event whose publication was recorded, in order."""
    names = recorder.names.list()
    spans: dict[tuple[int, int], Span] = {}
    for time, stage, _, component, origin, number, kind, detail in recorder.rows():
        key = (origin, number)
        if stage == trace.CREATED:
            spans[key] = Span(f"{names[origin]}/{number}", names[kind], time, _cause(names, origin, detail))
            continue
        span = spans.get(key)
        if span is not None:
            _advance(span, stage, time, component, detail, names)
    return list(spans.values())


def _cause(names: Sequence[str], origin: int, detail: int) -> str:
    cause = trace.cause_of(origin, detail)
    return "" if cause is None else f"{names[cause[0]]}/{cause[1]}"


def _advance(span: Span, stage: int, time: int, component: int, detail: int, names: list[str]) -> None:
    if stage == trace.QUEUED:
        span.queued[component] = time
    elif stage == trace.STARTED:
        span.visits.append(Visit(names[component], detail, span.queued.pop(component, None), time))
    elif stage == trace.FINISHED:
        _finish(span, names[component], time)
    elif stage in (trace.REPLIED, trace.FAILED, trace.DROPPED):
        span.ended = time
        span.outcome = {trace.REPLIED: "replied", trace.DROPPED: "dropped"}.get(stage, f"failed:{names[detail]}")


def _finish(span: Span, component: str, time: int) -> None:
    for visit in span.visits:
        if visit.component == component and visit.finished is None:
            visit.finished = time
            break
    if span.ended is None and span.outcome == "open":
        span.outcome = "handled"
