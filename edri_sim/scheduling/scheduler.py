"""The scheduler: a manager that publishes events when they are due."""

from __future__ import annotations

from edri_sim.errors import DeclarationError
from edri_sim.events import Request
from edri_sim.managers.manager import Manager, RunningManager
from edri_sim.managers.worker import handles
from edri_sim.names import check_name
from edri_sim.routing.context import NodeContext
from edri_sim.scheduling.agenda import Agenda
from edri_sim.scheduling.book import Book
from edri_sim.scheduling.clerk import Clerk
from edri_sim.scheduling.events import Event, ListSchedules, Reschedule, Schedule, ScheduleInfo, Unschedule
from edri_sim.scheduling.instants import LoopClock, WallClock
from edri_sim.scheduling.ledger import Ledger, Memory, Stored


class Scheduler(Manager):
    """Publishes events at a time, at intervals, or by cron rules: ``Node("solo", Scheduler, Backups)``.

    It is driven by :class:`~edri_sim.scheduling.Schedule`, ``Reschedule``, ``Unschedule`` and ``ListSchedules``, from
    any node. With ``storage``, the name of a storage of its host, schedules outlive the program; without, they end
    with it. It holds up to ``most`` schedules.

    Never early, never twice for one due time: docs/scheduler.md says what that costs, and what is late.
    """

    def __init__(self, *, storage: str | None = None, most: int = 10_000) -> None:
        if storage is not None:
            check_name("storage", storage)
        if not (type(most) is int and most > 0):
            raise DeclarationError(f"Scheduler(most={most!r}): expected a whole number, 1 or more")
        self._storage = storage
        self._most = most

    def run_on(self, context: NodeContext) -> RunningManager:
        """See :class:`~edri_sim.routing.context.Part`."""
        self._context = context
        return RunningScheduler(self, context)

    async def start(self) -> None:
        """Open the storage and take over what is in it. Raises StorageError, SettingsError."""
        node, host = self._context, self._context.host
        ledger: Ledger = Memory() if self._storage is None else Stored(host.storage(self._storage))
        wall, loop = Agenda(WallClock(host), self._ring), Agenda(LoopClock(node.loop), self._ring)
        self._book = Book(host, node.router.types, wall, loop, self._most)
        self.clerk = Clerk(self._book, ledger, self._publish, node, node.log.of("scheduler"))
        await self.clerk.open(node.settings.route_grace)

    async def stop(self) -> None:
        """Let go of the storage."""
        await self.clerk.close()

    def _ring(self) -> None:
        self.clerk.ring()

    async def _publish(self, event: Event) -> None:
        if isinstance(event, Request):
            await self.request(event)
        else:
            await self.notify(event)

    @handles
    async def schedule(self, event: Schedule) -> ScheduleInfo:
        """See :class:`~edri_sim.scheduling.Schedule`."""
        info: ScheduleInfo = await self.clerk.do(lambda: self._book.add(event))
        return info

    @handles
    async def reschedule(self, event: Reschedule) -> ScheduleInfo:
        """See :class:`~edri_sim.scheduling.Reschedule`."""
        info: ScheduleInfo = await self.clerk.do(lambda: self._book.change(event))
        return info

    @handles
    async def unschedule(self, event: Unschedule) -> None:
        """See :class:`~edri_sim.scheduling.Unschedule`."""
        await self.clerk.do(lambda: self._book.remove(event))

    @handles
    async def list_schedules(self, event: ListSchedules) -> list[ScheduleInfo]:
        """See :class:`~edri_sim.scheduling.ListSchedules`."""
        return self._book.listed(event)


class RunningScheduler(RunningManager):
    """A scheduler in one life of a node: it fires nothing while the node drains."""

    def __init__(self, scheduler: Scheduler, node: NodeContext) -> None:
        super().__init__(scheduler, node)
        self._scheduler = scheduler

    @property
    def busy(self) -> bool:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        return super().busy or self._scheduler.clerk.busy

    def leave(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        self._scheduler.clerk.leave()

    async def quiet(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        await super().quiet()
        await self._scheduler.clerk.quiet()
