"""What came of a run, real or simulated: spans, percentiles, throughput, utilisation, tables, a summary, a digest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edri_sim import trace
from edri_sim.errors import MissingExtra
from edri_sim.trace import COLUMNS, STAGES, Recorder
from edri_sim.traffic import Traffic, account

if TYPE_CHECKING:
    import pandas as pd

    from edri_sim.viz.accessor import Plots

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
        end = self.ended
        if end is None:
            finishes = [visit.finished for visit in self.visits if visit.finished is not None]
            end = max(finishes, default=None)
        return None if end is None else (end - self.created) / SECOND


class Run:
    """The result of a run. ``duration`` is in seconds, by default from the first row to the last."""

    def __init__(
        self, recorder: Recorder, *, duration: float | None = None, simulated: bool, seed: object = None
    ) -> None:
        self.recorder = recorder
        self.simulated = simulated
        self.seed = seed
        self._duration = duration

    def __repr__(self) -> str:
        kind = "simulated" if self.simulated else "real"
        return f"<Run {kind}, {self.duration:.6g} s, {len(self.spans)} events>"

    def __str__(self) -> str:
        return self.summary()

    @property
    def plot(self) -> Plots:
        """Pictures of this run. Raises MissingExtra without the extra ``lab``."""
        try:
            plots: Plots = import_module("edri_sim.viz.accessor").Plots(self)
        except ImportError as error:
            raise MissingExtra("run.plot", "lab") from error
        return plots

    @property
    def digest(self) -> str:
        """32 hexadecimal digits; equal for equal runs. See :meth:`Recorder.digest`."""
        return self.recorder.digest()

    @cached_property
    def duration(self) -> float:
        """Seconds."""
        if self._duration is not None:
            return self._duration
        times = [row[0] for row in self.recorder.rows()]
        return (times[-1] - times[0]) / SECOND if times else 0.0

    @cached_property
    def spans(self) -> list[Span]:
        """Every event whose publication was recorded, in order."""
        return _spans(self.recorder)

    @cached_property
    def traffic(self) -> Traffic:
        """What passed between routers, the outages of their lines, and the faults that were made."""
        return Traffic(self.recorder)

    # Figures

    @property
    def types(self) -> list[str]:
        """The wire names of the events that occurred, in order."""
        return list(dict.fromkeys(span.type for span in self.spans))

    def latencies(self, type_: str | None = None) -> list[float]:
        """Seconds from publication to the reply, or to the end of a notification's last handler, of what succeeded."""
        return [
            span.latency
            for span in self.spans
            if (type_ is None or span.type == type_)
            and span.outcome in ("replied", "handled")
            and span.latency is not None
        ]

    def service_times(self, type_: str) -> list[float]:
        """Seconds from the start of a handler to its end, of every handler that took an event of this type."""
        visits = (visit for span in self.spans if span.type == type_ for visit in span.visits)
        return [(visit.finished - visit.started) / SECOND for visit in visits if visit.finished is not None]

    def percentiles(self, type_: str | None = None, q: Sequence[float] = (50, 95, 99)) -> dict[float, float]:
        """Latency in seconds at each of the percentiles ``q`` (0 to 100), linearly interpolated; NaN without events."""
        ordered = sorted(self.latencies(type_))
        return {level: _percentile(ordered, level) for level in q}

    def count(self, type_: str, outcome: str) -> int:
        """How many events of a type ended so: ``replied``, ``handled``, ``dropped``, ``open``, or ``failed``."""
        return sum(span.type == type_ and span.outcome.split(":")[0] == outcome for span in self.spans)

    def throughput(self, type_: str | None = None) -> float:
        """Events per second that were replied to or handled."""
        return len(self.latencies(type_)) / self.duration if self.duration else 0.0

    def utilisation(self) -> dict[str, float]:
        """For each pool and manager that handled anything: the share of its slots that were busy, 0 to 1."""
        busy: dict[str, int] = {}
        for span in self.spans:
            for visit in span.visits:
                if visit.finished is not None:
                    busy[visit.component] = busy.get(visit.component, 0) + visit.finished - visit.started
        slots = self.recorder.slots
        length = self.duration * SECOND
        return {name: total / (length * max(1, slots.get(name, 1))) for name, total in busy.items()} if length else {}

    # Tables

    def rows(self) -> pd.DataFrame:
        """The whole trace, a line a row: time in seconds, stage, node, component, event id, type, detail."""
        pandas = _pandas()
        names = self.recorder.names.list()
        frame = pandas.DataFrame(self.recorder.rows(), columns=list(COLUMNS))
        for column in ("node", "component", "origin", "type"):
            frame[column] = [names[number] for number in frame[column]]
        frame["stage"] = [STAGES[number] for number in frame["stage"]]
        frame["event_id"] = [
            f"{origin}/{number}" if number else ""  # What is about a link or a fault is about no event.
            for origin, number in zip(frame["origin"], frame["number"], strict=True)
        ]
        frame["time"] = frame["time_ns"] / SECOND
        return frame[["time", "stage", "node", "component", "event_id", "type", "detail"]]

    def events(self) -> pd.DataFrame:
        """One line an event; created, latency, and what it waited and was served in all handlers are in seconds."""
        lines = [
            (span.event_id, span.type, span.created / SECOND, span.latency, span.outcome, *_shares(span))
            for span in self.spans
        ]
        columns = ["event_id", "type", "created", "latency", "outcome", "waited", "served"]
        return _pandas().DataFrame(lines, columns=columns)

    def crossings(self) -> pd.DataFrame:
        """One line for each event on its way from one router to another; times in seconds, ``sent`` the first."""
        lines = [
            (
                each.event_id, each.type, each.source, each.target, _seconds(each.held),
                _seconds(min(each.sent, default=None)), len(each.resent), _seconds(each.delivered),
                _seconds(each.given_up), len(each.duplicates),
            )
            for each in self.traffic.crossings.values()
        ]  # fmt: skip
        columns = [
            "event_id", "type", "source", "target", "held", "sent", "resent", "delivered", "given_up", "duplicates",
        ]  # fmt: skip
        return _pandas().DataFrame(lines, columns=columns)

    # Words

    def summary(self) -> str:
        """A table of counts and latencies by event type, and the utilisation of what handled them."""
        kind = f"simulated, seed {self.seed}" if self.simulated else "real time"
        lines = [f"{kind}: {self.duration:.3f} s, {len(self.spans)} events, digest {self.digest[:12]}", ""]
        lines += _table(
            ("event", "count", "ok", "failed", "per s", "p50 ms", "p95 ms", "p99 ms"),
            [self._line(type_) for type_ in self.types],
        )
        busy = self.utilisation()
        if busy:
            lines += [
                "",
                *_table(("handled by", "slots", "busy"), [self._busy_line(n, share) for n, share in busy.items()]),
            ]
        if self.traffic.crossings:
            lines += ["", *(f"{source} to {target}: {account(self.traffic.between(source, target))}"
                            for source, target in self.traffic.pairs)]  # fmt: skip
        if self.recorder.lost:
            lines += ["", f"the trace reached its cap: {self.recorder.lost} rows were not kept"]
        return "\n".join(lines)

    def _line(self, type_: str) -> tuple[str, ...]:
        count = sum(span.type == type_ for span in self.spans)
        failed = self.count(type_, "failed") + self.count(type_, "dropped")
        ranks = self.percentiles(type_).values()
        figures = [_milliseconds(rank) for rank in ranks]
        return (
            type_,
            str(count),
            str(len(self.latencies(type_))),
            str(failed),
            f"{self.throughput(type_):.4g}",
            *figures,
        )

    def _busy_line(self, name: str, share: float) -> tuple[str, ...]:
        return (name, str(self.recorder.slots.get(name, 1)), f"{share:.1%}")


def _spans(recorder: Recorder) -> list[Span]:
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


def _shares(span: Span) -> tuple[float, float]:
    waited = sum(visit.started - visit.queued for visit in span.visits if visit.queued is not None)
    served = sum(visit.finished - visit.started for visit in span.visits if visit.finished is not None)
    return waited / SECOND, served / SECOND


def _seconds(time: int | None) -> float | None:
    return None if time is None else time / SECOND


def _percentile(ordered: Sequence[float], level: float) -> float:
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * level / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _milliseconds(seconds: float) -> str:
    """Three significant figures, or all whole milliseconds: 1e+03 is for machines."""
    value = 1000 * seconds
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def _table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *lines)
    ]


def _pandas() -> Any:
    try:
        return import_module("pandas")
    except ImportError as error:
        raise MissingExtra("tables of a run", "lab") from error
