"""A pool at work: takes envelopes from its mailbox, hands them to its slots, and replaces slots that die."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edri_sim import trace
from edri_sim.envelope import Envelope, Job
from edri_sim.errors import HandlerError, NodeStopped, ProviderLost, Refused, RequestError
from edri_sim.managers.serving import finish
from edri_sim.managers.slot import Slot, WorkerPlan
from edri_sim.routing.context import NodeContext
from edri_sim.routing.mailbox import Mailbox, Overflow

STARTS_PER_TURN = 64
"""How many handlers a pool starts before the loop may serve others: plain functions run to their end in a turn."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How much a pool takes: instances, events at once for each, and the mailbox before them."""

    mode: str
    size: int
    concurrency: int
    queue: int
    overflow: Overflow


class RunningPool:
    """The consumer of one mailbox, and the owner of its slots."""

    def __init__(self, plan: WorkerPlan, shape: Shape, classes: Iterable[type[Any]], owner: str, node: NodeContext):
        self.label = plan.label
        self._plan = plan
        self._shape = shape
        self._classes = tuple(classes)
        self._owner = owner
        self._node = node
        self._router = node.router
        self._trace = node.host.trace
        self._component = self._trace.component(self.label, shape.size * shape.concurrency)
        self._executor = node.host.executor(shape.mode)
        self.mailbox = Mailbox(
            self, shape.queue, shape.overflow, self._router.dead_letter, self._trace, self._component
        )
        self._record = self._trace.record
        self._handled = self._trace.counters.of("handled")
        self._slots: dict[Slot, None] = {}
        self._stillborn: dict[Slot, str] = {}
        self._idle: deque[Slot] = deque()
        self._running: dict[Envelope, Job] = {}
        self._deaths = 0
        self._repairs: dict[asyncio.Task[None], None] = {}
        self._changed: asyncio.Future[None] | None = None

    # Life

    async def start(self) -> None:
        """Start all instances, then subscribe. Raises what a worker's ``start`` raises, with none left running."""
        slots: list[Slot] = [self._executor.slot(self._plan, self, index) for index in range(self._shape.size)]
        try:
            async with asyncio.TaskGroup() as group:
                for slot in slots:
                    group.create_task(slot.start())
        except BaseException as error:
            for slot in slots:
                await slot.stop()
            raise _first(error) from None
        for slot in slots:
            self._admit(slot)
        for cls in self._classes:
            self._router.table.subscribe(cls, self.mailbox, self._owner)

    @property
    def busy(self) -> bool:
        """Whether events are queued or in handlers."""
        return bool(self.mailbox.outstanding or self.mailbox.parked)

    async def quiet(self) -> None:
        """Return when nothing is queued and no handler runs."""
        while self.busy:
            await self._change()

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
        self._router.table.unsubscribe(self.mailbox)
        for repair in list(self._repairs):
            repair.cancel()
            with suppress(asyncio.CancelledError):
                await repair
        for envelope in self.mailbox.close(f"node {self._node.name!r} stopped"):
            self._router.fail(
                envelope, NodeStopped(f"{envelope.subject}: node {self._node.name!r} stopped before it began")
            )
        for job in list(self._running.values()):
            job.slot.cancel(job)
        slots, self._slots = self._slots, {}
        self._idle.clear()
        async with asyncio.TaskGroup() as group:
            for slot in slots:
                group.create_task(slot.stop())

    def _admit(self, slot: Slot) -> None:
        self._slots[slot] = None
        if slot in self._stillborn:  # It died after its start, while others still started.
            self.lost(slot, self._stillborn.pop(slot))
            return
        self._idle.extend([slot] * self._shape.concurrency)
        self.mailbox.resize(len(self._slots) * self._shape.concurrency)
        self._go_on()

    # Work

    def wake(self) -> None:
        """See :class:`~edri_sim.routing.mailbox.Consumer`: start what is queued on the next turn of the loop."""
        self._node.turn.add(self._start_jobs)

    def _start_jobs(self) -> None:
        mailbox, running, idle, label = self.mailbox, self._running, self._idle, self.label
        queue, record = mailbox.queue, self._record
        try:
            for _ in range(STARTS_PER_TURN):
                if not queue or not idle:
                    break
                envelope = queue.popleft()
                slot = idle.popleft()
                job = running[envelope] = Job(envelope, envelope.event, label, slot)
                if record is not None and slot.starts_at_once:
                    record(trace.STARTED, self._component, envelope, slot.index)
                slot.submit(job)
        finally:
            mailbox.awake = False
            self._go_on()

    def _go_on(self) -> None:
        """Start more if there is more, and nobody has said so yet."""
        mailbox = self.mailbox
        if mailbox.queue and self._idle and not mailbox.awake:
            mailbox.awake = True
            self.wake()

    def started(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        if self._record is not None:
            self._record(trace.STARTED, self._component, job.envelope, job.slot.index)

    def ended(self, job: Job, value: Any, error: RequestError | None) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`."""
        _close(job, error)
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
        self._deaths = 0
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
            self._router.dead_letter(envelope, f"node {self._node.name!r} stopped", self.label)
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
            job.slot.cancel(job)

    def runs(self, envelope: Envelope) -> bool:
        """See :class:`~edri_sim.envelope.Holder`."""
        return envelope in self._running

    def _log_failure(self, envelope: Envelope, error: RequestError) -> None:
        fields = {"event_id": envelope.event_id, "event_type": envelope.type.name}
        text = error.remote_traceback if isinstance(error, HandlerError) else str(error)
        self._plan.log.error("%s failed on %s:\n%s", self.label, envelope.type.name, text, extra=fields)

    # Repair

    def lost(self, slot: Slot, reason: str) -> None:
        """See :class:`~edri_sim.managers.slot.SlotOwner`: fail its jobs, and replace it after a pause."""
        if slot not in self._slots:
            self._stillborn[slot] = reason
            return
        del self._slots[slot]
        self._plan.log.error("%s: worker %d died: %s", self.label, slot.index, reason)
        for job in [job for job in self._running.values() if job.slot is slot]:
            self.ended(
                job, None, ProviderLost(f"{job.envelope.subject}: worker {slot.index} of {self.label} died: {reason}")
            )
        while slot in self._idle:
            self._idle.remove(slot)
        self.mailbox.resize(len(self._slots) * self._shape.concurrency)
        repair = self._node.loop.create_task(self._replace(slot.index))
        self._repairs[repair] = None
        repair.add_done_callback(self._repairs.pop)

    async def _replace(self, index: int) -> None:
        """Start a new instance after a pause that doubles with each death in a row."""
        settings = self._node.settings
        while True:
            pause = min(settings.restart_delay * 2**self._deaths, settings.restart_delay_max)
            self._deaths = min(self._deaths + 1, 30)
            await asyncio.sleep(pause)
            slot: Slot = self._executor.slot(self._plan, self, index)
            try:
                await slot.start()
            except Exception:
                self._plan.log.exception("%s: worker %d did not start again", self.label, index)
                await slot.stop()
                continue
            except BaseException:
                await slot.stop()
                raise
            self._admit(slot)
            return


def _close(job: Job, error: RequestError | None) -> None:
    job.done = True
    if job.run is not None:
        job.run = None  # A task's context refers to the job: no cycle is left for the collector.
    if job.tunnels is not None:
        finish(job, failed=error is not None)


def _first(error: BaseException) -> BaseException:
    """The exception in a group: a node that cannot start says why in the words of the worker that failed."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
