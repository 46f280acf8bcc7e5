"""What moves in a replay: events on their way, and how much each vertex had to do. Times in seconds since the begin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edri_sim import trace
from edri_sim.errors import SettingsError
from edri_sim.run import Run, Span
from edri_sim.topology import Topology
from edri_sim.traffic import Crossing
from edri_sim.viz.flows import OUTSIDE, Cause, causes
from edri_sim.viz.replay.scene import Periods, Scene, scene_of, start_of

WAYS = ("sent", "sent again", "duplicate", "lost", "reply")
SENT, AGAIN, DUPLICATE, LOST, REPLY = range(5)
"""Why an event is on its way, as a number in :data:`WAYS`."""

WIDTH = len(trace.COLUMNS)
_ORIGIN = 1 << 40
"""Above the number of any event: a run has fewer."""

Rows = NDArray[np.int64]


class Flight(NamedTuple):
    """An event on its way from a vertex to another, perhaps ``via`` a switch; all by number."""

    event: int
    source: int
    via: int | None
    target: int
    start: float
    end: float
    way: int


class Change(NamedTuple):
    """What became more or less at a vertex: 0, what waits in its outbox; 1, in its mailboxes; 2, what is handled."""

    vertex: int
    time: float
    what: int
    by: int


class Film:
    """One run, ready to be shown. ``events`` are those of the trace, by origin and number, in that order."""

    def __init__(self, run: Run, topology: Topology | None = None) -> None:
        self.run = run
        self.scene: Scene = scene_of(run, topology)
        self.start = start_of(run)
        self.names = run.recorder.names.list()
        self.rows: Rows = np.frombuffer(b"".join(run.recorder.blocks()), "<i8").reshape(-1, WIDTH)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        keys = np.where(self.rows[:, 5] > 0, self.rows[:, 4] * _ORIGIN + self.rows[:, 5], -1)
        self.keys: Rows = np.unique(keys[keys >= 0])
        self._places = {key: place for place, key in enumerate(self.keys.tolist())}
        self.event_of_row: Rows = np.where(keys >= 0, np.searchsorted(self.keys, keys), -1)
        self.type_of: dict[int, int] = dict(zip(self.event_of_row.tolist(), self.rows[:, 6].tolist(), strict=True))
        """The number of the name of each event's type; -1 stands for rows about no event."""
        self.flights = sorted(self._flights(), key=lambda flight: flight.start)
        self.changes = sorted(self._changes())

    def event(self, origin: int, number: int) -> int:
        """The number of an event in this film."""
        return self._places[origin * _ORIGIN + number]

    def named(self, event_id: str) -> int:
        """The number of the event of this id, as tables give it, or in short: its node and its number, "web/17".

        Raises:
            SettingsError: there is none, or "web/17" stands for several, of different lives of the node.
        """
        found = self._named.get(event_id, [])
        if len(found) == 1:
            return found[0]
        ids = [self._id(event) for event in found]
        known = (
            f"expected one of {', '.join(ids)}" if ids else 'expected an id of run.events(), or in short "node/number"'
        )
        raise SettingsError(f"event {event_id!r} is {'not unique' if ids else 'unknown'}: {known}")

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        """The events of each id, long and short."""
        found: dict[str, list[int]] = {}
        for event in range(len(self.keys)):
            found.setdefault(self._id(event), []).append(event)
            found.setdefault(self.short(event), []).append(event)
        return found

    def _id(self, event: int) -> str:
        origin, number = divmod(int(self.keys[event]), _ORIGIN)
        return f"{self.names[origin]}/{number}"

    def short(self, event: int) -> str:
        """An event's node and its number there."""
        node, _, rest = self._id(event).partition("/")
        return f"{node}/{rest.rpartition('/')[2]}"

    def words(self, event: int) -> str:
        """An event's type, its node, and its number there."""
        return f"{self.names[self.type_of[event]]} {self.short(event)}"

    def vertex_of(self, component: str) -> int | None:
        """Where a component is in what is shown."""
        return self.scene.numbers.get(component.partition("/")[0] if self.scene.machines else component)

    @cached_property
    def _causes(self) -> dict[int, Cause]:
        """What led to each event that a handler published, in order of publication."""
        return {self.event(*key): cause for key, cause in causes(self.run).items()}

    @cached_property
    def parents(self) -> dict[int, int]:
        """The event that led to an event, for those that one led to, in order of publication."""
        return {event: self.event(cause.origin, cause.number) for event, cause in self._causes.items()}

    @property
    def origins(self) -> Rows:
        """The number of the name of each event's origin."""
        return self.keys // _ORIGIN

    @property
    def counts(self) -> Rows:
        """The number that each event has at its origin."""
        return self.keys % _ORIGIN

    def seconds(self, time: int) -> float:
        """Seconds since the run began, of nanoseconds on the clock of its rows."""
        return (time - self.start) / 1e9

    @property
    def types(self) -> list[int]:
        """The numbers of the names of all types of events, in order of first use."""
        return list(dict.fromkeys(self.rows[self.event_of_row >= 0, 6].tolist()))

    # Events on their way

    def _flights(self) -> Iterator[Flight]:
        return self._between_machines() if self.scene.machines else self._within_the_node()

    def _between_machines(self) -> Iterator[Flight]:
        known = self.scene.numbers
        for crossing in self.run.traffic.crossings.values():
            if crossing.source in known and crossing.target in known:
                yield from self._transmissions(crossing)
        for span in self.run.spans:
            home = span.event_id.partition("/")[0]
            if span.outcome == "replied" and span.ended is not None and span.visits:
                yield from self._reply(span, span.visits[-1].component.partition("/")[0], home)

    def _within_the_node(self) -> Iterator[Flight]:
        known = self.scene.numbers
        for span in self.run.spans:
            event = self._event_of(span.event_id)
            source = self._causes[event].component if event in self._causes else OUTSIDE
            for visit in span.visits:
                if source in known and visit.component in known:
                    arrived = visit.started if visit.queued is None else visit.queued
                    yield self._flight(event, source, visit.component, span.created, arrived, SENT)
            if span.outcome == "replied" and span.visits:
                yield from self._reply(span, span.visits[-1].component, source)

    def _transmissions(self, crossing: Crossing) -> Iterator[Flight]:
        """Each transmission of an event; one that no arrival is left for was lost, or still on its way at the end.

        Which of them arrived when, the trace does not say: the last arrival takes the last that was sent before it.
        """
        event = self._event_of(crossing.event_id)
        first = min(crossing.sent, default=0)
        ends: dict[int, tuple[int, int]] = {}
        waiting = sorted(crossing.sent)
        arrivals = [] if crossing.delivered is None else [(crossing.delivered, SENT)]
        for time, way in sorted([*arrivals, *((time, DUPLICATE) for time in crossing.duplicates)], reverse=True):
            before = [sent for sent in waiting if sent <= time]
            if before:
                waiting.remove(before[-1])
                ends[before[-1]] = (time, AGAIN if way == SENT and before[-1] != first else way)
        for sent in dict.fromkeys(crossing.sent):
            end, way = ends.get(sent, (sent, LOST))
            yield self._flight(event, crossing.source, crossing.target, sent, end, way)

    def _reply(self, span: Span, source: str, target: str) -> Iterator[Flight]:
        known = self.scene.numbers
        finished = span.visits[-1].finished
        if source != target and source in known and target in known and finished is not None and span.ended is not None:
            yield self._flight(self._event_of(span.event_id), source, target, finished, span.ended, REPLY)

    def _flight(self, event: int, source: str, target: str, start: int, end: int, way: int) -> Flight:
        numbers = self.scene.numbers
        begin = self.seconds(start)
        a, b = numbers[source], numbers[target]
        return Flight(event, a, self._via(a, b, begin), b, begin, self.seconds(end), way)

    def _event_of(self, event_id: str) -> int:
        origin, _, number = event_id.rpartition("/")
        return self.event(self._numbers[origin], int(number))

    def _via(self, a: int, b: int, time: float) -> int | None:
        """The switch between two nodes, the first whose lines to both stood at that time; None for a direct link."""
        near, far = self._neighbours.get(a, {}), self._neighbours.get(b, {})
        if b in near:
            return None
        common = [vertex for vertex in near if vertex in far]
        standing = (vertex for vertex in common if _stands(near[vertex], time) and _stands(far[vertex], time))
        return next(standing, common[0] if common else None)

    @cached_property
    def _neighbours(self) -> dict[int, dict[int, Periods | None]]:
        """Which vertices each is linked to, and when those links stood."""
        joined: dict[int, dict[int, Periods | None]] = {}
        for a, b, up in self.scene.links:
            joined.setdefault(a, {})[b] = up
            joined.setdefault(b, {})[a] = up
        return joined

    # How much there is to do

    def _changes(self) -> Iterator[Change]:
        known = self.scene.numbers
        for each in self.run.traffic.crossings.values():
            end = each.delivered if each.delivered is not None else each.given_up
            if self.scene.machines and each.source in known and each.accepted is not None:
                yield Change(known[each.source], self.seconds(each.accepted), 0, 1)
                if end is not None:
                    yield Change(known[each.source], self.seconds(end), 0, -1)
        for span in self.run.spans:
            for visit in span.visits:
                vertex = self.vertex_of(visit.component)
                if vertex is not None:
                    yield from self._work(vertex, visit.queued, visit.started, visit.finished)

    def _work(self, vertex: int, queued: int | None, started: int, finished: int | None) -> Iterator[Change]:
        if queued is not None:
            yield Change(vertex, self.seconds(queued), 1, 1)
            yield Change(vertex, self.seconds(started), 1, -1)
        yield Change(vertex, self.seconds(started), 2, 1)
        if finished is not None:
            yield Change(vertex, self.seconds(finished), 2, -1)


def _stands(up: Periods | None, time: float) -> bool:
    return up is not None and any(begin <= time <= end for begin, end in up)
