"""What one may ask of a scheduler: four requests, and what they carry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from edri_sim.errors import CodecError, DeclarationError
from edri_sim.events import Notification, Request, event
from edri_sim.registry import TypeTable, event_type
from edri_sim.scheduling.refusals import BadSchedule

Missed = Literal["run_once", "run_all", "skip"]
"""What becomes of occurrences whose time has passed when the scheduler looks; see docs/scheduler.md."""

Event = Notification | Request[Any]
E = TypeVar("E")


class PackedEvent(msgspec.Struct, frozen=True):
    """An event of any type, as it travels: its wire name, and itself in MessagePack."""

    type: str
    payload: bytes

    @classmethod
    def of(cls, event: Event) -> PackedEvent:
        """Pack an event.

        Raises:
            DeclarationError: it is no event that can be scheduled: no notification and no request.
            CodecError: it does not fit its own declaration.
        """
        entry = event_type(event)
        if entry.kind == "tunnel":
            raise DeclarationError(f"{entry.name} is a tunnel: a notification or a request can be scheduled")
        return cls(entry.name, entry.codec.encode(event))

    def unpack(self, types: TypeTable) -> Event:
        """The event, as one of ``types``. Raises BadSchedule if it is none of them, or does not fit its type."""
        entry = types.by_name.get(self.type)
        if entry is None:
            raise BadSchedule(f"event {self.type!r} is unknown on the scheduler's node: import its module there")
        if entry.kind == "tunnel":
            raise BadSchedule(f"event {self.type!r} is a tunnel: expected a notification or a request")
        try:
            unpacked: Event = entry.codec.decode(self.payload)
        except CodecError as error:
            raise BadSchedule(f"event {self.type!r} does not fit its type on the scheduler's node: {error}") from error
        return unpacked

    def __repr__(self) -> str:
        return f"<{self.type}, {len(self.payload)} bytes>"


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule as it stands.

    ``next`` is when it is due, jitter not counted, and ``last`` the due time of its latest occurrence that was fired;
    both in UTC. For ``every`` they are what the wall clock is expected to show, and to have shown, then.
    """

    id: str
    event: PackedEvent
    next: datetime
    last: datetime | None
    at: datetime | None
    every: float | None
    cron: str | None
    tz: str | None
    jitter: float
    missed: Missed


def _fill(made: object, /, **values: object) -> None:
    """What the constructor of a frozen dataclass does."""
    for name, value in values.items():
        object.__setattr__(made, name, value)


@event(name="schedule.Schedule")
class Schedule(Request[ScheduleInfo]):
    """Publish ``event``, a notification or a request, ``at`` a time, ``every`` so many seconds or by a ``cron`` rule.

    ``cron`` has five fields and is read in the time zone ``tz``, by default UTC. ``id`` (1 to 200 printable
    characters) is by default one that nobody has. ``jitter``: each occurrence is put off by up to so many seconds.
    ``missed`` says what becomes of occurrences whose time has passed when the scheduler looks. What a scheduled
    request is answered is dropped; if it fails, that is logged, and is a dead letter.

    Raises:
        DeclarationError, CodecError: when it is made, if ``event`` cannot be scheduled or does not fit its type.
        BadSchedule, DuplicateSchedule, TooManySchedules: as the answer of the scheduler.
    """

    event: PackedEvent
    at: datetime | None = None
    every: float | None = None
    cron: str | None = None
    tz: str | None = None
    id: str | None = None
    jitter: float = 0.0
    missed: Missed = "run_once"

    def __init__(
        self, event: Event | PackedEvent, *, at: datetime | None = None, every: float | None = None,
        cron: str | None = None, tz: str | None = None, id: str | None = None,  # noqa: A002
        jitter: float = 0.0, missed: Missed = "run_once",
    ) -> None:  # fmt: skip
        packed = event if isinstance(event, PackedEvent) else PackedEvent.of(event)
        _fill(self, event=packed, at=at, every=every, cron=cron, tz=tz, id=id, jitter=jitter, missed=missed)


@event(name="schedule.Reschedule")
class Reschedule(Request[ScheduleInfo]):
    """Change when the schedule ``id`` is due; its event stays, and so do ``jitter`` and ``missed`` where None.

    Raises:
        UnknownSchedule, BadSchedule: as the answer of the scheduler; the schedule stays as it was.
    """

    id: str
    at: datetime | None = None
    every: float | None = None
    cron: str | None = None
    tz: str | None = None
    jitter: float | None = None
    missed: Missed | None = None


@event(name="schedule.Unschedule")
class Unschedule(Request[None]):
    """Remove the schedule ``id``: once this is answered it fires no more. Raises UnknownSchedule."""

    id: str


@event(name="schedule.ListSchedules", idempotent=True)
class ListSchedules(Request[list[ScheduleInfo]]):
    """The schedules whose ids begin with ``prefix`` and come after ``after``, the ``limit`` first by their ids."""

    prefix: str = ""
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
