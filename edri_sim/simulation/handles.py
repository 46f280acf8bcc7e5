"""What the ready queue and the heap hold: callbacks, each owned by the loop that made it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from types import CodeType
from typing import Any, Protocol

OFF_HEAP, FOREGROUND, BACKGROUND_TIMER = 0, 1, 2
"""The states of a timer: not on the heap; on it, and keeping a run alive; on it, and keeping no run alive."""


class Owner(Protocol):
    """Whoever callbacks belong to: a simulated host's loop, or the kernel itself."""

    name: str
    _ready: deque[Any]

    def enter(self) -> None:
        """Make the owner the running loop."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take an exception that a callback let out."""

    def timer_cancelled(self, timer: Timer) -> None:
        """Account for a timer that was cancelled while it was on the heap."""


def nothing(*_: object) -> None:
    """Stand in for a cancelled callback: running it is cheaper than asking before each callback."""


def describe(callback: Callable[..., object]) -> str:
    """The name and place of a callback, free of addresses."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return f"task '{owner.get_name()}' ({getattr(owner.get_coro(), '__qualname__', 'coroutine')})"
    while hasattr(callback, "func"):
        callback = callback.func
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    code: CodeType | None = getattr(getattr(callback, "__func__", callback), "__code__", None)
    return f"{name} ({short_path(code.co_filename)}:{code.co_firstlineno})" if code else name


def short_path(filename: str) -> str:
    """The last part of a path: reports read the same on every machine."""
    return filename.replace("\\", "/").rsplit("/", 1)[-1]


class Handle(asyncio.Handle):
    """A callback in the ready queue."""

    __slots__ = ()

    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _loop: Owner
    _context: Context

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], loop: Owner, context: Context) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context

    def cancel(self) -> None:
        """Let the callback do nothing when its turn comes."""
        self._callback = nothing
        self._args = ()

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._callback is nothing

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._loop.name}: {describe(self._callback)}>"


class Timer(asyncio.TimerHandle):
    """A callback that is due at a time, in seconds of simulated time."""

    __slots__ = ("state",)

    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _loop: Owner
    _context: Context
    _when: float
    state: int

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], loop: Owner, context: Context
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self.state = FOREGROUND

    def cancel(self) -> None:
        """Take the timer from the heap, unseen: it neither moves the clock nor keeps a run alive."""
        self._callback = nothing
        self._args = ()
        if self.state:
            self._loop.timer_cancelled(self)

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._callback is nothing

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Timer {self._loop.name} at {self._when:.9g} s: {describe(self._callback)}>"


Wakeup = tuple[Owner, Context, Callable[..., object], object]
"""The wakeup of a task by a future, as loop, context, callback and future: the most frequent callback by far, made by
asyncio's C code, which throws the handle away. A tuple costs a quarter of a :class:`Handle`."""

Ready = Handle | Timer | Wakeup
"""What the ready queue holds."""


def parts_of(item: Ready) -> tuple[Owner, Callable[..., object]]:
    """The owner and the callback of what is ready."""
    if isinstance(item, tuple):
        return item[0], item[2]
    return item._loop, item._callback
