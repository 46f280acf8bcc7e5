"""A worker in threads of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from edri_sim.envelope import Job, current
from edri_sim.errors import RequestCancelled, WorkerBroken
from edri_sim.managers.blocking import Port, bridge
from edri_sim.managers.handlers import HandlerSpec
from edri_sim.managers.serving import on_tunnel, on_tunnel_plain, serve
from edri_sim.managers.slot import SlotOwner, WorkerPlan, broken, handler_error
from edri_sim.managers.worker import Component
from edri_sim.realtime.thread_tunnels import ThreadEnd, ThreadOpening
from edri_sim.routing.retrying import Retry
from edri_sim.routing.tunnel import TunnelEnd

if TYPE_CHECKING:
    from edri_sim.events import Notification, Request, Tunnel

T = TypeVar("T")
R = TypeVar("R")

GRACE = 0.5
"""Seconds that a stopping slot gives its threads to come back from a wait; a thread that is busy is then named."""


class ThreadPort:
    """The node's port for coroutines that run on the loop of a worker's own thread."""

    def __init__(self, port: Port, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._loop = loop

    async def request(self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None) -> R:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        return await self._cross(self._port.request(event, timeout=timeout, retry=retry))

    async def notify(self, event: Notification) -> None:
        """See :class:`~edri_sim.managers.blocking.Port`."""
        await self._cross(self._port.notify(event))

    def open(self, event: Tunnel[Any, Any], *, timeout: float | None = None) -> Any:
        """See :class:`~edri_sim.managers.blocking.Port`; in a plain function it is the node's loop that waits."""
        opening = self._port.open(event, timeout=timeout)
        return opening if bridge.get() is not None else ThreadOpening(opening, self._loop)

    async def _cross(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))


class ThreadSlot:
    """The slot of mode ``thread``: one instance, and as many threads as it handles events at once.

    An ``async def`` handler runs on a loop of its thread's own.
    """

    starts_at_once = True

    def __init__(self, plan: WorkerPlan, owner: SlotOwner, index: int) -> None:
        self.index = index
        self._plan = plan
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ended: dict[str, asyncio.Future[None]] = {}
        self._waits: dict[Job, concurrent.futures.Future[Any]] = {}
        self._lock = threading.Lock()
        self._alive = 0
        self._worker: Component | None = None

    async def start(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; the instance is made, and started, in its thread."""
        ready = self._loop.create_future()
        self._add_thread(lambda runner: self._open(runner, ready))
        await ready
        for _ in range(self._plan.concurrency - 1):
            self._add_thread(_nothing)

    def _add_thread(self, before: Callable[[asyncio.Runner], None]) -> None:
        name = f"{self._plan.label}#{self.index}.{len(self._threads)}"
        self._ended[name] = self._loop.create_future()
        thread = threading.Thread(target=self._serve, args=(name, before), name=name, daemon=True)
        self._threads.append(thread)
        with self._lock:
            self._alive += 1
        thread.start()

    def submit(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`."""
        if job.envelope.tunnel is not None:
            serve(job)
        self._jobs.put(job)

    def cancel(self, job: Job) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; what runs in the thread meets it at its next wait."""
        job.cancelled = True
        waiting = self._waits.get(job)
        if waiting is not None:
            waiting.cancel()
        if job.run is not None:
            job.run()

    async def stop(self) -> None:
        """See :class:`~edri_sim.managers.slot.Slot`; a thread that is still busy is named, and not awaited."""
        for _ in self._threads:
            self._jobs.put(None)
        ended = list(self._ended.values())
        if ended:
            await asyncio.wait(ended, timeout=GRACE)
        for thread in self._threads:
            if self._ended[thread.name].done():
                thread.join()
            else:
                self._plan.log.warning("thread %s is busy and was left behind", thread.name)

    # In the threads

    def _serve(self, name: str, before: Callable[[asyncio.Runner], None]) -> None:
        with asyncio.Runner() as runner:
            before(runner)
            while self._worker is not None and (job := self._jobs.get()) is not None:
                if not job.done:  # Its worker may have broken meanwhile.
                    value, error = self._call(runner, job)
                    self._tell(self._end, job, value, error)
            self._close(runner)
        self._tell(self._thread_ended, name)

    def _open(self, runner: asyncio.Runner, ready: asyncio.Future[None]) -> None:
        plan = self._plan
        try:
            worker = plan.make()
            worker.attach(ThreadPort(plan.port, self._loop), plan.label, plan.log)
            runner.run(worker.start())
        except BaseException as error:
            self._tell(_fail, ready, error)
        else:
            self._worker = worker
            self._tell(_succeed, ready)

    def _close(self, runner: asyncio.Runner) -> None:
        """The last thread to end stops the instance."""
        with self._lock:
            self._alive -= 1
            worker = self._worker if self._alive == 0 else None
        if worker is None:
            return
        try:
            runner.run(worker.stop())
        except Exception:
            self._plan.log.exception("%s: stop() failed", self._plan.label)

    def _call(self, runner: asyncio.Runner, job: Job) -> tuple[Any, BaseException | None]:
        spec = self._plan.cls.handler_table.nearest(type(job.event))
        function = self._function(spec)
        context = self._context.copy()
        context.run(current.set, job)
        try:
            if spec.is_async:
                return runner.run(self._cancellable(job, function), context=context), None
            context.run(bridge.set, self)
            return context.run(function, job.event), None
        except BaseException as error:
            return None, error

    def _function(self, spec: HandlerSpec) -> Callable[[Any], Any]:
        function = getattr(self._worker, spec.name)
        if not spec.tunnels:
            return function  # type: ignore[no-any-return]
        return on_tunnel(function, self._end_here) if spec.is_async else on_tunnel_plain(function)

    def _end_here(self, end: TunnelEnd[Any, Any]) -> ThreadEnd:
        return ThreadEnd(end, self._loop)

    async def _cancellable(self, job: Job, function: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        job.run = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            if job.cancelled:
                raise asyncio.CancelledError
            return await function(job.event)
        finally:
            job.run = None

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~edri_sim.managers.blocking.Bridge`; called in a thread, runs on the node's loop."""
        job = current.get()
        assert job is not None
        future: concurrent.futures.Future[T] = asyncio.run_coroutine_threadsafe(make(), self._loop)
        self._waits[job] = future
        if job.cancelled:
            future.cancel()  # It was cancelled before the cancelling side could find this wait.
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RequestCancelled(f"{job.envelope.subject}: the request was cancelled") from None
        finally:
            self._waits.pop(job, None)

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # The node's loop may be closed by the time that a busy thread comes back.
            self._loop.call_soon_threadsafe(function, *arguments, context=self._context)

    # Back on the node's loop

    def _end(self, job: Job, value: Any, error: BaseException | None) -> None:
        if job.done:
            return  # Its worker has broken meanwhile, and its pool has ended it.
        if isinstance(error, WorkerBroken) and not job.cancelled:
            self._break(job, error)
        else:
            self._owner.ended(job, value, None if error is None else handler_error(error))

    def _break(self, job: Job, error: WorkerBroken) -> None:
        """The worker is of no more use: what its other threads do goes on unheard until they heed that."""
        others = [other for other in self._owner.jobs_of(self) if other is not job]
        cancels = [other.run for other in others]
        self._owner.lost(self, broken(error))
        for other, cancel in zip(others, cancels, strict=True):
            other.run = cancel
            self.cancel(other)

    def _thread_ended(self, name: str) -> None:
        self._ended[name].set_result(None)


def _nothing(_: asyncio.Runner) -> None:
    """What every thread but the first does before its jobs."""


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
