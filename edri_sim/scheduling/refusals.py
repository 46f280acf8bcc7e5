"""What the scheduler may answer in place of a reply."""

from __future__ import annotations

from edri_sim.errors import BadEvent, Refused


class ScheduleError(Refused):
    """The base of the scheduler's refusals; nothing was changed."""

    code = "schedule"


class BadSchedule(ScheduleError, BadEvent):
    """What was asked for cannot be scheduled; the message names the argument, and says what is expected.

    It is a BadEvent, which is what a request of the wrong types is before it leaves for another node.
    """

    code = "bad_schedule"


class UnknownSchedule(ScheduleError):
    """No schedule has this id: it was never made, was removed, or was due once and has fired."""

    code = "unknown_schedule"


class DuplicateSchedule(ScheduleError):
    """A schedule of this id exists: Reschedule changes when it is due, Unschedule removes it."""

    code = "duplicate_schedule"


class TooManySchedules(ScheduleError):
    """The scheduler has as many schedules as it may have."""

    code = "too_many_schedules"
