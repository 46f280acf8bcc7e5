"""The machine that the real part runs on: its cores, its clocks, and what else it is busy with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Clock = Callable[[], float]
"""Seconds, from some moment on."""

STAT = Path("/proc/stat")
_BUSY = (0, 1, 2, 5, 6, 7)
"""The columns user, nice, system, irq, softirq and steal of a line of /proc/stat; see proc(5)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """How many ``cores`` this process may use, and three clocks of seconds.

    ``wall`` is a clock on the wall, ``cpu`` counts the work of the thread that asks, and ``busy`` that of all programs
    on those cores.
    """

    cores: int
    wall: Clock
    cpu: Clock
    busy: Clock


def usable_cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def time_slice(cores: int) -> float:
    """Seconds for which Linux lets a program keep a core while others wait for it.

    0.75 ms times 1 + log2 of the cores, rounded down, of which 8 count: ``update_sysctl`` in kernel/sched/fair.c.
    """
    return 0.00075 * min(cores, 8).bit_length()


def busy_seconds() -> float:
    """The seconds that all programs kept our cores busy since the machine started; NaN if the system does not say."""
    names = {f"cpu{number}" for number in usable_cores()}
    try:
        lines = [line.split() for line in STAT.read_text(encoding="ascii").splitlines()]
        ticks = sum(int(line[1 + column]) for line in lines if line and line[0] in names for column in _BUSY)
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return float("nan")
