"""Plain functions on a loop, each in a greenlet, so that one that waits does not stop the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from edri_sim.envelope import Job, current
from edri_sim.errors import RequestCancelled
from edri_sim.managers.blocking import bridge

T = TypeVar("T")
_KEPT = 64

Function = Callable[[Any], Any]
Ended = Callable[[Job, Any, BaseException | None], None]
"""Told how a function ended: its job, its result, and what it raised."""


_Outcome = list[Any]
"""What :data:`Ended` is told. Who takes it clears it: the strand that gave it waits, and must keep nothing alive."""


class Strands:
    """Starts plain functions in greenlets of one loop, and is the bridge on which they wait.

    A greenlet whose function has returned serves the next one: a switch costs a fraction of a new greenlet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Ended) -> None:
        self._loop = loop
        self._ended = ended
        self._free: list[greenlet] = []
        self._waiting: dict[Job, tuple[greenlet, asyncio.Task[Any]]] = {}
        # A greenlet starts with an empty context; each function gets a copy of the one the node runs in.
        self._context = copy_context()
        self._context.run(bridge.set, self)

    def start(self, job: Job, function: Function) -> None:
        """Call ``function`` with the job's event, now; it may have ended, or may wait, when this returns."""
        strand = self._free.pop() if self._free else self._new_strand()
        context = self._context.copy()
        context.run(current.set, job)
        strand.gr_context = context
        self._switch(strand, job, function)

    def cancel(self, job: Job) -> None:
        """Wake a function that waits with RequestCancelled; one that does not wait meets it at its next wait."""
        waiting = self._waiting.get(job)
        if waiting is not None:
            waiting[1].cancel()

    def wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """See :class:`~edri_sim.managers.blocking.Bridge`; called in a greenlet."""
        job = current.get()
        strand = getcurrent()
        if job is None or strand.parent is None:
            raise RuntimeError("this handler's thread of control is not one that can wait")
        task = self._loop.create_task(make())
        self._waiting[job] = (strand, task)
        task.add_done_callback(lambda _: self._resume(job, strand))
        strand.parent.switch(None)
        if task.cancelled() and job.cancelled:
            raise RequestCancelled(f"{job.envelope.subject}: the request was cancelled")
        return task.result()

    def close(self) -> None:
        """End every function that waits, by GreenletExit, in the order in which they began to wait."""
        for strand, _ in list(self._waiting.values()):
            strand.parent = getcurrent()
            strand.throw(GreenletExit)
        self._waiting.clear()
        self._free.clear()

    def _resume(self, job: Job, strand: greenlet) -> None:
        if self._waiting.pop(job, None) is not None:
            self._switch(strand)

    def _switch(self, strand: greenlet, *arguments: Any) -> None:
        strand.parent = getcurrent()
        outcome = strand.switch(*arguments)
        if outcome is None:
            return
        if len(self._free) < _KEPT:
            self._free.append(strand)
        strand.gr_context = None  # It refers to the job.
        job, value, error = outcome
        outcome.clear()
        self._ended(job, value, error)

    def _new_strand(self) -> greenlet:
        """A strand that waits for work already: a greenlet keeps alive what it is started with."""
        strand = greenlet(self._serve)
        strand.switch()
        return strand

    def _serve(self) -> None:
        outcome: _Outcome | None = None
        while True:
            parent = getcurrent().parent
            assert parent is not None
            job, function = parent.switch(outcome)
            outcome = _call(job, function)
            del job, function  # A strand that waits for work keeps no event alive.


def _call(job: Job, function: Function) -> _Outcome:
    try:
        return [job, function(job.event), None]
    except GreenletExit:
        raise
    except BaseException as error:
        return [job, None, error]
