"""The schedules of one life: what requests and the passing of time change, as steps to be written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from edri_sim.errors import CodecError
from edri_sim.host import Host
from edri_sim.registry import TypeTable, event_type
from edri_sim.scheduling.agenda import Agenda, Entry, Spec
from edri_sim.scheduling.events import (
    ListSchedules,
    Missed,
    PackedEvent,
    Reschedule,
    Schedule,
    ScheduleInfo,
    Unschedule,
)
from edri_sim.scheduling.instants import MINUTE, datetime_of, instant_of
from edri_sim.scheduling.ledger import Begin, Change, Put, Remove
from edri_sim.scheduling.refusals import BadSchedule, DuplicateSchedule, TooManySchedules, UnknownSchedule
from edri_sim.scheduling.rules import Rule, jitter_of, overdue, rule_of

MAX_ID = 200
"""The longest id of a schedule, in characters."""
LATE = MINUTE
"""Microseconds: an occurrence that is no later than this was not missed, whatever held it up."""
MOST_MISSED = 1_000
"""How many missed occurrences of one schedule ``run_all`` makes up for, the oldest of them; the others are skipped."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Spec).decode


class Step(NamedTuple):
    """What a request asks for: write ``changes`` down, and then ``take`` the step, which gives the reply."""

    changes: list[Change]
    take: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Firing:
    """An entry whose time has come: these occurrences are published, and ``due`` and ``fire`` are its next, or None."""

    entry: Entry
    begun: list[Begin]
    due: int | None
    fire: int
    changes: list[Change]


def _once(entry: Entry, _now: int) -> list[int]:
    return [entry.due]


def _all(entry: Entry, now: int) -> list[int]:
    return overdue(entry.rule, entry.due, now - entry.jitter, MOST_MISSED)


def _in_time(entry: Entry, now: int) -> list[int]:
    return [entry.due] if now - entry.fire <= LATE else []


_OCCURRENCES: dict[Missed, Callable[[Entry, int], list[int]]] = {"run_once": _once, "run_all": _all, "skip": _in_time}
"""Which occurrences are published, of those whose time has come."""


