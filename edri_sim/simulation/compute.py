"""The cores of a simulated host, and the interpreter lock of its node's process."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sized
from typing import Any

import simpy

from edri_sim.simulation.environment import Environment

Work = Generator[simpy.Event, Any, None]
_NOTHING = 1e-9
"""Seconds: work of less is done, for what rounding leaves must not queue for a turn of its own."""


class Processor:
    """The cores and the GIL of one incarnation of a host; each is a ``simpy.Resource`` that users may share.

    The GIL is taken before a core, as a thread that waits for the GIL holds no core; the other order starves the
    processes beside it. Whoever comes first is served first: to the end, or, with a ``quantum``, for so many seconds at
    a time while others wait, as an operating system does it and Python's own lock.
    """

    def __init__(self, env: Environment, cores: int, quantum: float = 0.0) -> None:
        self.env = env
        self._quantum = quantum or math.inf
        self.cores = simpy.Resource(env, capacity=cores)
        self.gil = simpy.Resource(env, capacity=1)
        self.busy = 0.0
        """Core-seconds of work that has been done."""
        self._working: dict[simpy.Process, None] = {}

    def compute(
        self, seconds: float, share: float, gil: simpy.Resource, wait: float, done: Callable[[], None]
    ) -> simpy.Process:
        """Hold a core for ``seconds``, with ``gil`` for the share of it, then nothing for ``wait``; then call ``done``.

        ``done`` is not called if the host crashes before, or what is returned is given to :meth:`stop`.
        """
        process = self.env.process(self._compute(seconds, share, gil, wait))
        self._working[process] = None
        process.callbacks.append(lambda _: self._finished(process, done))
        return process

    def _finished(self, process: simpy.Process, done: Callable[[], None]) -> None:
        if self._working.pop(process, 0) is None:
            done()

    def _compute(self, seconds: float, share: float, gil: simpy.Resource, wait: float) -> Work:
        try:
            if seconds > 0 and share > 0:
                left = seconds * share
                while left > 0:
                    with gil.request() as lock:
                        yield lock
                        left = yield from self._turn(left, gil.queue)
            if seconds > 0 and share < 1:
                left = seconds * (1 - share)
                while left > 0:
                    left = yield from self._turn(left, ())
            if wait > 0:
                yield self.env.timeout(wait)
        except simpy.Interrupt:
            return

    def _turn(self, seconds: float, others: Sized) -> Generator[simpy.Event, Any, float]:
        """Hold a core until the work is done, or a quantum is over and somebody waits; returns the seconds left.

        ``others`` wait for what else the work holds.
        """
        with self.cores.request() as core:
            yield core
            while True:
                turn = min(seconds, self._quantum)
                yield self.env.timeout(turn)
                seconds -= turn
                self.busy += turn
                if seconds < _NOTHING:
                    return 0.0
                if others or self.cores.queue:
                    return seconds

    def stop(self, process: simpy.Process) -> None:
        """Stop one piece of work, at once and for good."""
        if self._working.pop(process, 0) is None and process.is_alive:
            process.interrupt()

    def crash(self) -> None:
        """Stop all work, at once and for good."""
        working, self._working = self._working, {}
        for process in working:
            if process.is_alive:
                process.interrupt()
