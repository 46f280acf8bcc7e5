"""The ready queue, the heap, and the one place where callbacks run and time moves."""

from __future__ import annotations

import asyncio
import gc
import random
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from time import perf_counter
from typing import Any

import simpy

from edri_sim.errors import SimulationStalled
from edri_sim.simulation.environment import Environment, fire
from edri_sim.simulation.handles import (
    BACKGROUND_TIMER,
    FOREGROUND,
    OFF_HEAP,
    Handle,
    Ready,
    Timer,
    describe,
    nothing,
    parts_of,
)
from edri_sim.simulation.hub import Hub
from edri_sim.simulation.reports import Spin, stall_text
from edri_sim.simulation.watch import PATIENCE, Watch

NORMAL = 1
"""SimPy's priority of ordinary events, which timers share: ties are first in, first out across both."""

SPIN = 10_000
"""Callbacks in a row at one instant, with no task among them that a future woke, that let the next timer through.

Polling (``sleep(0)`` in a loop) is such a row; a chain of requests that take no time is none: their replies wake tasks.
"""

FLOOD = 500_000
"""Callbacks of any kind at one instant after which the next timer is let through."""

TURNS_OF_A_SPIN = 100
"""Turns that each ready callback must have had before it is a spin: a burst of many tasks at one instant is none."""

SPINS_OF_A_STALL = 100
"""Spins in a row after which the run is given up; a flood counts for half of them."""

COLLECT_EVERY = 2_000
"""Callbacks between two collections of young garbage."""

MIDDLE_EVERY, FULL_EVERY = 10, 100
"""Each tenth collection takes the middle generation too, each hundredth takes all, unless that is too soon."""

FULL_SHARE = 300
"""Callbacks that must have run for each living task before all is taken again: that costs by what there is."""

SWEEP_SHARE = 4
"""Callbacks that must have run for each living task before finished ones are swept: so sweeps cost little."""

COMPACT_ABOVE = 64
"""Heap entries below which cancelled timers are left for later: a small heap is not worth compacting."""


class Stop(BaseException):
    """Raised by a callback of the kernel's own to leave the burst right there; never seen outside the kernel."""


