"""How a system looks after itself: what a node says of its health, what is tried again, and who watches.

``docs/supervision.md`` explains it.
"""

from __future__ import annotations

from edri_sim.errors import WorkerBroken
from edri_sim.routing.health import Health, HealthChanged, LinkHealth, PartHealth, PeerHealth, PoolHealth
from edri_sim.routing.observing import Observation
from edri_sim.routing.retrying import Retry

__all__ = [
    "Health",
    "HealthChanged",
    "LinkHealth",
    "Observation",
    "PartHealth",
    "PeerHealth",
    "PoolHealth",
    "Retry",
    "WorkerBroken",
]
