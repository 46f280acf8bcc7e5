"""A simulated machine: cores, a wall clock, and one event loop for each of its lives."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from edri_sim.errors import HostDown, SimulationError
from edri_sim.managers.slot import SlotOwner, WorkerPlan
from edri_sim.managers.strands import Strands
from edri_sim.names import check_name
from edri_sim.service import Costs, ServiceTable
from edri_sim.simulation.compute import Processor
from edri_sim.simulation.executor import FunctionExecutor
from edri_sim.simulation.slots import SLOTS, ModelledSlot
from edri_sim.simulation.storage import Disk, SimulatedStorage
from edri_sim.simulation.troubles import Troubles
from edri_sim.trace import Recorder, Trace
from edri_sim.wall_timer import WallTimer

if TYPE_CHECKING:
    from edri_sim.simulation.kernel import Kernel
    from edri_sim.simulation.network import Network

T = TypeVar("T")
Program = Callable[[], Coroutine[Any, Any, None]]


class SimulatedExecutor:
    """Makes the slots of one mode on one host."""

    def __init__(self, host: SimulatedHost, mode: str) -> None:
        self._host = host
        self._mode = mode

    def slot(self, plan: WorkerPlan, owner: SlotOwner, index: int) -> ModelledSlot:
        """See :class:`~edri_sim.host.Spawner`."""
        return SLOTS[self._mode](self._host, plan, owner, index)


class SimulatedHost:
    """A machine of a simulation.

    A new host is up, and runs nothing until :meth:`boot` gives it a program.
    """

    def __init__(
        self, kernel: Kernel, network: Network, name: str, *, cores: int, costs: Costs, services: ServiceTable,
        recorder: Recorder, level: str, seed: object, epoch: datetime,
    ) -> None:  # fmt: skip
        self.name = name
        self.costs = costs
        self.services = services
        self.lives = 0
        self._done_before = 0.0
        self.troubles = Troubles()
        self._kernel = kernel
        self._network = network
        self._cores = cores
        self._seed = seed
        self._epoch = epoch
        self._program: Program | None = None
        self._calls: dict[asyncio.Future[Any], None] = {}
        self._strands: list[Strands] = []
        self._wall_timers: dict[WallTimer, None] = {}
        self._disks: dict[str, Disk] = {}
        self.trace = Trace(level, name, kernel.engine.now_ns, recorder=recorder)
        self.up = False
        self.restart()

    def __repr__(self) -> str:
        return f"<SimulatedHost {self.name}, life {self.lives}, {self.loop.state if self.up else 'down'}>"

    # The Host protocol

    def now(self) -> datetime:
        """See :class:`~edri_sim.host.Host`: the epoch of the simulation, simulated time and all jumps, in UTC."""
        return self._epoch + timedelta(microseconds=self._kernel.now_ns // 1000)

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """See :class:`~edri_sim.host.Host`; exact, for :meth:`jump_clock` tells of every jump."""
        self._wall_timers = {timer: None for timer in self._wall_timers if timer.waits}
        timer = WallTimer(self.now, when, callback, math.inf)
        self._wall_timers[timer] = None
        return timer.cancel

    def random(self, name: str) -> Random:
        """See :class:`~edri_sim.host.Host`; a stream for each name, host, life and seed."""
        return Random(f"{self._seed}/{self.name}/{self.lives}/{name}")

    @cached_property
    def _secrets(self) -> Random:
        """Made with the first need: its state takes kilobytes."""
        return Random(f"{self._seed}/{self.name}/secret")

    def is_private(self, address: str) -> bool:
        """See :class:`~edri_sim.host.Host`: nobody is outside of a simulation, so all of it is."""
        return True

    def secret(self) -> bytes:
        """See :class:`~edri_sim.host.Host`."""
        return self._secrets.randbytes(16)

    def memory(self) -> int:
        """See :class:`~edri_sim.host.Host`; all simulated machines share the memory of one program."""
        return 0

    def executor(self, mode: str) -> SimulatedExecutor:
        """See :class:`~edri_sim.host.Host`."""
        return SimulatedExecutor(self, mode)

    def storage(self, name: str) -> SimulatedStorage:
        """See :class:`~edri_sim.host.Host`; on a disk of this host's own, which outlives a crash."""
        check_name("storage", name)
        if name not in self._disks:
            self._disks[name] = Disk(f"{self.name}/{name}.sqlite")
        return SimulatedStorage(self, self._disks[name])

    def on_terminate(self, stop: Callable[[], None]) -> Callable[[], None]:
        """See :class:`~edri_sim.host.Host`; nobody sends a simulated program signals."""
        return lambda: None

    # Its life

    def boot(self, program: Program) -> None:
        """Run ``program``, now and at every restart: it is called anew, so nothing of an earlier life is left.

        What it raises fails the run, at once.
        """
        self._program = program
        self._start_program(program)

    def _start_program(self, program: Program) -> None:
        self.loop.create_task(program(), name="program").add_done_callback(_raise_error)

    def restart(self) -> None:
        """Begin a new life: a new loop, idle cores, the program from its start. Raises SimulationError if it is up."""
        if self.up:
            raise SimulationError(f"host {self.name!r} is up: crash or kill it before a restart")
        self.up = True
        self.lives += 1
        self.loop = self._kernel.loop(self.name)
        self.loop.host = self
        self.processor = Processor(self._kernel.env, self._cores, self.costs.quantum)
        self.loop.executor_hook = FunctionExecutor(self.loop, self.processor, self.services, self.random("executor"))
        self.troubles.workers.clear()
        self._network.restart(self.name)
        if self._program is not None:
            self._start_program(self._program)

    def crash(self) -> None:
        """Cut the power: nothing of this life runs again, not even its ``finally`` blocks, and peers hear nothing."""
        self._end_life()
        self._network.crash(self.loop)

    def kill(self) -> None:
        """End the process as SIGKILL does: like a crash, but peers get the end of their streams at once."""
        self._end_life()
        self._network.kill(self.loop)

    def _end_life(self) -> None:
        self._must_be_up()
        self.up = False
        self._done_before += self.processor.busy
        self.loop.shut()
        self.processor.crash()
        for name, disk in self._disks.items():
            disk.crash(self.random(f"storage/{name}"))
        self._wall_timers.clear()
        calls, self._calls = self._calls, {}
        for call in calls:
            call.get_loop().call_soon(_fail, call, HostDown(f"host {self.name!r} went down before the call returned"))

    def pause(self) -> None:
        """Hold the machine's callbacks (a long garbage collection, SIGSTOP) until :meth:`resume`."""
        self._must_be_up()
        self.loop.pause()

    def resume(self) -> None:
        """Let a paused machine go on, with all that became due meanwhile."""
        self._must_be_up()
        self.loop.resume()

    def jump_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back where ``seconds`` are below 0; the loop's clock goes on as it was."""
        self._epoch += timedelta(seconds=seconds)
        if self.up:
            for timer in [timer for timer in self._wall_timers if timer.waits]:
                timer.look()

    @property
    def cores(self) -> int:
        """How many cores it has."""
        return self._cores

    @property
    def busy(self) -> float:
        """Core-seconds of modelled work that it has done in all of its lives."""
        return self._done_before + (self.processor.busy if self.up else 0.0)

    def _must_be_up(self) -> None:
        if not self.up:
            raise HostDown(f"host {self.name!r} is down")

    # From outside

    async def call(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on this host's loop for a caller on another, and return its result there.

        Raises:
            HostDown: the host is down, or goes down before the coroutine has ended.
        """
        self._must_be_up()
        here = asyncio.get_running_loop()
        result: asyncio.Future[T] = here.create_future()
        task = self.loop.create_task(make())
        self._calls[result] = None
        task.add_done_callback(lambda done: here.call_soon(_copy, done, result))
        try:
            return await result
        finally:
            self._calls.pop(result, None)
            if not task.done() and self.up:
                task.cancel()

    def keep_strands(self, strands: Strands) -> None:
        """Keep the plain functions of a dead life from being collected, and so from running their clean-up, early."""
        self._strands.append(strands)

    def close(self) -> None:
        """The simulation is over: end what still waits, in order."""
        for strands in self._strands:
            strands.close()
        self._strands.clear()
        for disk in self._disks.values():
            disk.close()


def _raise_error(program: asyncio.Task[None]) -> None:
    """From a callback, where nobody can catch it, an exception fails the run; a task's own could wait for long."""
    if not program.cancelled():
        program.result()


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _copy(done: asyncio.Task[T], result: asyncio.Future[T]) -> None:
    if result.done():
        return
    if done.cancelled():
        result.cancel()
        return
    error = done.exception()
    if error is not None:
        result.set_exception(error)
    else:
        result.set_result(done.result())
