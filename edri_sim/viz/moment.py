"""How the machines of a run were at one moment: what each had to do, and what had become of each link."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from edri_sim.run import SECOND, Run
from edri_sim.traffic import Crossing, Period
from edri_sim.viz.replay.scene import start_of

_RECENT = 0.1
"""The share of the run, before the moment, over which rates are taken."""


class Load(NamedTuple):
    """What a node had to do: handlers at work, events that waited in its mailboxes and its outbox, and what passed.

    ``crossed`` are the events that it had sent and got by then, over whichever link: which of its links carried an
    event, the trace does not say. ``rate`` is how many of these there were in a second, of late.
    """

    busy: int = 0
    queued: int = 0
    held: int = 0
    crossed: int = 0
    rate: float = 0.0

    @property
    def waiting(self) -> int:
        """The events that waited for anything."""
        return self.queued + self.held

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {word}" for count, word in ((self.busy, "busy"), (self.waiting, "wait")) if count)


def loads_at(run: Run, at: float) -> dict[str, Load]:
    """What each node had to do at a moment, in seconds of the run; nodes without any are left out."""
    moment = start_of(run) + round(at * SECOND)
    span = min(at, _RECENT * run.duration) or 1.0
    counts = _Counts(moment, moment - round(span * SECOND))
    for each in run.traffic.crossings.values():
        counts.add_crossing(each)
    counts.add_work(run)
    names = dict.fromkeys(name for count in (counts.busy, counts.queued, counts.held, counts.crossed) for name in count)
    return {
        name: Load(
            counts.busy[name], counts.queued[name], counts.held[name], counts.crossed[name], counts.recent[name] / span
        )
        for name in names
    }


class _Counts:
    """Counts by node, at a moment and since an earlier one, in nanoseconds."""

    def __init__(self, moment: int, since: int) -> None:
        self._moment = moment
        self._since = since
        self.busy: Counter[str] = Counter()
        self.queued: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.crossed: Counter[str] = Counter()
        self.recent: Counter[str] = Counter()

    def add_crossing(self, each: Crossing) -> None:
        """Count an event at both its ends once it had arrived, and at its source as long as it waited there."""
        if each.delivered is not None and each.delivered <= self._moment:
            self.crossed.update((each.source, each.target))
            if each.delivered > self._since:
                self.recent.update((each.source, each.target))
        end = each.delivered if each.delivered is not None else each.given_up
        if each.accepted is not None and covers(Period(each.accepted, end), self._moment):
            self.held[each.source] += 1

    def add_work(self, run: Run) -> None:
        """Count what was in mailboxes, and what was at work."""
        for span in run.spans:
            for visit in span.visits:
                node = visit.component.partition("/")[0]
                if covers(Period(visit.started, visit.finished), self._moment):
                    self.busy[node] += 1
                elif visit.queued is not None and covers(Period(visit.queued, visit.started), self._moment):
                    self.queued[node] += 1


def covers(period: Period, moment: int) -> bool:
    """Whether it lasted at a moment; both in nanoseconds."""
    return period.start <= moment and (period.end is None or moment < period.end)
