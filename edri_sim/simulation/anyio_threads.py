"""anyio's worker threads become work of the simulated host while a simulation runs."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any


def _replacement(original: Callable[..., Any], simulated: Callable[[object], bool]) -> Any:
    anyio = importlib.import_module("anyio")

    async def run_sync_in_worker_thread(
        cls: Any, func: Callable[..., Any], args: tuple[Any, ...], abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        if not simulated(loop):
            return await original(func, args, abandon_on_cancel, limiter)
        await cls.checkpoint()
        async with limiter or cls.current_default_thread_limiter():
            with anyio.CancelScope(shield=not abandon_on_cancel):
                return await loop.run_in_executor(None, partial(copy_context().run, func, *args))

    return classmethod(run_sync_in_worker_thread)


class _Patch:
    """The one patch of anyio's backend, shared by all simulations that run."""

    def __init__(self) -> None:
        self.users = 0
        self.backend: Any = None
        self.original: Any = None

    def apply(self, simulated: Callable[[object], bool]) -> None:
        self.users += 1
        if self.backend is None and "anyio" in sys.modules:
            self.backend = importlib.import_module("anyio._backends._asyncio").AsyncIOBackend
            self.original = vars(self.backend)["run_sync_in_worker_thread"]
            bound = self.backend.run_sync_in_worker_thread
            self.backend.run_sync_in_worker_thread = _replacement(bound, simulated)

    def lift(self) -> None:
        self.users -= 1
        if self.users == 0 and self.backend is not None:
            self.backend.run_sync_in_worker_thread = self.original
            self.backend = None


_patch = _Patch()


@contextmanager
def anyio_threads_simulated(simulated: Callable[[object], bool]) -> Iterator[None]:
    """Send ``anyio.to_thread`` to ``run_in_executor`` of the running loop, if ``simulated(loop)``.

    A real thread would end at a moment that no seed decides. Does nothing where anyio is not imported.
    """
    _patch.apply(simulated)
    try:
        yield
    finally:
        _patch.lift()
