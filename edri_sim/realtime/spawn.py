"""Making tasks for handlers in real time."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from edri_sim.managers.loop_slot import Spawn


def spawner(loop: asyncio.AbstractEventLoop) -> Spawn:
    """What makes tasks on ``loop``.

    Where asyncio can, from Python 3.12 on, the first step of a task runs at once: a handler that never waits costs no
    turn of the loop.
    """
    if sys.version_info >= (3, 12):
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task
