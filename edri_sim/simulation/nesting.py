"""Running inside something that runs already: an outer event loop, Ctrl-C and the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from asyncio import events
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def outer_loop_suspended() -> Iterator[None]:
    """Take the running loop, its current task and its async-generator hooks out, and put them back.

    From CPython 3.14 on the current task is kept per thread, not per loop, so it has to leave before the loop does.
    """
    loop = events._get_running_loop()
    task = asyncio.current_task(loop) if loop else None
    hooks = sys.get_asyncgen_hooks()
    if loop and task:
        asyncio.tasks._leave_task(loop, task)
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(loop)
        if loop and task:
            asyncio.tasks._enter_task(loop, task)
        sys.set_asyncgen_hooks(*hooks)


class Interrupts:
    """Ctrl-C as a flag: raised between two callbacks, it cannot kill a simulated task.

    A second Ctrl-C before the flag was seen is raised at once: the callback that runs does not return.
    """

    def __init__(self) -> None:
        self.pending = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.pending:
            self.pending = False
            raise KeyboardInterrupt

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.pending:
            self.pending = False
            raise KeyboardInterrupt
        self.pending = True

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Own Ctrl-C for a while. Does nothing off the main thread, or where Ctrl-C is ignored or not Python's."""
        owned = threading.current_thread() is threading.main_thread()
        previous = signal.getsignal(signal.SIGINT) if owned else None
        if not callable(previous):
            yield
            return
        signal.signal(signal.SIGINT, self._note)
        try:
            yield
            self.check()
        finally:
            signal.signal(signal.SIGINT, previous)
            self.pending = False


class _Collector:
    """Automatic garbage collection, off while any simulation runs."""

    def __init__(self) -> None:
        self.users = 0
        self.was_on = False

    def take(self) -> None:
        """Turn automatic collection off; what exists already is set aside, so that collecting costs little."""
        self.users += 1
        if self.users == 1:
            self.was_on = gc.isenabled()
            gc.disable()
            gc.freeze()

    def give_back(self) -> None:
        """Turn automatic collection on again, if it was and nobody else needs it off."""
        self.users -= 1
        if self.users == 0:
            gc.unfreeze()
            if self.was_on:
                gc.enable()


_collector = _Collector()


@contextmanager
def collection_by_count() -> Iterator[None]:
    """Keep automatic garbage collection off: when a collector runs must not depend on what else was allocated."""
    _collector.take()
    try:
        yield
    finally:
        _collector.give_back()
