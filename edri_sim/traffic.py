"""What passed between routers, and what happened to the links meanwhile: read from a trace. Times in nanoseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from edri_sim import trace
from edri_sim.trace import Recorder


@dataclass(slots=True)
class Crossing:
    """One event on its way from one router to another.

    ``held`` is when it was accepted while the other could not be reached; ``sent`` has every transmission.
    """

    event_id: str
    type: str
    source: str
    target: str
    held: int | None = None
    sent: list[int] = field(default_factory=list)
    delivered: int | None = None
    given_up: int | None = None
    duplicates: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> int | None:
        """When the outbox took it."""
        return self.held if self.held is not None else min(self.sent, default=None)

    @property
    def resent(self) -> list[int]:
        """When it was sent again."""
        return self.sent[1:]


class Period(NamedTuple):
    """From when to when something lasted; ``end`` is None if it did to the end of the run."""

    start: int
    end: int | None


class Account(NamedTuple):
    """What was owed, and what became of it: ``owed == delivered + given_up + pending``."""

    owed: int
    delivered: int
    given_up: int
    pending: int
    held: int
    resent: int
    duplicates: int

    def __str__(self) -> str:
        return (
            f"owed {self.owed} = delivered {self.delivered} + given up {self.given_up} + pending {self.pending}; "
            f"held {self.held}, resent {self.resent}, duplicates dropped {self.duplicates}"
        )


class Traffic:
    """All crossings of a run, the outages of each router's lines, and the faults that were made."""

    def __init__(self, recorder: Recorder) -> None:
        self.crossings: dict[tuple[str, str, str], Crossing] = {}
        """By event id, source and target."""
        self.lines: dict[tuple[str, str], list[Period]] = {}
        """When a router's line to a switch was up, by both names."""
        self.faults: list[tuple[str, Period]] = []
        self._open_faults: dict[str, int] = {}
        self._names = recorder.names.list()
        on_event = self._stages()
        on_mark: dict[int, Callable[[str, str, int], None]] = {
            trace.LINK_UP: self._line_up, trace.LINK_DOWN: self._line_down,
            trace.FAULT_BEGINS: self._fault_begins, trace.FAULT_ENDS: self._fault_ends,
        }  # fmt: skip
        names = self._names
        for time, stage, _, component, origin, number, kind, detail in recorder.rows():
            if stage in on_event:
                here = names[component].partition("/")[0]
                on_event[stage](f"{names[origin]}/{number}", names[kind], here, names[detail], time)
            elif stage in on_mark:
                on_mark[stage](names[component].partition("/")[0], names[kind], time)
        for name, start in self._open_faults.items():
            self.faults.append((name, Period(start, None)))

    def _stages(self) -> dict[int, Callable[[str, str, str, str, int], None]]:
        def sending(note: Callable[[Crossing, int], None]) -> Callable[[str, str, str, str, int], None]:
            return lambda event, kind, here, there, time: note(self._crossing(event, kind, here, there), time)

        def receiving(note: Callable[[Crossing, int], None]) -> Callable[[str, str, str, str, int], None]:
            return lambda event, kind, here, there, time: note(self._crossing(event, kind, there, here), time)

        return {
            trace.HELD: sending(_held), trace.SENT: sending(_sent), trace.RESENT: sending(_sent),
            trace.GIVEN_UP: sending(_given_up), trace.DELIVERED: receiving(_delivered),
            trace.DUPLICATE: receiving(_duplicate),
        }  # fmt: skip

    def _crossing(self, event: str, kind: str, source: str, target: str) -> Crossing:
        key = (event, source, target)
        found = self.crossings.get(key)
        if found is None:
            found = self.crossings[key] = Crossing(event, kind, source, target)
        return found

    def _line_up(self, node: str, switch: str, time: int) -> None:
        self.lines.setdefault((node, switch), []).append(Period(time, None))

    def _line_down(self, node: str, switch: str, time: int) -> None:
        periods = self.lines.setdefault((node, switch), [])
        if periods and periods[-1].end is None:
            periods[-1] = Period(periods[-1].start, time)

    def _fault_begins(self, _: str, name: str, time: int) -> None:
        self._open_faults[name] = time

    def _fault_ends(self, _: str, name: str, time: int) -> None:
        start = self._open_faults.pop(name, None)
        if start is not None:
            self.faults.append((name, Period(start, time)))

    # Figures

    def between(self, source: str | None = None, target: str | None = None) -> list[Crossing]:
        """The crossings from a router to another; None stands for any."""
        return [
            crossing
            for crossing in self.crossings.values()
            if source in (None, crossing.source) and target in (None, crossing.target)
        ]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The pairs of routers between which events went, in order of first use."""
        return list(dict.fromkeys((crossing.source, crossing.target) for crossing in self.crossings.values()))


def account(crossings: Iterable[Crossing]) -> Account:
    """What was owed of some crossings, and what became of it."""
    crossings = list(crossings)
    delivered = sum(crossing.delivered is not None for crossing in crossings)
    given_up = sum(crossing.delivered is None and crossing.given_up is not None for crossing in crossings)
    return Account(
        owed=len(crossings),
        delivered=delivered,
        given_up=given_up,
        pending=len(crossings) - delivered - given_up,
        held=sum(crossing.held is not None for crossing in crossings),
        resent=sum(len(crossing.resent) for crossing in crossings),
        duplicates=sum(len(crossing.duplicates) for crossing in crossings),
    )


def steps(changes: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Times and running totals of (time, change), one point a time; empty lists for no change."""
    times: list[int] = []
    totals: list[int] = []
    total = 0
    for time, change in sorted(changes):
        total += change
        if times and times[-1] == time:
            totals[-1] = total
        else:
            times.append(time)
            totals.append(total)
    return times, totals


def _held(crossing: Crossing, time: int) -> None:
    if crossing.held is None:
        crossing.held = time


def _sent(crossing: Crossing, time: int) -> None:
    crossing.sent.append(time)


def _given_up(crossing: Crossing, time: int) -> None:
    crossing.given_up = time


def _delivered(crossing: Crossing, time: int) -> None:
    if crossing.delivered is None:
        crossing.delivered = time


def _duplicate(crossing: Crossing, time: int) -> None:
    crossing.duplicates.append(time)
