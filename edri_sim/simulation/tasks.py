"""Tasks whose order in a set does not depend on their address."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from edri_sim.simulation.loop import SimulationLoop

T = TypeVar("T")


class SimulatedTask(asyncio.Task[T]):
    """A task that hashes by its creation number in its simulation.

    asyncio keeps tasks in sets (a ``TaskGroup`` cancels its children in the order of one). Hashed by address, that
    order changes with whatever was allocated before; hashed by number it is the same in every run.
    """

    __slots__ = ("number",)

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        loop: SimulationLoop,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> None:
        # The number comes first: asyncio hashes the task inside Task.__init__, when it registers it.
        self.number = number = loop.kernel.next_task_number()
        super().__init__(coro, loop=loop, name=name or f"Task-{number}", context=context, **options)

    def __hash__(self) -> int:
        return self.number
