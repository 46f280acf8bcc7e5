"""Workers in simulated time: the slot of a node's loop, with what the work costs before the body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import simpy
from greenlet import greenlet

from edri_sim.envelope import Job
from edri_sim.errors import BadEvent, BadReply, CodecError, RequestError
from edri_sim.managers.loop_slot import LoopSlot
from edri_sim.managers.overtime import StillBusy
from edri_sim.managers.slot import SlotOwner, WorkerPlan
from edri_sim.managers.strands import Strands
from edri_sim.service import Service
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.watch import PATIENCE, Watch

if TYPE_CHECKING:
    from edri_sim.simulation.host import SimulatedHost

_FREE = Service()
CRASHED = "was killed by SIGKILL"


class WatchedStrands(Strands):
    """Plain functions whose time between two waits is looked at."""

    watch: Watch

    def _resume(self, job: Job, strand: greenlet) -> None:
        began = perf_counter()
        super()._resume(job, strand)
        if perf_counter() - began > PATIENCE:
            self.watch.body(job, perf_counter() - began)


class ModelledSlot(LoopSlot):
    """The slot of mode ``thread``: work holds a core, and the GIL of the node's process for its share."""

    starts_at_once = False

    def __init__(self, host: SimulatedHost, plan: WorkerPlan, owner: SlotOwner, index: int) -> None:
        super().__init__(plan, owner, index, host.loop.start_task, plan.settings.kill_after)
        self._host = host
        self._processor = host.processor
        self._gil: simpy.Resource = host.processor.gil
        self._stream = host.random(f"service/{plan.label}/{index}")
        self._services: dict[type[Any], Service] = {}
        self._sim_loop: SimulationLoop = host.loop
        self._overhead = host.costs.event
        self._waits: dict[Job, asyncio.TimerHandle] = {}
        self._watch = host.loop.kernel.engine.watch
        self._strands = WatchedStrands(host.loop, self.end)
        self._strands.watch = self._watch
        host.keep_strands(self._strands)

    def submit(self, job: Job, extra: float = 0.0) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; ``extra`` seconds of cpu come on top of the service's."""
        service = self._service(type(job.envelope.event))
        cpu, wait = service.draw(self._stream)
        wait += self._host.troubles.slowness
        if self._overhead > 0:
            self._sim_loop.stall(self._overhead)
        self._owner.started(job)
        if cpu + extra > 0:
            self._compute(job, service, cpu + extra, wait)
        else:
            self._wait(job, service, wait)

    def _compute(self, job: Job, service: Service, cpu: float, wait: float) -> None:
        self._processor.compute(cpu, service.gil, self._gil, wait, partial(self._soon, job, service))

    def _soon(self, job: Job, service: Service) -> None:
        self._sim_loop.call_soon(self._body, job, service, context=self._context)

    def _wait(self, job: Job, service: Service, wait: float) -> None:
        if wait > 0:
            self._waits[job] = self._sim_loop.call_later(wait, self._body, job, service, context=self._context)
        else:
            self._body(job, service)

    def _service(self, cls: type[Any]) -> Service:
        service = self._services.get(cls)
        if service is None:
            owner = self._plan.cls
            handler = getattr(owner, owner.handler_table.nearest(cls).name)
            service = self._services[cls] = self._host.services.find(handler, cls, owner) or _FREE
        return service

    def _body(self, job: Job, service: Service) -> None:
        if self._waits:
            self._waits.pop(job, None)
        if service.body == "skip":
            self._skip(job, service)
        elif self._worker is None or (job.cancelled and self._is_async(job)):
            self.end(job, None, asyncio.CancelledError())
        else:
            self._run_body(job)

    def _run_body(self, job: Job) -> None:
        """Begin the body, which runs in this turn until it waits for something."""
        began = perf_counter()
        super().submit(job)
        if perf_counter() - began > PATIENCE:
            self._watch.body(job, perf_counter() - began)

    def _is_async(self, job: Job) -> bool:
        return self._plan.cls.handler_table.nearest(type(job.envelope.event)).is_async

    def _skip(self, job: Job, service: Service) -> None:
        try:
            value = service.answer(job.event)
        except Exception as error:
            self.end(job, None, error)
        else:
            self.end(job, value, None)

    def cancel(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; an async handler that only waits ends at once."""
        wait = self._waits.get(job)
        if wait is None or not self._is_async(job):
            super().cancel(job)
            return
        job.cancelled = True
        wait.cancel()
        del self._waits[job]
        self.end(job, None, asyncio.CancelledError())


class ModelledMethodSlot(ModelledSlot):
    """The slot of mode ``method``: work holds the node's whole loop too, so that nothing else of the node runs."""

    def submit(self, job: Job, extra: float = 0.0) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; an event that comes while the loop is held waits its turn."""
        if self._sim_loop.held:
            self._sim_loop.call_soon(self.submit, job, extra, context=self._context)
        else:
            super().submit(job, extra)

    def _compute(self, job: Job, service: Service, cpu: float, wait: float) -> None:
        self._sim_loop.hold()
        go_on = partial(self._sim_loop.let_go, self._wait, job, service, wait, context=self._context)
        self._processor.compute(cpu, 1.0, self._gil, 0.0, go_on)


class ModelledProcessSlot(ModelledSlot):
    """The slot of mode ``process``: a GIL of its own, the codec between it and the node, and the cost of a spawn."""

    _encoded = True

    def __init__(self, host: SimulatedHost, plan: WorkerPlan, owner: SlotOwner, index: int) -> None:
        super().__init__(host, plan, owner, index)
        self._gil = simpy.Resource(host.processor.env, capacity=1)
        self._ended = self._through_codec
        self._dead = False
        self._works: dict[Job, simpy.Process | None] = {}
        host.troubles.workers[plan.label, index] = self

    async def start(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; takes the host's ``costs.spawn`` seconds."""
        if self._host.costs.spawn > 0:
            await asyncio.sleep(self._host.costs.spawn)
        await super().start()

    def submit(self, job: Job, extra: float = 0.0) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; the event goes through the codec first."""
        codec = job.envelope.type.codec
        try:
            payload = codec.encode(job.envelope.event)
            job.event = codec.decode(payload)
        except CodecError as error:
            self._owner.ended(job, None, BadEvent(str(error)))
            return
        self._works[job] = None
        super().submit(job, extra + len(payload) * self._host.costs.byte)

    def cancel(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; what goes on for ``kill_after`` seconds is killed."""
        super().cancel(job)
        if not job.done:
            self._sim_loop.call_later(self._plan.settings.kill_after, StillBusy(job, self._kill), context=self._context)

    def _kill(self, job: Job) -> None:
        if job in self._owner.jobs_of(self):
            self.crash()

    def crash(self) -> None:
        """End the process as SIGKILL does.

        No body begins any more, and whatever one that had begun still says is not heard. It meets its cancellation,
        where that of a real process would meet nothing.
        """
        if self._dead:
            return
        self._dead = True
        self._worker = None  # A killed worker gets no call.
        self.die(CRASHED)
        works, self._works = self._works, {}
        for work in works.values():
            if work is not None:
                self._processor.stop(work)
        for wait in self._waits.values():
            wait.cancel()
        self._waits.clear()

    def _compute(self, job: Job, service: Service, cpu: float, wait: float) -> None:
        done = partial(self._soon, job, service)
        self._works[job] = self._processor.compute(cpu, service.gil, self._gil, wait, done)

    def _body(self, job: Job, service: Service) -> None:
        if not self._dead:
            self._works[job] = None
            super()._body(job, service)

    def _tell(self, job: Job, value: Any, error: RequestError | None) -> None:
        self._works.pop(job, None)
        self._owner.ended(job, value, error)

    def _through_codec(self, job: Job, value: Any, error: RequestError | None) -> None:
        """Tell the owner, with the reply through the codec, so that what cannot travel shows here."""
        entry = job.envelope.type
        if error is not None or entry.kind != "request":
            self._tell(job, value, error)
            return
        try:
            payload = entry.reply_codec.encode(value)
            received = entry.reply_codec.decode(payload)
        except CodecError as problem:
            self._tell(job, None, BadReply(f"{job.envelope.subject}: the reply cannot be sent: {problem}"))
            return
        cost = len(payload) * self._host.costs.byte
        if cost > 0:
            self._sim_loop.call_later(cost, self._tell, job, received, None, context=self._context)
        else:
            self._tell(job, received, None)


SLOTS: dict[str, Callable[[SimulatedHost, WorkerPlan, SlotOwner, int], ModelledSlot]] = {
    "method": ModelledMethodSlot,
    "thread": ModelledSlot,
    "process": ModelledProcessSlot,
}