class Engine:
    """Runs callbacks, first in, first out; when none is ready, moves time to the next timer."""

    def __init__(self, env: Environment, *, seed: int, shuffle_ties: bool) -> None:
        self.env = env
        self.queue: list[Any] = env._queue
        self.next_eid = env._eid.__next__
        self.ready: deque[Ready] = deque()
        self.hub = Hub(self)
        self.watch = Watch()
        self.context = Context()
        self.new_context: Callable[[], Context] = Context
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.next_task_number = count(1).__next__
        self.failures: list[BaseException] = []
        self.unraised: deque[BaseException] = deque()
        self.spins: list[Spin] = []
        self.idlers: dict[int, Timer] = {}
        self.executed = 0
        self._rounded, self._now_ns = 0.0, 0
        self._asleep = 0  # entries of the heap that keep no run alive: background timers and cancelled ones
        self._cancelled = 0  # entries of the heap whose timer was cancelled
        self._at_instant = 0  # callbacks run since time moved, or a future woke a task
        self._moved_at = 0  # callbacks run, in all, when time moved last
        self._allowed = SPIN
        self._spins_in_row = 0
        self._next_collection = COLLECT_EVERY
        self._collections = 0
        self._full_at = 0
        self._swept_at = 0
        self._survivors = 0  # tasks that were alive after the last sweep
        self._stop = Handle(self._stop_if_failed, (), self.hub, self.context)
        self._ties = random.Random(f"{seed}/ties") if shuffle_ties else None

    def now_ns(self) -> int:
        """The simulated time in whole nanoseconds, rounded once for each move of time."""
        now = self.env._now
        if now != self._rounded:
            self._rounded = now
            self._now_ns = round(now * 1e9)
        return self._now_ns

    # The hot path -------------------------------------------------------------------------------------------------

    def turn(self, limit: float, turns: int) -> bool:
        """Run up to ``turns`` callbacks at times before ``limit`` (seconds); False when nothing could be run.

        Housekeeping happens at fixed counts of callbacks, whatever ``turns`` is, so that it comes at the same place
        in every run.
        """
        before = self.executed
        room = min(turns, self._next_collection - before, self._allowed - self._at_instant)
        self._burst(limit, room)
        if self.executed >= self._next_collection:
            self._collect()
        if self._at_instant >= self._allowed or self.executed - self._moved_at >= FLOOD:
            self._spin()
        return self.executed > before

    def _burst(self, limit: float, turns: int) -> None:  # noqa: C901 -- the hot path: each call in it would cost a tenth
        ready = self.ready
        popleft, clock = ready.popleft, perf_counter
        left = since = turns
        moved = -1
        at_instant = self._at_instant
        owner: Any = None
        item: Any
        try:
            while True:
                while ready:
                    if not left:
                        return
                    left -= 1
                    item = popleft()
                    try:
                        if type(item) is tuple:
                            loop, context, callback, argument = item
                            since = left
                            at_instant = 0
                            if loop is not owner:
                                owner = loop
                                owner.enter()
                            began = clock()
                            context.run(callback, argument)
                            if clock() - began > PATIENCE:
                                self.watch.wakeup(callback, context, clock() - began)
                            continue
                        if item._loop is not owner:
                            owner = item._loop
                            owner.enter()
                        if item._args:
                            item._context.run(item._callback, *item._args)
                        else:  # calling without a star costs a third
                            item._context.run(item._callback)
                    except (Stop, KeyboardInterrupt, SystemExit):
                        raise
                    except BaseException as exc:
                        _report(item, exc)
                # Dropped before time moves: what they keep alive ends at the instant that it belongs to.
                item = argument = callback = context = None
                if not self.advance(limit):
                    return
                moved = since = left
                at_instant = 0
        finally:
            events._set_running_loop(None)
            self._at_instant = at_instant + since - left
            if moved >= 0:
                self._moved_at = self.executed + turns - moved
                self._spins_in_row = 0
                self._allowed = SPIN
            self.executed += turns - left

    def advance(self, limit: float, *, asleep_too: bool = False) -> bool:
        """Move time to the next timer before ``limit``, and all that is due then to the ready queue.

        False when there is none; background timers count only if ``asleep_too``.
        """
        queue = self.queue
        while (asleep_too and queue) or len(queue) > self._asleep:
            when, _, _, item = queue[0]
            if type(item) is Timer and item._callback is nothing:
                self._drop_cancelled()
            elif when < limit:
                self.env._now = when
                if self._ties is not None:
                    self._release_shuffled(when, self._ties)
                    return True
                heappop(queue)
                self._release(item)
                if queue and queue[0][0] == when:
                    self._release_ties(when)
                return True
            else:
                return False
        return False

    def _release(self, item: Any) -> None:
        if type(item) is not Timer:
            self.ready.append(Handle(self._fire, (item,), self.hub, self.context))
            return
        if item.state == BACKGROUND_TIMER:
            self._woken(item)
        item.state = OFF_HEAP
        item._loop._ready.append(item)

    def _release_ties(self, when: float) -> None:
        queue = self.queue
        # Priorities above NORMAL wait for the ready queue to drain, and come at the same instant after it.
        while queue and queue[0][0] == when and queue[0][1] <= NORMAL:
            item = queue[0][3]
            if type(item) is Timer and item._callback is nothing:
                self._drop_cancelled()
            else:
                heappop(queue)
                self._release(item)

    def _release_shuffled(self, when: float, generator: random.Random) -> None:
        queue = self.queue
        due = [heappop(queue)]
        while queue and queue[0][0] == when and queue[0][1] <= NORMAL:
            if type(queue[0][3]) is Timer and queue[0][3]._callback is nothing:
                self._drop_cancelled()
            else:
                due.append(heappop(queue))
        ordinary = [entry for entry in due if entry[1] == NORMAL]
        generator.shuffle(ordinary)
        for entry in [entry for entry in due if entry[1] != NORMAL] + ordinary:
            self._release(entry[3])

    def _drop_cancelled(self) -> None:
        heappop(self.queue)
        self._asleep -= 1
        self._cancelled -= 1

    def _fire(self, event: simpy.Event) -> None:
        # SimPy's urgent events (a process that starts or is interrupted) overtake those that are due with this one.
        self._fire_urgent()
        fire(event)
        self._fire_urgent()

    def _fire_urgent(self) -> None:
        queue, now = self.queue, self.env._now
        while queue and queue[0][0] == now and queue[0][1] < NORMAL:
            fire(heappop(queue)[3])

    # Callbacks and timers of the kernel, and the accounts of all timers -------------------------------------------

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        """Run a callback of the kernel's own at this instant, outside every loop."""
        handle = Handle(callback, args, self.hub, self.context)
        self.ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Run a callback of the kernel's own at ``when`` (seconds), outside every loop."""
        timer = Timer(when, callback, args, self.hub, self.context)
        heappush(self.queue, (max(when, self.env._now), NORMAL, self.next_eid(), timer))
        return timer

    def put_asleep(self, timer: Timer, *, for_good: bool) -> None:
        """Make a timer a background one: for good, or as long as its callback's ``idle()`` says so."""
        timer.state = BACKGROUND_TIMER
        self._asleep += 1
        if not for_good:
            self.idlers[id(timer)] = timer

    def _woken(self, timer: Timer) -> None:
        self._asleep -= 1
        self.idlers.pop(id(timer), None)

    def awake(self) -> bool:
        """Whether a timer on the heap keeps the run alive."""
        if len(self.queue) > self._asleep:
            return True
        return any(not timer._callback.idle() for timer in self.idlers.values())  # type: ignore[attr-defined]

    def timer_cancelled(self, timer: Timer) -> None:
        """Account for a timer that is cancelled while on the heap; sweep the heap once over half of it is."""
        if timer.state == FOREGROUND:
            self._asleep += 1
        else:
            self.idlers.pop(id(timer), None)
        timer.state = OFF_HEAP
        self._cancelled += 1
        if self._cancelled * 2 > len(self.queue) > COMPACT_ABOVE:
            self._take(lambda timer: timer._callback is nothing)

    def _take(self, wanted: Callable[[Timer], bool]) -> list[Any]:
        """Take the wanted timers from the heap, in place: the running burst and SimPy hold the same list."""
        taken = [entry for entry in self.queue if type(entry[3]) is Timer and wanted(entry[3])]
        gone = {entry[2] for entry in taken}
        self.queue[:] = [entry for entry in self.queue if entry[2] not in gone]
        heapify(self.queue)
        for _, _, _, timer in taken:
            if timer._callback is nothing:
                self._asleep -= 1
                self._cancelled -= 1
            elif timer.state == BACKGROUND_TIMER:
                self._woken(timer)
            timer.state = OFF_HEAP
        return taken

    def bury(self, owner: object) -> list[Any]:
        """Take all timers of a loop that is shut from the heap; the caller keeps them from being collected."""
        return self._take(lambda timer: timer._loop is owner)

    def bury_all(self) -> list[Any]:
        """As :meth:`bury`, of all loops."""
        return self._take(lambda _: True)

    def next_time(self) -> float:
        """The time (seconds) of the next timer that is not cancelled, background ones too; infinity if none."""
        queue = self.queue
        while queue and type(queue[0][3]) is Timer and queue[0][3]._callback is nothing:
            self._drop_cancelled()
        return queue[0][0] if queue else inf

    # Housekeeping -------------------------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Let the run end before its next callback, with ``error``."""
        self.failures.append(error)
        self.unraised.append(error)
        self.ready.appendleft(self._stop)

    def _stop_if_failed(self) -> None:
        if self.unraised:
            raise Stop

    def raise_failure(self) -> None:
        """Raise the first exception that nobody took and that was not raised yet, if there is one."""
        if self.unraised:
            if self.ready and self.ready[0] is self._stop:
                self.ready.popleft()
            raise self.unraised.popleft()

    def sweep(self) -> None:
        """Let go of finished tasks; a failed one that nobody else holds was forgotten, and fails the run."""
        self._swept_at = self.executed
        for number in [number for number, task in self.tasks.items() if task.done()]:
            del self.tasks[number]
        self._survivors = len(self.tasks)

    def _collect(self) -> None:
        self._next_collection += COLLECT_EVERY
        self._collections += 1
        if self.executed - self._swept_at >= SWEEP_SHARE * self._survivors:
            self.sweep()
        gc.collect(self._generation())

    def _generation(self) -> int:
        """Which garbage is taken this time."""
        if self._collections % FULL_EVERY == 0 and self.executed - self._full_at >= FULL_SHARE * self._survivors:
            self._full_at = self.executed
            return 2
        return int(self._collections % MIDDLE_EVERY == 0)

    def _spin(self) -> None:
        flood = self.executed - self._moved_at >= FLOOD
        self._allowed = TURNS_OF_A_SPIN * len(self.ready)
        if self._at_instant < self._allowed and not flood:
            return
        if not self.ready:
            return
        owner, callback = parts_of(self.ready[0])
        self.spins.append(Spin(self.env._now, owner.name, describe(callback)))
        self._spins_in_row += SPINS_OF_A_STALL // 2 if flood else 1
        if self._spins_in_row >= SPINS_OF_A_STALL:
            raise SimulationStalled(stall_text(self.spins[-1]))
        self._moved_at = self.executed
        self.advance(inf, asleep_too=True)
        self._at_instant = 0
        self._allowed = SPIN


def _report(item: Any, error: BaseException) -> None:
    owner, callback = parts_of(item)
    owner.call_exception_handler({"message": f"Exception in callback {describe(callback)}", "exception": error})
