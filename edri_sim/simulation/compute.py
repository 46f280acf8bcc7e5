"""The cores of a simulated host, and the interpreter lock of its node's process."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from edri_sim.simulation.environment import Environment

Work = Generator[simpy.Event, Any, None]


class Processor:
    """The cores and the GIL of one incarnation of a host; each is a ``simpy.Resource`` that users may share.

    The GIL is taken before a core, as a thread that waits for the GIL holds no core; the other order starves the
    processes beside it.
    """

    def __init__(self, env: Environment, cores: int) -> None:
        self.env = env
        self.cores = simpy.Resource(env, capacity=cores)
        self.gil = simpy.Resource(env, capacity=1)
        self._working: dict[simpy.Process, None] = {}

    def compute(self, seconds: float, share: float, gil: simpy.Resource, wait: float, done: Callable[[], None]) -> None:
        """Hold a core for ``seconds``, with ``gil`` for the share of it, then nothing for ``wait``; then call ``done``.

        ``done`` is not called if the host crashes before.
        """
        process = self.env.process(self._compute(seconds, share, gil, wait))
        self._working[process] = None
        process.callbacks.append(lambda _: self._finished(process, done))

    def _finished(self, process: simpy.Process, done: Callable[[], None]) -> None:
        if self._working.pop(process, 0) is None:
            done()

    def _compute(self, seconds: float, share: float, gil: simpy.Resource, wait: float) -> Work:
        timeout = self.env.timeout
        try:
            if seconds > 0 and share > 0:
                with gil.request() as lock:
                    yield lock
                    with self.cores.request() as core:
                        yield core
                        yield timeout(seconds * share)
            if seconds > 0 and share < 1:
                with self.cores.request() as core:
                    yield core
                    yield timeout(seconds * (1 - share))
            if wait > 0:
                yield timeout(wait)
        except simpy.Interrupt:
            return

    def crash(self) -> None:
        """Stop all work, at once and for good."""
        working, self._working = self._working, {}
        for process in working:
            if process.is_alive:
                process.interrupt()
