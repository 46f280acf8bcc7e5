"""Stopping several things so that none is left running, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Stoppable(Protocol):
    """What a node, a manager or a pool has started."""

    async def stop(self) -> None:
        """Leave nothing behind."""


async def stop_all(things: Iterable[Stoppable]) -> None:
    """Stop one after the other; where one fails, or its stop is cancelled, the rest is stopped all the same.

    Raises the first of their exceptions when all have stopped.
    """
    first: BaseException | None = None
    for thing in things:
        try:
            await thing.stop()
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
