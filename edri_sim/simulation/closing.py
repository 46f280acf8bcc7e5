"""The end of a simulation: every coroutine is closed, in order, and nothing that it does then has an effect."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any, NoReturn

from edri_sim.simulation.endings import finish_asyncgen
from edri_sim.simulation.handles import parts_of
from edri_sim.simulation.nesting import outer_loop_suspended

if TYPE_CHECKING:
    from edri_sim.simulation.kernel import Kernel

MOST_AWAITS = 100
"""Awaits in the clean-up of one coroutine that are cut short before it is given up."""


class _Refusing(deque[Any]):
    """The ready queue of a loop whose simulation is closed."""

    def append(self, item: Any) -> NoReturn:
        raise RuntimeError(f"the simulation of host '{parts_of(item)[0].name}' is closed")


@contextmanager
def detached() -> Iterator[None]:
    """Meanwhile nothing that a clean-up logs or prints to stderr is seen: its host is dead, or the simulation over."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(StringIO()):  # with None there, print(file=sys.stderr) would write to stdout
            yield
    finally:
        logging.disable(disabled)


def close_all(kernel: Kernel) -> None:
    """Close the coroutines of all pending tasks in creation order, then the asynchronous generators that are left."""
    engine = kernel.engine
    # Kept to the end: what a callback alone holds must not be collected before the tasks are closed in their order.
    held: list[Any] = [engine.bury_all()]  # At once: loop by loop, all timers would be looked at for each.
    held += [loop.take_callbacks(deque(maxlen=0)) for loop in kernel.loops]
    if kernel.network is not None:
        kernel.network.close()
    with outer_loop_suspended(), detached():
        while engine.tasks:  # a clean-up may make new ones, which are closed before their first step
            _close_task(engine.tasks.pop(next(iter(engine.tasks))))
        for loop in kernel.loops:
            loop.enter()
            for agen in loop.living_asyncgens():
                finish_asyncgen(agen)
    held.clear()
    engine.ready.clear()
    engine.queue.clear()
    for loop in kernel.loops:
        loop.take_callbacks(_Refusing())


def _close_task(task: asyncio.Task[Any]) -> None:
    if task.done():
        return
    loop: Any = task.get_loop()
    loop.enter()
    asyncio.tasks._enter_task(loop, task)
    try:
        _close_coroutine(task.get_coro())
    finally:
        asyncio.tasks._leave_task(loop, task)
    # Task.cancel would ask the coroutine, which is no more; this settles the task, so that it does not look alive.
    asyncio.Future.cancel(task)


def _close_coroutine(coro: Any) -> None:
    for _ in range(MOST_AWAITS):
        try:
            coro.close()
        except RuntimeError:  # a clean-up awaited: close the coroutine again, at the place where it waits now
            if coro.cr_frame is None:
                return
        except BaseException:  # a clean-up failed: the simulation is over, and nobody waits for it
            return
        else:
            return
