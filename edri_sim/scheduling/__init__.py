"""Events that are published when they are due: what one asks a :class:`Scheduler`, and what it may answer.

``await node.request(Schedule(Backup("db"), cron="0 3 * * *", tz="Europe/Prague", id="nightly"))``
"""

from edri_sim.scheduling.events import (
    ListSchedules,
    Missed,
    PackedEvent,
    Reschedule,
    Schedule,
    ScheduleInfo,
    Unschedule,
)
from edri_sim.scheduling.refusals import (
    BadSchedule,
    DuplicateSchedule,
    ScheduleError,
    TooManySchedules,
    UnknownSchedule,
)
from edri_sim.scheduling.scheduler import Scheduler

__all__ = [
    "BadSchedule",
    "DuplicateSchedule",
    "ListSchedules",
    "Missed",
    "PackedEvent",
    "Reschedule",
    "Schedule",
    "ScheduleError",
    "ScheduleInfo",
    "Scheduler",
    "TooManySchedules",
    "UnknownSchedule",
    "Unschedule",
]
