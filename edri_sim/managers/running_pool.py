"""A pool at work: takes envelopes from its mailbox, and hands them to its workers."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from edri_sim import trace
from edri_sim.envelope import WAITING, Envelope, Job
from edri_sim.errors import DeadlineExceeded, HandlerError, NodeStopped, ProviderLost, Refused, RequestError
from edri_sim.events import Notification
from edri_sim.managers.crew import Crew
from edri_sim.managers.holding import Hold
from edri_sim.managers.overtime import Overtime, StillBusy
from edri_sim.managers.serving import finish
from edri_sim.managers.shape import Shape
from edri_sim.managers.slot import Slot, WorkerPlan
from edri_sim.routing.context import NodeContext
from edri_sim.routing.health import PoolHealth
from edri_sim.routing.mailbox import Mailbox

STARTS_PER_TURN = 64
"""How many handlers a pool starts before the loop may serve others: plain functions run to their end in a turn."""
LIVES = 3
"""How many workers an event that may be handled twice can have die on it before it is given up."""


class RunningPool:
    """The consumer of one mailbox, and the owner of its slots."""

    def __init__(self, plan: WorkerPlan, shape: Shape, classes: Iterable[type[Any]], owner: str, node: NodeContext):
        self.label = plan.label
        self._plan = plan
        self._shape = shape
        self._classes = tuple(classes)
        self._provided = tuple(cls for cls in self._classes if not issubclass(cls, Notification))
        self._owner = owner
        self._node = node
        self._router = node.router
        self._trace = node.host.trace
        self._component = self._trace.component(self.label, shape.size * shape.concurrency)
        self.mailbox = Mailbox(
            self, shape.queue, shape.overflow, self._router.dead_letter, self._trace, self._component
        )
        self._record = self._trace.record
        self._handled = self._trace.counters.of("handled")
        self.crew = Crew(plan, shape, node, self)
        self._deaths = self.crew.deaths
        self._idle: deque[Slot] = deque()
        self._running: dict[Envelope, Job] = {}
        self._overtime = None if shape.time_limit is None else Overtime(shape.time_limit, node.loop, self._overdue)
        self._changed: asyncio.Future[None] | None = None
        self._hold: Hold | None = None

    # Life

    async def start(self) -> None:
        """Start all instances, then subscribe. Raises what a worker's ``start`` raises, with none left running."""
        await self.crew.start()
        self.subscribe()

    def subscribe(self) -> None:
        """Lead the events of all handlers here."""
        for cls in self._classes:
            self._router.table.subscribe(cls, self.mailbox, self._owner)

    def unsubscribe(self) -> None:
        """Lead nothing more here."""
        self._router.table.unsubscribe(self.mailbox)

    @property
    def busy(self) -> bool:
        """Whether events are queued or in handlers."""
        return bool(self.mailbox.outstanding or self.mailbox.parked)

    async def quiet(self) -> None:
        """Return when nothing is queued and no handler runs."""
        while self.busy:
            await self._change()

    def health(self) -> PoolHealth:
        """How it is doing now."""
        crew, mailbox, jobs = self.crew, self.mailbox, self._running.values()
        stuck = sum(job.cancelled for job in jobs)
        counts = len(mailbox.queue), len(mailbox.parked), len(jobs), stuck, len(crew.slots), crew.size, crew.restarts
        return PoolHealth(self.label, crew.state, crew.reason, *counts)

    def overfull(self) -> Iterator[str]:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        queued, room = len(self.mailbox.queue), self.mailbox.capacity + self._shape.size * self._shape.concurrency
        if queued > room:
            yield f"{self.label} has {queued} events queued, and room for {room}"

    async def settled(self, slot: Slot) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        while any(job.slot is slot for job in self._running.values()):
            await self._change()

    async def _change(self) -> None:
        """Return when a job has ended, or something was taken from the queue."""
        if self._changed is None:
            self._changed = self._node.loop.create_future()
        await asyncio.shield(self._changed)

    def _tell_change(self) -> None:
        if self._changed is not None:
            self._changed.set_result(None)
            self._changed = None

    async def stop(self) -> None:
        """Unsubscribe, give up what is queued, cancel what runs, and stop all instances."""
        self.unsubscribe()
        await self.crew.cease()
        if self._overtime is not None:
            self._overtime.stop()
        for envelope in self.mailbox.close(f"node {self._node.name!r} stopped"):
            self._router.fail(
                envelope, NodeStopped(f"{envelope.subject}: node {self._node.name!r} stopped before it began")
            )
        for job in list(self._running.values()):
            job.slot.cancel(job)
        self._idle.clear()
        await self.crew.stop()

    # Work

    def wake(self) -> None:
        """See :class:`~edri_sim.routing.mailbox.Consumer`: start what is queued on the next turn of the loop."""
        self._node.turn.add(self._start_jobs)

    def _start_jobs(self) -> None:
        mailbox, running, idle, label = self.mailbox, self._running, self._idle, self.label
        queue, record, overtime = mailbox.queue, self._record, self._overtime
        try:
            for _ in range(STARTS_PER_TURN if self._hold is None else self._hold.advance()):
                if not queue or not idle:
                    break
                envelope = queue.popleft()
                slot = idle.popleft()
                job = running[envelope] = Job(envelope, envelope.event, label, slot)
                if record is not None and slot.starts_at_once:
                    record(trace.STARTED, self._component, envelope, slot.index)
                if overtime is not None:
                    overtime.began(job)
                slot.submit(job)
        finally:
            mailbox.awake = False
            self._go_on()

    def _go_on(self) -> None:
        """Start more if there is more, and nobody has said so yet."""
        mailbox = self.mailbox
        if mailbox.queue and self._idle and not mailbox.awake and (self._hold is None or self._hold.urgent()):
            mailbox.awake = True
            self.wake()

    def started(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        if self._record is not None:
            self._record(trace.STARTED, self._component, job.envelope, job.slot.index)

    def ended(self, job: Job, value: Any, error: RequestError | None) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        _close(job, failed=error is not None)
        envelope, mailbox = job.envelope, self.mailbox
        del self._running[envelope]
        if self._record is not None:
            self._record(trace.FINISHED, self._component, envelope, job.slot.index)
        self._idle.append(job.slot)
        mailbox.outstanding -= 1
        if mailbox.parked:
            mailbox.refill()
        if not mailbox.awake and mailbox.queue:
            self._go_on()
        if self._changed is not None:
            self._tell_change()
        if error is not None:
            self._failed(job, error)
            return
        self._deaths.in_a_row = 0
        if envelope.reply_to is None:
            name = envelope.type.name
            self._handled[name] = self._handled.get(name, 0) + 1
            if envelope.watch is not None:
                envelope.watch.ended()
        elif not job.cancelled:
            self._router.reply(envelope, value)

    def _failed(self, job: Job, error: RequestError) -> None:
        """What a handler raised is logged here, once."""
        envelope = job.envelope
        if not job.cancelled and not isinstance(error, (ProviderLost, Refused)):
            self._log_failure(envelope, error)
        if envelope.reply_to is not None:
            if not job.cancelled:
                self._router.fail(envelope, error)
        elif job.cancelled:
            self._router.dead_letter(envelope, job.reason or f"node {self._node.name!r} stopped", self.label)
        elif isinstance(error, HandlerError):
            self._trace.ended(envelope, error.code, self._node.loop.time())
            if envelope.watch is not None:
                envelope.watch.ended()
        else:
            self._router.dead_letter(envelope, str(error), self.label)

    def abandon(self, envelope: Envelope) -> None:
        """See :class:`~edri_sim.envelope.Holder`."""
        job = self._running.get(envelope)
        if job is None:
            self.mailbox.remove(envelope)
            self._tell_change()
        elif not job.cancelled:
            self._cancel(job)

    def runs(self, envelope: Envelope) -> bool:
        """See :class:`~edri_sim.envelope.Holder`."""
        return envelope in self._running

    def _log_failure(self, envelope: Envelope, error: RequestError) -> None:
        fields = {"event_id": envelope.event_id, "event_type": envelope.type.name}
        text = error.remote_traceback if isinstance(error, HandlerError) else str(error)
        self._plan.log.error("%s failed on %s:\n%s", self.label, envelope.type.name, text, extra=fields)

    # A change of the guard

    def hold(self, labels: Collection[str]) -> None:
        """From now on, begin only what handlers of pools with these labels wait for; see :meth:`let_go`."""
        self._hold = Hold(self.mailbox, labels)

    def let_go(self) -> None:
        """Begin everything again."""
        self._hold = None
        self._go_on()

    @property
    def works(self) -> bool:
        """Whether a handler runs."""
        return bool(self._running)

    async def idle(self) -> None:
        """Return when no handler runs."""
        while self._running:
            await self._change()

    def give_up_all(self, reason: str) -> None:
        """Cancel what runs, and fail it."""
        for job in list(self._running.values()):
            self._give_up(job, reason, ProviderLost)

    async def rest(self) -> None:
        """Stop all instances."""
        await self.crew.cease()
        self._idle.clear()
        await self.crew.stop()

    def distance(self, cls: type[Any]) -> float:
        """How far the nearest class that is handled here is from ``cls`` among its bases; infinity: none is."""
        return min((cls.__mro__.index(base) for base in self._classes if issubclass(cls, base)), default=math.inf)

    def disown(self, envelope: Envelope, reason: str) -> None:
        """What waited here has no place here any more: another may provide the request; a notification is given up."""
        if envelope.reply_to is not None:
            self._router.replace(envelope)
        else:
            self._router.dead_letter(envelope, reason, self.label)

    # What takes too long

    def _overdue(self, job: Job) -> None:
        """The handler has had all the time that the pool gives it."""
        self._give_up(job, f"its handler did not end within {self._shape.time_limit:g} s", DeadlineExceeded)

    def _give_up(self, job: Job, reason: str, error: type[RequestError]) -> None:
        envelope = job.envelope
        job.reason = reason
        self._cancel(job)
        if envelope.reply_to is not None:
            self._router.fail(envelope, error(f"{envelope.subject}: {reason} at {self.label}"))
            self._router.dead_letter(envelope, reason, self.label)

    def _cancel(self, job: Job) -> None:
        """Cancel a job, and name it if it goes on; a process that goes on is killed, which is told anyway."""
        job.slot.cancel(job)
        if not job.done and self._shape.mode != "process":
            self._node.loop.call_later(self._node.settings.kill_after, StillBusy(job, self._name_busy))

    def _name_busy(self, job: Job) -> None:
        if not self._router.table.closed:
            envelope, seconds = job.envelope, self._node.settings.kill_after
            fields = {"event_id": envelope.event_id, "event_type": envelope.type.name}
            message = "%s: worker %d goes on with %s %g s after its cancellation, and takes nothing else meanwhile"
            self._plan.log.warning(message, self.label, job.slot.index, envelope.type.name, seconds, extra=fields)

    # Workers that come and go

    def admitted(self, slot: Slot) -> None:
        """See :class:`~edri_sim.managers.crew.CrewOwner`."""
        self._idle.extend([slot] * self._shape.concurrency)
        self._resize()
        self._go_on()

    def _resize(self) -> None:
        self.mailbox.resize(len(self.crew.slots) * self._shape.concurrency)

    def jobs_of(self, slot: Slot) -> list[Job]:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        return [job for job in self._running.values() if job.slot is slot]

    def lost(self, slot: Slot, reason: str) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`: end its jobs or hand them to others, and replace it."""
        if not self.crew.bury(slot, reason):
            return
        for job in reversed(self.jobs_of(slot)):  # What goes back to the head of the queue keeps its order.
            self._bereave(job, reason)
        while slot in self._idle:
            self._idle.remove(slot)
        self._resize()
        self.crew.replace(slot, reason)
        self._go_on()

    def _bereave(self, job: Job, reason: str) -> None:
        """The worker that had the job has died."""
        envelope = job.envelope
        text = f"{envelope.subject}: worker {job.slot.index} of {self.label} died: {reason}"
        if job.cancelled or not (envelope.type.idempotent or envelope.type.ack == "handled"):
            self.ended(job, None, ProviderLost(text))
            return
        killed = envelope.killed = envelope.killed or {}
        deaths = killed[self.label] = killed.get(self.label, 0) + 1
        if deaths < LIVES:
            self._give_back(job)
            return
        text = f"{text}; {deaths} workers have died on this event, and no other gets it"
        self.ended(job, None, ProviderLost(text))
        if envelope.reply_to is not None:
            self._router.dead_letter(envelope, text, self.label)

    def _give_back(self, job: Job) -> None:
        """Another worker gets the event, before all that is queued."""
        _close(job, failed=True)
        envelope = job.envelope
        envelope.redelivered = True
        del self._running[envelope]
        if self._record is not None:
            self._record(trace.FINISHED, self._component, envelope, job.slot.index)
        self.mailbox.queue.appendleft(envelope)

    def withdraw(self, reason: str) -> None:
        """See :class:`~edri_sim.managers.crew.CrewOwner`: only notifications are still taken, and wait."""
        mailbox, table = self.mailbox, self._router.table
        parked = mailbox.waiting()
        for envelope in parked:
            mailbox.unpark(envelope)
        table.withdraw(mailbox, self._provided, reason)
        queued = [envelope for envelope in mailbox.queue if envelope.reply_to is not None]
        for envelope in queued:
            mailbox.remove(envelope)
        elsewhere = table.parked()
        homeless = [envelope for envelope in parked if envelope.state == WAITING and envelope not in elsewhere]
        for envelope in [*queued, *homeless]:
            self._router.replace(envelope)
        self._tell_change()

    def provide(self) -> None:
        """See :class:`~edri_sim.managers.crew.CrewOwner`."""
        self._router.table.restore(self.mailbox)


def _close(job: Job, *, failed: bool) -> None:
    job.done = True
    if job.run is not None:
        job.run = None  # A task's context refers to the job: no cycle is left for the collector.
    if job.tunnels is not None:
        finish(job, failed=failed)