class Book:
    """All schedules, in memory; ``wall`` and ``loop`` say what is due next. It holds up to ``most``."""

    def __init__(self, host: Host, types: TypeTable, wall: Agenda, loop: Agenda, most: int) -> None:
        self._host = host
        self._types = types
        self._agendas = {"wall": wall, "loop": loop}
        self._most = most
        self._entries: dict[str, Entry] = {}

    # Requests

    def add(self, event: Schedule) -> Step:
        """A new schedule. Raises BadSchedule, DuplicateSchedule, TooManySchedules."""
        _validate(event)
        id_ = self._free_id(event.event.type) if event.id is None else event.id
        if not (0 < len(id_) <= MAX_ID and id_.isprintable()):
            raise BadSchedule(f"id={id_[:MAX_ID]!r}: expected 1 to {MAX_ID} printable characters")
        if id_ in self._entries:
            raise DuplicateSchedule(f"id={id_!r}: such a schedule exists: Reschedule changes it, Unschedule removes it")
        if len(self._entries) >= self._most:
            raise TooManySchedules(
                f"there are {self._most} schedules already: Unschedule some, or give Scheduler(most=)"
            )
        event.event.unpack(self._types)
        rule = rule_of(event.at, event.every, event.cron, event.tz)
        spec = Spec(
            id_, event.event, None if event.at is None else instant_of(event.at), event.every, event.cron, event.tz,
            event.jitter, event.missed,
        )  # fmt: skip
        return self._admission(self._planned(spec, rule, None))

    def change(self, event: Reschedule) -> Step:
        """Another time for a schedule. Raises UnknownSchedule, BadSchedule."""
        _validate(event)
        old = self._known(event.id)
        rule = rule_of(event.at, event.every, event.cron, event.tz)
        spec = Spec(
            event.id, old.spec.event, None if event.at is None else instant_of(event.at), event.every, event.cron,
            event.tz, old.spec.jitter if event.jitter is None else event.jitter, event.missed or old.spec.missed,
        )  # fmt: skip
        return self._admission(self._planned(spec, rule, old.last))

    def remove(self, event: Unschedule) -> Step:
        """A schedule less. Raises UnknownSchedule."""
        _validate(event)
        entry = self._known(event.id)
        return Step([Remove(event.id)], lambda: self._drop(entry))

    def listed(self, event: ListSchedules) -> list[ScheduleInfo]:
        """What ListSchedules asks for."""
        _validate(event)
        ids = sorted(id_ for id_ in self._entries if id_.startswith(event.prefix) and id_ > event.after)
        return [self._info(self._entries[id_]) for id_ in ids[: event.limit]]

    def _free_id(self, type_: str) -> str:
        return f"{type_[: MAX_ID - 33]}-{self._host.secret().hex()}"

    def _known(self, id_: str) -> Entry:
        entry = self._entries.get(id_)
        if entry is None:
            raise UnknownSchedule(
                f"id={id_[:MAX_ID]!r}: there is no such schedule: ListSchedules tells which there are"
            )
        return entry

    def _planned(self, spec: Spec, rule: Rule, last: int | None) -> Entry:
        """A new entry, with its first occurrence: after ``last``, so that no due time comes again."""
        now = self._agendas[rule.clock].clock.now()
        jitter = jitter_of(spec.jitter, rule)
        due = rule.first(max(now, last or now) if rule.clock == "wall" else now)
        if due is None:
            raise BadSchedule(f"cron={spec.cron!r}: it never fires: expected a day that one of its months has")
        if due < now - LATE:
            raise BadSchedule(
                f"at={datetime_of(due).isoformat()}: it has passed {(now - due) / MINUTE:.0f} minutes ago: "
                "expected a time to come, or within the last minute"
            )
        return Entry(spec, rule, jitter, due, self._fire_time(spec.id, due, jitter), last)

    def _fire_time(self, id_: str, due: int, jitter: int) -> int:
        return due + int(self._host.random(f"scheduler/{id_}/{due}").uniform(0, jitter)) if jitter else due

    def _admission(self, entry: Entry) -> Step:
        return Step([self._put(entry, entry.due, entry.fire, entry.last)], lambda: self._admit(entry))

    def _admit(self, entry: Entry) -> ScheduleInfo:
        if entry.spec.id in self._entries:
            self._drop(self._entries[entry.spec.id])
        self._entries[entry.spec.id] = entry
        self.put(entry)
        return self._info(entry)

    def _drop(self, entry: Entry) -> None:
        entry.gone = True
        self._entries.pop(entry.spec.id, None)

    # Time

    def load(self, puts: Iterable[Put]) -> None:
        """Take over what an earlier life wrote down."""
        for put in puts:
            spec = _decode(put.body)
            at = None if spec.at is None else datetime_of(spec.at)
            rule = rule_of(at, spec.every, spec.cron, spec.tz)
            ahead = self._ahead(rule)
            entry = Entry(spec, rule, jitter_of(spec.jitter, rule), put.due - ahead, put.fire - ahead, put.last)
            self._entries[put.id] = entry
            self.put(entry)

    def due(self) -> list[Firing]:
        """Take from the agendas what is to be published now."""
        return [self._firing(entry, agenda.clock.now()) for agenda in self._agendas.values() for entry in agenda.take()]

    def _firing(self, entry: Entry, now: int) -> Firing:
        spec, rule, ahead = entry.spec, entry.rule, self._ahead(entry.rule)
        occurrences = _OCCURRENCES[spec.missed](entry, now)
        due = rule.after(entry.due, now - entry.jitter)
        if due is None:
            begun = [Begin(spec.id, time + ahead, spec.event.type, spec.event.payload) for time in occurrences]
            return Firing(entry, begun, None, 0, [Remove(spec.id), *begun])
        begun = [Begin(spec.id, time + ahead) for time in occurrences]
        fire = self._fire_time(spec.id, due, entry.jitter)
        last = begun[-1].due if begun else entry.last
        return Firing(entry, begun, due, fire, [self._put(entry, due, fire, last), *begun])

    def move_on(self, firing: Firing) -> None:
        """A firing is written down: its entry turns to its next occurrence, which :meth:`put` makes it wait for."""
        entry = firing.entry
        if firing.begun:
            entry.last = firing.begun[-1].due
        if firing.due is None:
            self._entries.pop(entry.spec.id, None)
        else:
            entry.due, entry.fire = firing.due, firing.fire

    def put(self, entry: Entry) -> None:
        """Have an entry wait for its time, if it is still wanted."""
        if self._entries.get(entry.spec.id) is entry:
            agenda = self._agendas[entry.rule.clock]
            agenda.put(entry)
            agenda.tidy(len(self._entries))

    def event_of(self, begun: Begin) -> PackedEvent:
        """The event of an occurrence; an empty one, if its schedule has gone since."""
        entry = self._entries.get(begun.id)
        if begun.type or entry is None:
            return PackedEvent(begun.type, begun.payload)
        return entry.spec.event

    def arm(self) -> None:
        """Set the timers: at most one by the wall clock, and one by the loop's."""
        for agenda in self._agendas.values():
            agenda.arm()

    def disarm(self) -> None:
        """Have no timers."""
        for agenda in self._agendas.values():
            agenda.disarm()

    def _ahead(self, rule: Rule) -> int:
        """How far the wall clock is ahead of the rule's; two looks at one real clock would differ."""
        if rule.clock == "wall":
            return 0
        return self._agendas["wall"].clock.now() - self._agendas["loop"].clock.now()

    # As others see it

    def _put(self, entry: Entry, due: int, fire: int, last: int | None) -> Put:
        ahead = self._ahead(entry.rule)
        return Put(entry.spec.id, _encode(entry.spec), due + ahead, fire + ahead, last)

    def _info(self, entry: Entry) -> ScheduleInfo:
        spec = entry.spec
        return ScheduleInfo(
            id=spec.id, event=spec.event, next=datetime_of(entry.due + self._ahead(entry.rule)),
            last=None if entry.last is None else datetime_of(entry.last),
            at=None if spec.at is None else datetime_of(spec.at), every=spec.every, cron=spec.cron, tz=spec.tz,
            jitter=spec.jitter, missed=spec.missed,
        )  # fmt: skip


def _validate(event: Any) -> None:
    """Raise BadSchedule unless a request fits its declaration: one from this node was not looked at on its way."""
    try:
        event_type(event).codec.validate(event)
    except CodecError as error:
        raise BadSchedule(str(error)) from error
