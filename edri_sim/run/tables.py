"""Tables of a run, for pandas. Times are in seconds since the run began, unless it says otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edri_sim.errors import MissingExtra
from edri_sim.run.spans import SECOND, Span
from edri_sim.trace import COLUMNS, STAGES

if TYPE_CHECKING:
    import pandas as pd

    from edri_sim.run import Run


def rows(run: Run) -> pd.DataFrame:
    """The whole trace, a line a row."""
    names = run.recorder.names.list()
    frame = pandas().DataFrame(run.recorder.rows(), columns=list(COLUMNS))
    for column in ("node", "component", "origin", "type"):
        frame[column] = [names[number] for number in frame[column]]
    frame["stage"] = [STAGES[number] for number in frame["stage"]]
    frame["event_id"] = [
        f"{origin}/{number}" if number else ""  # What is about a link or a fault is about no event.
        for origin, number in zip(frame["origin"], frame["number"], strict=True)
    ]
    frame["time"] = frame["time_ns"] / SECOND
    return frame[["time", "stage", "node", "component", "event_id", "type", "detail"]]


def events(run: Run) -> pd.DataFrame:
    """One line an event, with what it waited and was served in all handlers."""
    lines = [
        (span.event_id, span.type, span.created / SECOND, span.latency, span.outcome, *_shares(span))
        for span in run.spans
    ]
    return pandas().DataFrame(lines, columns=["event_id", "type", "created", "latency", "outcome", "waited", "served"])


def parts(run: Run) -> pd.DataFrame:
    """One line for each event that a handler has finished: what its latency consists of."""
    found = ((span, run.ways.parts(span)) for span in run.counted)
    lines = [(span.event_id, span.type, span.latency, *shares) for span, shares in found if shares is not None]
    columns = ["event_id", "type", "latency", "queue", "network", "recovery", "service"]
    return pandas().DataFrame(lines, columns=columns)


def crossings(run: Run) -> pd.DataFrame:
    """One line for each event on its way from one router to another; ``sent`` is the first time."""
    lines = [
        (
            each.event_id, each.type, each.source, each.target, _seconds(each.held),
            _seconds(min(each.sent, default=None)), len(each.resent), _seconds(each.delivered),
            _seconds(each.given_up), len(each.duplicates),
        )
        for each in run.traffic.crossings.values()
    ]  # fmt: skip
    columns = [
        "event_id", "type", "source", "target", "held", "sent", "resent", "delivered", "given_up", "duplicates",
    ]  # fmt: skip
    return pandas().DataFrame(lines, columns=columns)


def faults(run: Run) -> pd.DataFrame:
    """One line a fault: what it was, and from when to when; ``end`` is NaN if it lasted to the end of the trace."""
    began = run.began
    lines = [
        (name, (period.start - began) / SECOND, None if period.end is None else (period.end - began) / SECOND)
        for name, period in run.traffic.faults
    ]
    return pandas().DataFrame(lines, columns=["fault", "begin", "end"]).astype({"begin": float, "end": float})


def backlog(run: Run) -> pd.DataFrame:
    """How many events waited between two routers, a line for each change: accepted, and neither there nor given up."""
    lines = [
        ((time - run.began) / SECOND, source, target, count)
        for source, target in run.traffic.pairs
        for time, count in zip(*run.backlog_of(source, target), strict=True)
    ]
    return pandas().DataFrame(lines, columns=["time", "source", "target", "waiting"]).sort_values("time", kind="stable")


def _shares(span: Span) -> tuple[float, float]:
    waited = sum(visit.started - visit.queued for visit in span.visits if visit.queued is not None)
    served = sum(visit.finished - visit.started for visit in span.visits if visit.finished is not None)
    return waited / SECOND, served / SECOND


def _seconds(time: int | None) -> float | None:
    return None if time is None else time / SECOND


def pandas() -> Any:
    """The library. Raises MissingExtra without the extra ``lab``."""
    try:
        return import_module("pandas")
    except ImportError as error:
        raise MissingExtra("tables of a run", "lab") from error
