"""The event loop of one incarnation of a simulated host."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import weakref
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextvars import Context
from functools import partial
from heapq import heappush
from itertools import count
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from edri_sim.errors import SimulationError
from edri_sim.host import BACKGROUND
from edri_sim.simulation.endings import call_into, finish_asyncgen
from edri_sim.simulation.handles import Handle, Timer, parts_of, short_path
from edri_sim.simulation.tasks import SimulatedTask
from edri_sim.simulation.unsupported import LimitedLoop

if TYPE_CHECKING:
    from edri_sim.simulation.kernel import Kernel

T = TypeVar("T")
Args = TypeVarTuple("Args")

background_now = BACKGROUND.get

logger = logging.getLogger("edri_sim.simulation")

_PLAIN = frozenset({FunctionType, MethodType, BuiltinFunctionType, partial})
"""Types of callbacks that have no ``idle()``: most timers need no closer look."""


class SimulationLoop(LimitedLoop):
    """An asyncio event loop whose clock and timers are the kernel's.

    A callback belongs to the loop that made it. A gate decides whether it runs: *paused* or *stalled*, the loop's
    callbacks are held in the order in which they were due, and run when the gate opens; *shut*, they are kept and never
    run.
    """

    def __init__(self, kernel: Kernel, name: str) -> None:
        engine = kernel.engine
        self.kernel = kernel
        self.name = name
        self.host: Any = None
        self.executor_hook: Callable[[partial[Any]], asyncio.Future[Any]] | None = None
        self._engine = engine
        self._env = engine.env
        self._next_eid = engine.next_eid
        # Where callbacks and timers go. A gate that closes swaps these, so that an open one costs nothing.
        self._ready: deque[Any] = engine.ready
        self._queue: list[Any] = engine.queue
        self._paused = False
        self._stalled_until = 0.0
        self._holds = 0
        self._shut = False
        self._task_factory: Any = None
        self._exception_handler: Callable[[SimulationLoop, dict[str, Any]], object] | None = None
        self._asyncgens: dict[int, weakref.ref[AsyncGenerator[Any, Any]]] = {}
        self._next_asyncgen = count(1).__next__
        self._hooks = (self._asyncgen_started, self._asyncgen_dropped)

    def __repr__(self) -> str:
        return f"<SimulationLoop '{self.name}' {self.state}>"

    # The gate -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``open``, ``paused``, ``stalled`` or ``shut``."""
        if self._shut:
            return "shut"
        if self._paused:
            return "paused"
        return "stalled" if self._ready is not self._engine.ready else "open"

    def pause(self) -> None:
        """Hold all callbacks of this loop until :meth:`resume`; the rest of the simulation goes on."""
        self._paused = True
        self._close_gate()

    def resume(self) -> None:
        """End a pause: what was held runs now, in the order in which it was due."""
        self._paused = False
        self._open_gate()

    def stall(self, seconds: float) -> None:
        """Hold all callbacks for ``seconds`` of simulated time, as a blocking call does once the running callback ends.

        Stalls add up; one that ends during a pause leaves the gate closed.
        """
        self._stalled_until = max(self._stalled_until, self._env._now) + seconds
        self._engine.call_at(self._stalled_until, self._open_gate)
        self._close_gate()

    @property
    def held(self) -> bool:
        """Whether :meth:`hold` keeps the gate closed."""
        return self._holds > 0

    def hold(self) -> None:
        """Hold all callbacks, as a blocking call does whose end is not known yet, until :meth:`let_go`."""
        self._holds += 1
        self._close_gate()

    def let_go(self, callback: Callable[[*Args], object], *args: *Args, context: Context) -> None:
        """End one :meth:`hold`; ``callback``, what comes after the blocking call, overtakes all that was held."""
        self._holds -= 1
        self._ready.appendleft(Handle(callback, args, self, context))
        self._open_gate()

    def shut(self) -> None:
        """Shut the gate for good: a crash. Tasks and callbacks are kept, and neither run nor collected."""
        if self._shut:
            return
        self._close_gate()
        self._shut = True
        self._queue = self._engine.bury(self)

    def _close_gate(self) -> None:
        ready = self._engine.ready
        if self._ready is not ready:
            return
        held: deque[Any] = deque()
        rest: list[Any] = []
        for item in ready:
            (held if parts_of(item)[0] is self else rest).append(item)
        ready.clear()
        ready.extend(rest)
        self._ready = held

    def _open_gate(self) -> None:
        if self._shut or self._paused or self._holds or self._stalled_until > self._env._now:
            return
        held, ready = self._ready, self._engine.ready
        if held is not ready:
            ready.extend(held)
            self._ready = ready

    def take_callbacks(self, queue: deque[Any]) -> object:
        """Send all callbacks from now on to ``queue``: the simulation ends. Returns what was held until now."""
        self.shut()
        held, self._ready, self._queue = (self._ready, self._queue), queue, []
        return held

    # Callbacks and timers -----------------------------------------------------------------------------------------

    def time(self) -> float:
        """The simulated time, in seconds since the simulation began."""
        return self._env._now

    def call_soon(self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None) -> Handle:
        """Run ``callback`` at this instant, after all that is ready already."""
        if (
            context is not None
            and type(callback) is BuiltinFunctionType
            and type(callback.__self__) is SimulatedTask
            and args
            and isinstance(args[0], asyncio.Future)
        ):
            self._ready.append((self, context, callback, args[0]))
            return None  # type: ignore[return-value]  # to C code, which does not look
        handle = Handle(callback, args, self, self._engine.new_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> Timer:
        """Run ``callback`` after ``delay`` seconds of simulated time."""
        # As call_at, which it does not call: this is on the path of every sleep.
        now = self._env._now
        when = now + delay
        timer = Timer(when, callback, args, self, self._engine.new_context() if context is None else context)
        heappush(self._queue, (when if when > now else now, 1, self._next_eid(), timer))
        if background_now() or type(callback) not in _PLAIN:
            self._put_asleep(timer)
        return timer

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> Timer:
        """Run ``callback`` at ``when`` (seconds, as :meth:`time`); in the past means at this instant."""
        now = self._env._now
        timer = Timer(when, callback, args, self, self._engine.new_context() if context is None else context)
        heappush(self._queue, (when if when > now else now, 1, self._next_eid(), timer))
        if background_now() or type(callback) not in _PLAIN:
            self._put_asleep(timer)
        return timer

    def deliver_at(self, when: float, callback: Callable[[], object], context: Context) -> Timer:
        """Run ``callback`` on this loop at ``when`` (seconds, not in the past).

        For what comes to the host from outside: it keeps the run alive whoever sent it.
        """
        timer = Timer(when, callback, (), self, context)
        heappush(self._queue, (when, 1, self._next_eid(), timer))
        return timer

    def _put_asleep(self, timer: Timer) -> None:
        for_good = background_now()
        if not self._shut and (for_good or hasattr(type(timer._callback), "idle")):
            self._engine.put_asleep(timer, for_good=for_good)

    def timer_cancelled(self, timer: Timer) -> None:
        """Account for a timer that was cancelled while it was on the heap."""
        if not self._shut:
            self._engine.timer_cancelled(timer)

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> Handle:
        """Run ``callback`` at this instant. Raises SimulationError from any thread but the simulation's own."""
        if threading.get_ident() != self.kernel.thread:
            frame = sys._getframe(1)
            code = frame.f_code
            raise SimulationError(
                f"thread '{threading.current_thread().name}' called into host '{self.name}' from {code.co_qualname} "
                f"({short_path(code.co_filename)}:{frame.f_lineno}): a real thread ends at no simulated time; "
                "use loop.run_in_executor or a pool with mode='thread'"
            )
        return self.call_soon(callback, *args, context=context)

    def enter(self) -> None:
        """Make this the running loop."""
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(*self._hooks)

    # Futures, tasks and functions ---------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """Schedule a coroutine. The task hashes, and is named by default, by its creation number."""
        if context is None:
            context = self._engine.new_context()
        if self._task_factory is not None:
            return self._made_task(coro, name, context, options)
        task = SimulatedTask(coro, loop=self, name=None if name is None else str(name), context=context, **options)
        self._engine.tasks[task.number] = task
        return task

    def start_task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task whose first step runs at once, in the caller's turn: call it from a plain callback of this loop.

        The same on every Python: asyncio's own eager tasks came with 3.12.
        """
        ready = self._ready
        first: deque[Any] = deque()
        self._ready = first
        try:
            task: asyncio.Task[T] = SimulatedTask(coro, loop=self)
        finally:
            self._ready = ready
        step = first[0]
        step._context.run(step._callback, *step._args)
        if not task.done():
            self._engine.tasks[task.number] = task  # type: ignore[attr-defined]
        return task

    def _made_task(self, coro: Any, name: object, context: Context, options: dict[str, Any]) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self._task_factory(self, coro, context=context, **options)
        number = task.number if isinstance(task, SimulatedTask) else self.kernel.next_task_number()
        self._engine.tasks[number] = task
        task.set_name(name or f"Task-{number}")
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Let ``factory(loop, coro, **options)`` make the tasks; None for the loop's own."""
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """The factory that :meth:`set_task_factory` set."""
        return self._task_factory

    def run_in_executor(self, executor: Any, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        """Run ``func`` in simulated time: on the host's cores if it has a service, else in its turn at this instant.

        ``executor`` is ignored: a real thread would end at a moment that no seed decides.
        """
        work = partial(func, *args)
        if self.executor_hook is not None:
            return self.executor_hook(work)
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(call_into, future, work)
        return future

    # Errors -------------------------------------------------------------------------------------------------------

    def set_exception_handler(self, handler: Any) -> None:
        """Let ``handler(loop, context)`` take what would fail the run; None for the default."""
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        """The handler that :meth:`set_exception_handler` set."""
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Fail the run with the exception; log a message that comes without one."""
        error = context.get("exception")
        if error is not None:
            self._engine.fail(error)
        else:
            logger.error("host '%s': %s", self.name, context.get("message"))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take an exception that nobody else takes: a forgotten task's, or a callback's."""
        if self._exception_handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._exception_handler(self, context)
        except Exception as error:
            self._engine.fail(error)

    # Names and connections: the kernel's network does the work ----------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        """The simulated address of a host name. Raises OSError (socket.gaierror) for an unknown one."""
        return self.kernel.needed_network().addresses(self, host, port)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """The host name and port of a simulated address: the address itself."""
        return str(sockaddr[0]), str(sockaddr[1])

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """Connect on the simulated network. Raises ConnectionRefusedError if nobody listens there."""
        return await self.kernel.needed_network().connect(self, protocol_factory, host, port, options)

    async def create_server(
        self, protocol_factory: Any, host: str | Sequence[str] | None = None, port: Any = None, **options: Any
    ) -> Any:
        """Listen on ``port`` of this host. Raises OSError if the port is taken."""
        return await self.kernel.needed_network().listen(self, protocol_factory, host, port, options)

    # State and asynchronous generators ----------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Whether the simulation runs."""
        return self.kernel.running

    def is_closed(self) -> bool:
        """Whether the simulation is closed."""
        return self.kernel.closed

    if TYPE_CHECKING:

        def get_debug(self) -> bool:
            """Asyncio's debug flag: off unless set."""

    else:
        # asyncio asks for each future that it makes, and a builtin answers False in a fraction of a method's time.
        get_debug = staticmethod(bool)

    def set_debug(self, enabled: bool) -> None:
        """Set asyncio's debug flag."""
        vars(self)["get_debug"] = partial(bool, enabled)

    def _asyncgen_started(self, agen: AsyncGenerator[Any, Any]) -> None:
        number, asyncgens = self._next_asyncgen(), self._asyncgens
        asyncgens[number] = weakref.ref(agen, lambda _: asyncgens.pop(number, None) and None)

    def _asyncgen_dropped(self, agen: AsyncGenerator[Any, Any]) -> None:
        if self.kernel.closing:
            finish_asyncgen(agen)
        else:
            self.call_soon(self.create_task, agen.aclose())

    def living_asyncgens(self) -> list[AsyncGenerator[Any, Any]]:
        """The asynchronous generators that began on this loop and still exist, in the order in which they began."""
        return [agen for ref in list(self._asyncgens.values()) if (agen := ref()) is not None]

    async def shutdown_asyncgens(self) -> None:
        """Close all asynchronous generators of this loop."""
        for agen in self.living_asyncgens():
            await agen.aclose()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: no executor has threads in simulated time."""
