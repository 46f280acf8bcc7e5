"""The kernel: one SimPy environment and one queue of ready callbacks, which drive the loops of all simulated hosts."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context, copy_context
from time import perf_counter, sleep
from typing import Any, Protocol, TypeVar, overload

import simpy

from edri_sim.errors import SimulationError, SimulationQuiet
from edri_sim.simulation.anyio_threads import anyio_threads_simulated
from edri_sim.simulation.closing import close_all
from edri_sim.simulation.engine import COLLECT_EVERY, FULL_EVERY, Engine, Stop
from edri_sim.simulation.environment import Environment
from edri_sim.simulation.handles import Handle, Timer
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.nesting import Interrupts, collection_by_count, outer_loop_suspended
from edri_sim.simulation.reports import Spin, waiting_text
from edri_sim.simulation.waiting import future_of

T = TypeVar("T")

SLICE = 0.005
"""Wall seconds that :meth:`Kernel.run_async` runs before it lets the outer loop breathe."""

NAP = 0.05
"""Wall seconds that a paced run sleeps at most before it looks for Ctrl-C."""

SHORTEST_NAP = 0.0005
"""Wall seconds that a paced run sleeps at least: less only burns the processor."""

TURNS, TURNS_ASYNC = 256, 16
"""Callbacks between two looks at Ctrl-C; fewer where the outer loop waits, as one callback may take milliseconds."""


class NetworkOfLoops(Protocol):
    """What a loop asks of the simulated network; :class:`edri_sim.simulation.network.Network` is one."""

    def addresses(self, loop: SimulationLoop, host: Any, port: Any) -> list[Any]:
        """The addresses of a host name, as ``getaddrinfo`` gives them."""

    async def connect(
        self, loop: SimulationLoop, protocol_factory: Any, host: Any, port: Any, options: dict[str, Any]
    ) -> Any:
        """Connect, as ``loop.create_connection`` does."""

    async def listen(
        self, loop: SimulationLoop, protocol_factory: Any, host: Any, port: Any, options: dict[str, Any]
    ) -> Any:
        """Listen, as ``loop.create_server`` does."""

    def close(self) -> None:
        """Let go of all connections; nothing is sent any more."""


class Kernel:
    """Runs simulated hosts in simulated time, in one thread, the same way each time.

    ``seed`` decides ties, and only if ``shuffle_ties``: timers due at one instant then run in an order drawn from it
    instead of first in, first out.
    """

    def __init__(self, *, seed: int = 0, shuffle_ties: bool = False) -> None:
        self.env = Environment()
        self.engine = Engine(self.env, seed=seed, shuffle_ties=shuffle_ties)
        self.loops: list[SimulationLoop] = []
        self.hosts: dict[str, SimulationLoop] = {}  # the present incarnation of each
        self.network: NetworkOfLoops | None = None
        self.running = False
        self.closing = False
        self.closed = False
        self.thread = threading.get_ident()
        self.next_task_number = self.engine.next_task_number
        self._interrupts = Interrupts()
        self._main: asyncio.Task[Any] | None = None
        self._last_full_collection = 0

    def __repr__(self) -> str:
        return f"<Kernel t={self.now:.9g} s, {len(self.loops)} loops>"

    # What it holds ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The simulated time, in seconds since the simulation began."""
        return self.env._now

    @property
    def now_ns(self) -> int:
        """The simulated time in whole nanoseconds: what digests are made of, as sums of floats drift."""
        return self.engine.now_ns()

    @property
    def failures(self) -> list[BaseException]:
        """The exceptions that nobody took, in order: of forgotten tasks, callbacks and SimPy processes."""
        return self.engine.failures

    @property
    def spins(self) -> list[Spin]:
        """The times at which code kept running at one instant, and the next timer was let through."""
        return self.engine.spins

    @property
    def blockers(self) -> dict[str, float]:
        """What blocked the simulation's thread for long, and for how many wall seconds at most; each is logged too."""
        return self.engine.watch.blockers

    @property
    def has_main(self) -> bool:
        """Whether a main coroutine runs: what it may wait for has to happen."""
        return self._main is not None

    def loop(self, name: str) -> SimulationLoop:
        """A new loop: a new incarnation of the host ``name``. Raises SimulationError once closed."""
        self._check_open()
        loop = SimulationLoop(self, name)  # type: ignore[abstract]  # a table in unsupported.py defines the rest
        self.loops.append(loop)
        self.hosts[name] = loop
        return loop

    def new_context(self) -> Context:
        """The context of a callback that comes without one; what is called from outside a run gets an empty one."""
        return self.engine.new_context()

    def needed_network(self) -> NetworkOfLoops:
        """The network. Raises SimulationError where there is none."""
        if self.network is None:
            raise SimulationError("this simulation has no network: make one first, with Network(kernel)")
        return self.network

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Handle:
        """Run ``callback`` at this instant on no loop, after all that is ready; its exception fails the run."""
        return self.engine.call_soon(callback, *args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Run ``callback`` at ``when`` (seconds) on no loop: for what is no host's, such as links and faults."""
        return self.engine.call_at(when, callback, *args)

    def wait(self, event: simpy.Event) -> asyncio.Future[Any]:
        """A future of the running loop with the value of a SimPy event, or its exception.

        Cancelling it takes a waiting request for a resource or a store back. Raises SimulationError outside a simulated
        task.
        """
        loop = asyncio._get_running_loop()
        if not isinstance(loop, SimulationLoop) or loop.kernel is not self:
            raise SimulationError(
                "wait() works in this simulation's tasks only: await it in a coroutine given to run()"
            )
        return future_of(event, loop)

    # Running ------------------------------------------------------------------------------------------------------

    @overload
    def run(
        self, main: None = None, loop: None = None, *, until: float | None = None, pace: float | None = None
    ) -> None: ...
    @overload
    def run(
        self, main: Coroutine[Any, Any, T], loop: SimulationLoop, *, until: None = None, pace: float | None = None
    ) -> T: ...
    @overload
    def run(
        self, main: Coroutine[Any, Any, T], loop: SimulationLoop, *, until: float, pace: float | None = None
    ) -> T | None: ...
    def run(
        self,
        main: Coroutine[Any, Any, Any] | None = None,
        loop: SimulationLoop | None = None,
        *,
        until: float | None = None,
        pace: float | None = None,
    ) -> Any:
        """Run ``main`` as a task of ``loop`` and return its result; works inside a running event loop too.

        ``until`` (seconds): stop there at the latest. As in SimPy, what is due at ``until`` is left for the next call.
        An unfinished ``main`` stays pending, goes on in the next call, and None is returned.
        Without ``main``, run until ``until``, or until nothing but background timers is left.
        ``pace``: simulated seconds for each wall second; None runs as fast as it can.

        Raises what ``main`` raises; the exception of a forgotten task; SimulationQuiet when ``main`` waits for what can
        no longer happen (without ``until``); SimulationStalled; KeyboardInterrupt.
        """
        with self._running(main, loop, until, pace) as task:
            context, work = Context(), self._work(task, until, pace, slice_length=math.inf)
            with outer_loop_suspended(), self._interrupts.caught():
                while (delay := context.run(next, work, None)) is not None:
                    sleep(delay)
                self._look_for_forgotten()
        return self._outcome(task)

    async def run_async(
        self,
        main: Coroutine[Any, Any, Any] | None = None,
        loop: SimulationLoop | None = None,
        *,
        until: float | None = None,
        pace: float | None = None,
    ) -> Any:
        """As :meth:`run`, in slices of about 5 ms of wall time, between which the outer loop runs.

        Ends on Ctrl-C, and when the outer task is cancelled; the simulation can then be run on, or closed.
        """
        with self._running(main, loop, until, pace) as task:
            context, work = Context(), self._work(task, until, pace, slice_length=SLICE)
            while True:
                with outer_loop_suspended(), self._interrupts.caught():
                    delay = context.run(next, work, None)
                if delay is None:
                    break
                await asyncio.sleep(delay)
            self._look_for_forgotten()
        return self._outcome(task)

    def step(self) -> bool:
        """Run one callback or, if none is ready, move time once; False when only background timers are left."""
        with self._running(None, None, None, None), outer_loop_suspended(), self._interrupts.caught():
            try:
                moved = self._step()
            except Stop:
                moved = True
        self.engine.raise_failure()
        return moved

    def _step(self) -> bool:
        if not self.engine.ready:
            return self.engine.advance(math.inf)
        return Context().run(self.engine.turn, -math.inf, 1)

    def close(self) -> None:
        """Close the coroutines of all tasks, dead hosts' too, in creation order. Safe to call twice."""
        if self.closed:
            return
        self._check_idle()
        self.closing = True
        close_all(self)
        self.closed = True

    # How it runs --------------------------------------------------------------------------------------------------

    @contextmanager
    def _running(
        self,
        main: Coroutine[Any, Any, Any] | None,
        loop: SimulationLoop | None,
        until: float | None,
        pace: float | None,
    ) -> Iterator[asyncio.Task[Any] | None]:
        try:
            self._check_run(main, loop, until, pace)
        except BaseException:
            if main is not None:
                main.close()
            raise
        task = loop.create_task(main, context=Context()) if main is not None and loop is not None else None
        with ExitStack() as stack:
            for part in self._surroundings():
                stack.enter_context(part)
            self.running, self.thread, self._main = True, threading.get_ident(), task
            self.engine.new_context = copy_context
            if task is not None:
                task.add_done_callback(self._main_done)
            try:
                yield task
            finally:
                self.running, self._main = False, None
                self.engine.new_context = Context
                if task is not None:
                    task.remove_done_callback(self._main_done)

    def _surroundings(self) -> list[AbstractContextManager[None]]:
        if self.engine.executed - self._last_full_collection > COLLECT_EVERY * FULL_EVERY:
            self._last_full_collection = self.engine.executed
            gc.collect()
        return [collection_by_count(), anyio_threads_simulated(_is_simulated)]

    def _work(
        self, main: asyncio.Task[Any] | None, until: float | None, pace: float | None, *, slice_length: float
    ) -> Iterator[float]:
        """Run; yield wall seconds to wait, at the end of a slice (0) and where the pace asks for it."""
        engine, interrupts = self.engine, self._interrupts
        turns = TURNS if slice_length == math.inf else TURNS_ASYNC
        clock = None if pace is None else _PacedClock(self.now, pace)
        limit = -math.inf if clock else math.inf if until is None else until
        slice_end = perf_counter() + slice_length
        try:
            while True:
                ran = engine.turn(limit, turns)
                interrupts.check()
                if perf_counter() >= slice_end:
                    yield 0.0
                    slice_end = perf_counter() + slice_length
                if ran or engine.ready:
                    continue
                if clock and (delay := clock.delay(self._next_goal(until))):
                    yield delay
                elif not self._go_on(main, until):
                    return
        except Stop:
            return

    def _next_goal(self, until: float | None) -> float:
        """The time (seconds) that a paced run goes to next; infinity if the run is over."""
        engine = self.engine
        if until is not None:
            return min(until, engine.next_time())
        return engine.next_time() if engine.awake() else math.inf

    def _go_on(self, main: asyncio.Task[Any] | None, until: float | None) -> bool:
        """Move time where the burst does not by itself; False if the run is over."""
        engine = self.engine
        if until is not None:
            if engine.advance(until, asleep_too=True):
                return True
            self.env._now = until
            return False
        if engine.advance(math.inf, asleep_too=engine.awake()):
            return True
        engine.sweep()
        if main is None or engine.ready:
            return bool(engine.ready)
        raise SimulationQuiet(waiting_text(self.now, engine.tasks.values()))

    def _main_done(self, task: asyncio.Task[Any]) -> None:
        if task is self._main:
            raise Stop

    def _look_for_forgotten(self) -> None:
        """Let failed tasks that nobody holds be noticed in this run, those in reference cycles too."""
        self.engine.sweep()
        gc.collect()

    def _outcome(self, main: asyncio.Task[Any] | None) -> Any:
        if main is not None and main.done() and not main.cancelled() and main.exception() is not None:
            return main.result()
        self.engine.raise_failure()
        return main.result() if main is not None and main.done() else None

    # Checks -------------------------------------------------------------------------------------------------------

    def _check_run(self, main: object, loop: SimulationLoop | None, until: float | None, pace: float | None) -> None:
        self._check_open()
        self._check_idle()
        if main is not None and (loop is None or loop.kernel is not self):
            raise SimulationError(f"run(main) needs a loop of this kernel to run it on, not {loop!r}")
        if until is not None and not until >= self.now:
            raise SimulationError(f"until={until!r} must not be before the present time, {self.now:.9g} s")
        if pace is not None and not 0 < pace < math.inf:
            raise SimulationError(f"pace={pace!r} must be a number above 0: simulated seconds for each wall second")

    def _check_open(self) -> None:
        if self.closed or self.closing:
            raise SimulationError("this simulation is closed; make a new one")

    def _check_idle(self) -> None:
        if self.running:
            raise SimulationError("this simulation runs already; await what should happen instead of calling it again")


def _is_simulated(loop: object) -> bool:
    return isinstance(loop, SimulationLoop)


class _PacedClock:
    """How far simulated time may be, by the wall clock."""

    def __init__(self, now: float, pace: float) -> None:
        self._start = now
        self._wall_start = perf_counter()
        self._pace = pace

    def reached(self) -> float:
        """The simulated time (seconds) that has been reached by now."""
        return self._start + (perf_counter() - self._wall_start) * self._pace

    def delay(self, when: float) -> float:
        """Wall seconds to sleep before ``when`` (simulated seconds) is looked at again; 0 if reached, or infinite."""
        if when == math.inf:
            return 0.0
        missing = (when - self.reached()) / self._pace
        return 0.0 if missing < 0 else min(max(missing, SHORTEST_NAP), NAP)
