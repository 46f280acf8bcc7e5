"""A worker on the node's own loop: coroutines as tasks, plain functions as strands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from inspect import CORO_CREATED, getcoroutinestate
from types import coroutine
from typing import Any

from edri_sim.envelope import Job, current
from edri_sim.errors import RequestError, WorkerBroken
from edri_sim.managers.serving import on_tunnel, on_tunnel_plain, serve
from edri_sim.managers.slot import SlotOwner, WorkerPlan, broken, handler_error
from edri_sim.managers.stopping import ends_within
from edri_sim.managers.strands import Function, Strands
from edri_sim.managers.worker import Component

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Makes a task on the running loop."""


Start = Callable[[Job, Function], None]
"""Begins a job with its handler's function."""

_Outcome = list[Any]
"""What a body has returned, and what it has raised; who takes that clears the list, so that nothing is kept alive."""


class LoopSlot:
    """The slot of mode ``method``, and of every mode in simulated time.

    When it stops, it waits ``kill_after`` seconds for its handlers, and as long for the worker's ``stop``; None: for as
    long as they take.
    """

    starts_at_once = True
    _encoded = False
    """Whether what passes through its tunnels goes through the codec, even to an opener on the same loop."""

    def __init__(self, plan: WorkerPlan, owner: SlotOwner, index: int, spawn: Spawn, kill_after: float | None) -> None:
        self.index = index
        self._plan = plan
        self._owner = owner
        self._spawn = spawn
        self._kill_after = kill_after
        self._strands = Strands(asyncio.get_running_loop(), self.end)
        self._ended = owner.ended
        self._context = copy_context()
        self._handlers: dict[type[Any], tuple[Function, Start | None]] = {}
        self._worker: Component | None = None

    async def start(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`."""
        plan = self._plan
        worker = self._worker = plan.make()
        worker.attach(plan.port, plan.label, plan.log)
        await worker.start()

    def submit(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`."""
        try:
            function, start = self._handlers[type(job.event)]
        except KeyError:
            function, start = self._handler(type(job.event))
        if start is not None:
            start(job, function)
            return
        outcome = self._context.copy().run(function, job)
        value, error = outcome
        if error is not None:
            outcome[1] = None
            self.end(job, None, error)
            return
        outcome[0] = None
        self._ended(job, value, None)

    def _handler(self, cls: type[Any]) -> tuple[Function, Start | None]:
        """The handler and what starts it; or what runs it through, with a job in place of the event, and None."""
        spec = self._plan.cls.handler_table.nearest(cls)
        function: Function = getattr(self._worker, spec.name)
        start: Start = self._start_task if spec.is_async else self._strands.start
        if spec.tunnels:
            found: tuple[Function, Start | None] = self._tunnelling(function, start, spec.is_async)
        elif spec.is_async and not spec.waits:
            found = _runs_through(function), None
        else:
            found = function, start
        self._handlers[cls] = found
        return found

    def _tunnelling(self, function: Any, start: Start, is_async: bool) -> tuple[Function, Start]:
        """The handler of tunnels, and what starts it: first its end is joined to the opener's."""

        def begin(job: Job, body: Function) -> None:
            serve(job, encoded=self._encoded)
            start(job, body)

        return (on_tunnel(function, lambda end: end) if is_async else on_tunnel_plain(function)), begin

    def _start_task(self, job: Job, function: Function) -> None:
        task = self._spawn(self._run(job, function))
        if not job.done:
            job.run = task

    async def _run(self, job: Job, function: Function) -> None:
        current.set(job)
        try:
            value = await function(job.event)
        except BaseException as error:
            self.end(job, None, error)
        else:
            self._ended(job, value, None)

    def end(self, job: Job, value: Any, error: BaseException | None) -> None:
        """The body has returned ``value``, or has raised ``error``."""
        if error is None:
            self._ended(job, value, None)
            return
        if isinstance(error, WorkerBroken) and not job.cancelled:
            self.die(broken(error))
            return
        self._ended(job, None, handler_error(error))
        if isinstance(error, KeyboardInterrupt):
            # From a callback it ends the program as Ctrl-C does; a task that raised it would be reported as forgotten.
            asyncio.get_running_loop().call_soon(_raise, error)

    def die(self, reason: str) -> None:
        """The worker is of no more use: what it does goes on unheard until it heeds its cancellation."""
        runs = [(job, job.run) for job in self._owner.jobs_of(self)]
        self._ended = _unheard
        self._owner.lost(self, reason)
        for job, task in runs:
            job.cancelled = True
            if task is None:
                self._strands.cancel(job)
            elif task is not asyncio.current_task():
                task.cancel()

    def cancel(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; a plain function meets it at its next wait."""
        job.cancelled = True
        task: asyncio.Task[None] | None = job.run
        if task is None:
            self._strands.cancel(job)
            return
        task.cancel()
        if getcoroutinestate(task.get_coro()) == CORO_CREATED:  # type: ignore[arg-type]
            # A task that is cancelled before its first step never runs at all, so it cannot tell that it ended.
            self.end(job, None, asyncio.CancelledError())

    async def stop(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; what heeds no cancellation is named, and left behind."""
        try:
            async with asyncio.timeout(self._kill_after):
                await self._owner.settled(self)
        except TimeoutError:
            self._left("has a handler that goes on %g s after its cancellation")
        self._strands.close()
        worker, self._worker = self._worker, None
        if worker is not None and not await ends_within(self._kill_after, self._stop_worker(worker)):
            self._left("has a stop() that did not end within %g s")

    async def _stop_worker(self, worker: Component) -> None:
        try:
            await worker.stop()
        except Exception:
            self._plan.log.exception("%s: stop() failed", self._plan.label)

    def _left(self, what: str) -> None:
        message = f"%s: worker %d {what}, and was left behind"
        self._plan.log.warning(message, self._plan.label, self.index, self._kill_after)


def _runs_through(function: Function) -> Callable[[Job], _Outcome]:
    """What runs a coroutine function without an ``await``: it ends with its first step, and so needs no task."""
    bodies = _bodies(function)
    next(bodies)
    return bodies.send


@coroutine
def _bodies(function: Function) -> Generator[_Outcome, Job, None]:
    """Sent jobs, one after the other, runs their bodies.

    The end of a coroutine that another one awaits costs a fraction of the StopIteration that ends it alone.
    """
    outcome: _Outcome = [None, None]
    while True:
        job = yield outcome
        current.set(job)
        try:
            outcome[0] = yield from function(job.event)
        except BaseException as error:
            outcome[1] = error
        del job


def _unheard(job: Job, value: Any, error: RequestError | None) -> None:
    """The end of a job that its pool has ended already."""


def _raise(error: BaseException) -> None:
    raise error
