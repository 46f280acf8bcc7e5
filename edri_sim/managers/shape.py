"""How much a pool takes, and how much it bears."""

from __future__ import annotations

from dataclasses import dataclass

from edri_sim.routing.mailbox import Overflow

RESTARTS, WITHIN = 5, 60.0
"""How many workers of a pool may die within how many seconds before it counts as degraded, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a pool: instances, events at once for each, and the mailbox before them.

    A handler that takes longer than ``time_limit`` seconds is cancelled (None: there is no limit but its request's
    deadline). When more than ``restarts`` workers have died ``within`` some seconds, the pool is degraded.
    """

    mode: str
    size: int
    concurrency: int
    queue: int
    overflow: Overflow
    time_limit: float | None = None
    restarts: int = RESTARTS
    within: float = WITHIN
