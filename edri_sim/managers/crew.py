"""The workers of a pool: started together, replaced when they die, and given no work while they die too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from edri_sim.managers.deaths import Deaths
from edri_sim.managers.shape import Shape
from edri_sim.managers.slot import Slot, SlotOwner, WorkerPlan
from edri_sim.routing.context import NodeContext
from edri_sim.routing.health import DEGRADED, FAILED, OK, HealthChanged


class CrewOwner(SlotOwner, Protocol):
    """The pool, which has the work."""

    def admitted(self, slot: Slot) -> None:
        """A worker has started, and can be given work."""

    def withdraw(self, reason: str) -> None:
        """No worker is left, and too many have died: requests are for others now."""

    def provide(self) -> None:
        """There are workers again."""


class Crew:
    """The slots of one pool, and its state: see :mod:`edri_sim.routing.health`.

    A pool is ``ok`` while no more than ``restarts`` of its workers have died ``within`` some seconds. With more it is
    ``degraded``, or ``failed`` if none is left: then each new start is a trial. It is ``ok`` again once all its workers
    live and the deaths lie far enough back.
    """

    def __init__(self, plan: WorkerPlan, shape: Shape, node: NodeContext, owner: CrewOwner) -> None:
        settings = node.settings
        self.slots: dict[Slot, None] = {}
        self.size = shape.size
        self.restarts = 0
        """How many workers were replaced."""
        self.state = OK
        self.reason = ""
        self.deaths = Deaths(shape.restarts, shape.within, settings.restart_delay, settings.restart_delay_max)
        self._limit = f"more than {shape.restarts} workers died within {shape.within:g} s"
        self._plan = plan
        self._node = node
        self._loop = node.loop
        self._owner = owner
        self._executor = node.host.executor(shape.mode)
        self._stillborn: dict[Slot, str] = {}
        self._stopping: dict[asyncio.Task[None], None] = {}
        self._repairs: dict[asyncio.Task[None], None] = {}
        self._review: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Start all workers. Raises what a worker's ``start`` raises, with none left running."""
        slots = [self._slot(index) for index in range(self.size)]
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
        self._look()

    async def start_again(self) -> None:
        """Start all workers after a stop; those that do not start are tried again."""
        try:
            await self.start()
        except Exception as error:
            self._plan.log.exception("%s: its workers did not start again", self._plan.label)
            for index in range(self.size):
                self._count(f"worker {index} did not start again: {error}")
                self._repair(self._replace(index))

    def _slot(self, index: int) -> Slot:
        slot: Slot = self._executor.slot(self._plan, self._owner, index)
        return slot

    def _admit(self, slot: Slot) -> None:
        self.slots[slot] = None
        if slot in self._stillborn:  # It died after its start, while others still started.
            self._owner.lost(slot, self._stillborn.pop(slot))
            return
        self._owner.admitted(slot)

    async def cease(self) -> None:
        """Replace nobody any more."""
        if self._review is not None:
            self._review.cancel()
        for repair in list(self._repairs):
            repair.cancel()
            with suppress(asyncio.CancelledError):
                await repair

    async def stop(self) -> None:
        """Stop all workers, and see those through that stop already."""
        for stopping in list(self._stopping):
            await stopping
        slots, self.slots = self.slots, {}
        async with asyncio.TaskGroup() as group:
            for slot in slots:
                group.create_task(slot.stop())

    # Deaths

    def bury(self, slot: Slot, reason: str) -> bool:
        """A worker has died; False if it was not admitted yet, and will be buried when it is."""
        if slot not in self.slots:
            self._stillborn[slot] = reason
            return False
        del self.slots[slot]
        self._plan.log.error("%s: worker %d died: %s", self._plan.label, slot.index, reason)
        return True

    def replace(self, slot: Slot, reason: str) -> None:
        """Start another worker in the place of one that was buried, after a pause."""
        self._count(f"worker {slot.index} died: {reason}")
        stopping = self._loop.create_task(slot.stop())
        self._stopping[stopping] = None
        stopping.add_done_callback(self._stopping.pop)
        self._repair(self._replace(slot.index, stopping))

    def _repair(self, work: Coroutine[Any, Any, None]) -> None:
        repair = self._loop.create_task(work)
        self._repairs[repair] = None
        repair.add_done_callback(self._repairs.pop)

    def _count(self, reason: str) -> None:
        now = self._loop.time()
        self.deaths.note(now)
        if self.state != OK or self.deaths.too_many(now):
            self._become(DEGRADED if self.slots else FAILED, f"{self._limit}; last, {reason}")

    async def _replace(self, index: int, stopping: asyncio.Task[None] | None = None) -> None:
        """Start a new instance after a pause that doubles with each death in a row."""
        if stopping is not None:
            await asyncio.shield(stopping)
        while True:
            await asyncio.sleep(self.deaths.pause(self._loop.time()))
            slot = self._slot(index)
            try:
                await slot.start()
            except Exception as error:
                self._plan.log.exception("%s: worker %d did not start again", self._plan.label, index)
                await slot.stop()
                self._count(f"worker {index} did not start again: {error}")
                continue
            except BaseException:
                await slot.stop()
                raise
            self.restarts += 1
            self._admit(slot)
            self._look()
            return

    # Its state

    def _become(self, state: str, reason: str) -> None:
        self.reason = reason
        if state == self.state:
            return
        before, self.state = self.state, state
        label = self._plan.label
        self._plan.log.log(_LEVELS[state], "%s is %s: %s", label, state, reason)
        if state == FAILED:
            self._owner.withdraw(f"{label} has failed: {reason}")
        elif before == FAILED:
            self._owner.provide()
        self._node.router.announce(HealthChanged(self._node.name, label, state, reason))

    def _look(self) -> None:
        """See whether all is well again, and if not, look again when it may be."""
        if self.state == FAILED and self.slots:
            self._become(DEGRADED, f"a worker has started, on trial: {self.reason}")
        if self.state != DEGRADED or len(self.slots) < self.size:
            return  # The next worker that starts has it looked at.
        if not self.deaths.too_many(self._loop.time()):
            self._become(OK, "all workers live, and their deaths lie back")
            self.reason = ""
            return
        if self._review is not None:
            self._review.cancel()
        self._review = self._loop.call_at(self.deaths.clear_at, _Review(self._look))


class _Review:
    """A look at the state, which keeps no simulation running."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def __call__(self) -> None:
        self._look()

    def idle(self) -> bool:
        """True: nobody waits for it."""
        return True


_LEVELS = {OK: logging.INFO, DEGRADED: logging.WARNING, FAILED: logging.ERROR}


def _first(error: BaseException) -> BaseException:
    """The exception in a group: a node that cannot start says why in the words of the worker that failed."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
