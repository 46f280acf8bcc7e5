"""Stopping several things so that none is left running, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol


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


async def ends_within(seconds: float | None, work: Coroutine[Any, Any, None]) -> bool:
    """Await ``work`` for up to ``seconds`` (None: for as long as it takes) and say whether it has ended by then.

    What has not is cancelled, and no longer awaited: it may go on, if it heeds no cancellation. The same becomes of it
    when the caller is cancelled.
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(task)
    except TimeoutError:
        if task.done():  # At the last moment, or it is an error of its own.
            task.result()
            return True
        await _cancel(task)
        return False
    except asyncio.CancelledError:
        await _cancel(task)
        raise
    return True


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.sleep(0)  # What heeds it ends in this turn, and so leaves no task behind.
