"""What came of a run, real or simulated: spans, percentiles, throughput, utilisation, tables, a summary, a digest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from edri_sim.driving import Tally
from edri_sim.errors import MissingExtra
from edri_sim.run import export, tables
from edri_sim.run.comparison import Comparison
from edri_sim.run.parts import Parts, Ways
from edri_sim.run.spans import SECOND, Span, Visit, spans_of
from edri_sim.run.summary import summary
from edri_sim.run.words import mean, percentile
from edri_sim.shown import Shown
from edri_sim.trace import Recorder
from edri_sim.traffic import Account, Traffic, account, steps

if TYPE_CHECKING:
    import pandas as pd

    from edri_sim.viz.accessor import Plots

__all__ = ["SECOND", "Parts", "Run", "Span", "Visit"]

_SUCCESSES = ("replied", "handled")


class Run(Shown):
    """The result of a run. ``duration`` is in seconds, by default from the first row to the last.

    ``began`` is when it began, in nanoseconds on the clock of its rows, by default at 0 in simulated time and at the
    first row in real time. Where it is given, figures are of the events that were published ``warm_up`` seconds after
    that, or later, and before the end. ``tallies`` say what became of each load of a scenario. ``cores`` and ``links``
    are the shares, 0 to 1, of each machine's cores and of each limited link's bandwidth that were in use.
    """

    def __init__(
        self, recorder: Recorder, *, duration: float | None = None, simulated: bool, seed: object = None,
        began: int | None = None, warm_up: float = 0.0, tallies: Sequence[Tally] = (),
        cores: Mapping[str, float] | None = None, links: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.recorder = recorder
        self.simulated = simulated
        self.seed = seed
        self.warm_up = warm_up
        self.tallies = tuple(tallies)
        self.cores = dict(cores or {})
        self.links = dict(links or {})
        self._duration = duration
        self._began = began

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
    def began(self) -> int:
        """When it began, in nanoseconds on the clock of its rows."""
        if self._began is not None:
            return self._began
        return 0 if self.simulated else next((row[0] for row in self.recorder.rows()), 0)

    @cached_property
    def window(self) -> tuple[float, float]:
        """From when to when it is measured, in nanoseconds on the clock of its rows; without bounds: all of it."""
        if self._began is None:
            return -math.inf, math.inf
        return self._began + self.warm_up * SECOND, self._began + self.duration * SECOND

    @property
    def measured(self) -> float:
        """For how many seconds it is measured: those after the warm-up."""
        return self.duration - self.warm_up

    @cached_property
    def last(self) -> int:
        """When its last row was written, in nanoseconds on the clock of its rows."""
        return max((row[0] for row in self.recorder.rows()), default=self.began)

    def since(self, time: float) -> float:
        """Microseconds from the begin of the run to a ``time`` on the clock of its rows, in nanoseconds."""
        return (time - self.began) / 1e3

    @cached_property
    def spans(self) -> list[Span]:
        """Every event whose publication was recorded, in order."""
        return spans_of(self.recorder)

    @cached_property
    def counted(self) -> list[Span]:
        """The events that figures are of: those that were published after the warm-up and before the end."""
        first, end = self.window
        return [span for span in self.spans if first <= span.created < end]

    @cached_property
    def traffic(self) -> Traffic:
        """What passed between routers, the outages of their lines, and the faults that were made."""
        return Traffic(self.recorder)

    @cached_property
    def ways(self) -> Ways:
        """What the latency of each event consists of."""
        return Ways(self.traffic.crossings)

    # Figures

    @property
    def types(self) -> list[str]:
        """The wire names of the events that occurred, in order."""
        return list(dict.fromkeys(span.type for span in self.counted))

    def latencies(self, type_: str | None = None) -> list[float]:
        """Seconds from publication to the reply, or to the end of a notification's last handler, of what succeeded."""
        return [
            span.latency
            for span in self.counted
            if (type_ is None or span.type == type_) and span.outcome in _SUCCESSES and span.latency is not None
        ]

    def mean_parts(self, type_: str) -> Parts | None:
        """The mean of each part of the latency of a type's events, in seconds; None without any."""
        found = [parts for span in self.counted if span.type == type_ and (parts := self.ways.parts(span)) is not None]
        return Parts(*(math.fsum(shares) / len(found) for shares in zip(*found, strict=True))) if found else None

    def service_times(self, type_: str) -> list[float]:
        """Seconds from the start of a handler to its end, of every handler that took an event of this type."""
        visits = (visit for span in self.counted if span.type == type_ for visit in span.visits)
        return [(visit.finished - visit.started) / SECOND for visit in visits if visit.finished is not None]

    def arrivals(self, type_: str) -> list[float]:
        """When each event of a type was published, in seconds since the run began: the times of a RecordedLoad."""
        return [(span.created - self.began) / SECOND for span in self.spans if span.type == type_]

    def percentiles(self, type_: str | None = None, q: Sequence[float] = (50, 95, 99)) -> dict[float, float]:
        """Latency in seconds at each of the percentiles ``q`` (0 to 100), linearly interpolated; NaN without events."""
        ordered = sorted(self.latencies(type_))
        return {level: percentile(ordered, level) for level in q}

    def count(self, type_: str, outcome: str) -> int:
        """How many events of a type ended so: ``replied``, ``handled``, ``dropped``, ``open``, or ``failed``."""
        return sum(span.type == type_ and span.outcome.split(":")[0] == outcome for span in self.counted)

    def throughput(self, type_: str | None = None) -> float:
        """Events per second whose reply came, or whose last handler ended, in the time that is measured."""
        first, end = self.window
        ended = sum(
            (type_ is None or span.type == type_) and span.outcome in _SUCCESSES and first <= span.end < end
            for span in self.spans
        )
        return ended / self.measured if self.measured else 0.0

    def utilisation(self) -> dict[str, float]:
        """For each pool and manager that handled anything: the share of its slots that were busy, 0 to 1."""
        first, end = self.window
        busy: dict[str, float] = {}
        for span in self.spans:
            for visit in span.visits:
                if visit.finished is not None:
                    overlap = max(0.0, min(visit.finished, end) - max(visit.started, first))
                    busy[visit.component] = busy.get(visit.component, 0) + overlap
        slots = self.recorder.slots
        length = self.measured * SECOND
        return {name: total / (length * max(1, slots.get(name, 1))) for name, total in busy.items()} if length else {}

    def figures(self) -> dict[str, float]:
        """The main figures by name: of each type of event how many there were, and how many ended well and badly.

        Also its throughput (events per second), its latency (seconds), and what the latency consists of in the mean;
        and what was busy, 0 to 1.
        """
        found: dict[str, float] = {}
        for type_ in self.types:
            found[f"{type_} count"] = sum(span.type == type_ for span in self.counted)
            found[f"{type_} ok"] = len(self.latencies(type_))
            found[f"{type_} failed"] = self.count(type_, "failed") + self.count(type_, "dropped")
            found[f"{type_} per s"] = self.throughput(type_)
            found[f"{type_} mean"] = mean(self.latencies(type_))
            found |= {f"{type_} p{level:g}": value for level, value in self.percentiles(type_).items()}
            parts = self.mean_parts(type_)
            found |= {f"{type_} {name}": value for name, value in (parts._asdict() if parts else {}).items()}
        shares = {**self.utilisation(), **{f"cores of {name}": share for name, share in self.cores.items()}}
        shares |= {f"link {name}": share for name, share in self.links.items()}
        return found | {f"busy {name}": share for name, share in shares.items()}

    def account(self, source: str | None = None, target: str | None = None) -> Account:
        """What one router owed another, and what became of it; None stands for any."""
        return account(self.traffic.between(source, target))

    def backlog_of(self, source: str | None = None, target: str | None = None) -> tuple[list[int], list[int]]:
        """Times (nanoseconds on the clock of the rows), and how many events waited on their way from then on."""
        changes: list[tuple[int, int]] = []
        for way in self.traffic.between(source, target):
            if way.accepted is not None:
                end = way.delivered if way.delivered is not None else way.given_up
                changes += [(way.accepted, 1), *([(end, -1)] if end is not None else [])]
        return steps(changes)

    # Tables and words

    def rows(self) -> pd.DataFrame:
        """The whole trace, a line a row: time in seconds, stage, node, component, event id, type, detail."""
        return tables.rows(self)

    def events(self) -> pd.DataFrame:
        """One line an event; created, latency, and what it waited and was served in all handlers are in seconds."""
        return tables.events(self)

    def parts(self) -> pd.DataFrame:
        """One line for each event that a handler has finished: its latency and its :class:`Parts`, in seconds."""
        return tables.parts(self)

    def crossings(self) -> pd.DataFrame:
        """One line for each event on its way from one router to another; times in seconds, ``sent`` the first."""
        return tables.crossings(self)

    def faults(self) -> pd.DataFrame:
        """One line a fault: what it was, and from when to when, in seconds since the run began."""
        return tables.faults(self)

    def backlog(self) -> pd.DataFrame:
        """How many events waited between each two routers: time (seconds since the run began), both names, a number."""
        return tables.backlog(self)

    def compare(self, other: Run) -> Comparison:
        """The :meth:`figures` of this run and another, side by side."""
        return Comparison(self, other)

    def summary(self) -> str:
        """Tables of counts, latencies and their parts by event type, of what was busy, and what passed."""
        return summary(self)

    # For other tools

    def to_csv(self, path: Path | str) -> None:
        """Write :meth:`events` as CSV. Raises OSError, and MissingExtra without the extra ``lab``."""
        export.to_csv(self, path)

    def to_parquet(self, path: Path | str) -> None:
        """Write :meth:`events` as Parquet. Raises OSError, and MissingExtra without the extra ``parquet``."""
        export.to_parquet(self, path)

    def to_perfetto(self, path: Path | str) -> None:
        """Write Chrome's trace format, which ui.perfetto.dev shows. Raises OSError."""
        export.to_perfetto(self, path)

    def to_otlp(self, path: Path | str, *, epoch: datetime = export.EPOCH) -> None:
        """Write OTLP JSON for OpenTelemetry's tools; ``epoch`` is when the run began. Raises OSError."""
        export.to_otlp(self, path, epoch=epoch)
