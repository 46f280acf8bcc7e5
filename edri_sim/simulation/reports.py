"""Who waits for what, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from edri_sim.simulation.handles import short_path


class Spin(NamedTuple):
    """Code that keeps running at one instant: when (seconds), on which loop, and one of the callbacks that spin."""

    time: float
    loop: str
    callback: str


_LIBRARIES = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))
"""Where code is that its users do not look at: asyncio's, and this package's."""
MOST_NAMED = 20
"""Waiting tasks that a report names; the rest is counted."""


def waiting_text(now: float, tasks: Iterable[asyncio.Task[Any]]) -> str:
    """One line: the time (seconds) and the tasks that wait, each with the place where it does."""
    waiting = [task for task in tasks if not task.done()]
    lines = [_task_text(task) for task in waiting[:MOST_NAMED]]
    if len(waiting) > MOST_NAMED:
        lines.append(f"and {len(waiting) - MOST_NAMED} more")
    noun = "1 task waits" if len(waiting) == 1 else f"{len(waiting)} tasks wait"
    return f"t={now:.9g} s: {noun} for what can no longer happen: {', '.join(lines)}"


def stall_text(spin: Spin) -> str:
    """One line: what keeps time from moving, and what to do about it."""
    return (
        f"t={spin.time:.9g} s: host '{spin.loop}' runs {spin.callback} over and over, so that time cannot move "
        "(a million callbacks); let it wait for an event, or sleep longer than 0"
    )


def _task_text(task: asyncio.Task[Any]) -> str:
    loop: Any = task.get_loop()
    name = f"'{loop.name}/{task.get_name()}'"
    gate = f" (host {loop.state})" if loop.state != "open" else ""
    place = _place(task.get_coro())
    return f"{name}{gate} {place}" if place else f"{name}{gate}"


def _place(awaited: Any) -> str:
    """The user's innermost line: library frames below it, such as Queue.get, are named as what it waits in."""
    frames = _frames(awaited)
    if not frames:
        return ""
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_LIBRARIES)] or frames
    code, line = own[-1].f_code, own[-1].f_lineno
    inner = frames[-1].f_code
    waits_in = f" (in {inner.co_qualname})" if inner is not code else ""
    return f"at {short_path(code.co_filename)}:{line} in {_name(code)}{waits_in}"


def _name(code: CodeType) -> str:
    return code.co_qualname.replace("<locals>.", "")


def _frames(awaited: Any) -> list[FrameType]:
    frames = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return frames
