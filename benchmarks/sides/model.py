"""The simulated model that every side builds: a closed loop of clients around four workers.

client -> router -> manager -> one of the workers, for the service time -> reply to the client. Each arrow is a message
that waits in a queue and wakes who takes it; none takes simulated time but the service. Four workers that are never
idle answer four requests a second, so how long a run must take in simulated time checks that it is the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

CLIENTS = 10
WORKERS = 4
SERVICE_TIME = 1.0
"""Simulated seconds."""
REQUESTS = 20_000
"""Requests of one run, for all clients together."""


def per_wall_second(run: Callable[[int], float]) -> float:
    """Simulated requests per wall second of `run`, which takes the requests per client and returns the simulated time.

    Raises SystemExit when the simulated time is not that of the model.
    """
    each = REQUESTS // CLIENTS
    start = perf_counter()
    simulated = run(each)
    wall = perf_counter() - start
    expected = each * CLIENTS / WORKERS * SERVICE_TIME
    if abs(simulated - expected) > 1e-6 * expected:
        raise SystemExit(f"another model: {simulated} simulated seconds instead of {expected}")
    return each * CLIENTS / wall
