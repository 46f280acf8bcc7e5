"""How a node and its parts are doing, as plain data that JSON takes, and the event that tells of a change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edri_sim.events import Notification, event

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
"""The states: all works as declared; some of it does not, or is on trial; it does not work, and takes no requests."""
STOPPING = "stopping"
"""The state of a node that drains."""
_WORSE = (OK, DEGRADED, FAILED)


def worst(states: Iterable[str]) -> str:
    """The worst of some states; of none, that all is well."""
    return max(states, key=_WORSE.index, default=OK)


@event(name="edri.HealthChanged")
class HealthChanged(Notification):
    """Published on its own node when a pool becomes ``degraded``, ``failed`` or ``ok`` again.

    ``part`` is the pool, as in logs and errors, and ``reason`` says what led to ``state``.
    """

    node: str
    part: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """A pool, or a manager's own handlers. All counts are of events, but for the workers.

    ``queued`` are in the mailbox, ``parked`` wait for room in it, ``running`` are in handlers, and ``stuck`` are those
    of them that were cancelled and go on. ``workers`` of ``size`` live, and ``restarts`` have been replaced.
    """

    name: str
    state: str
    reason: str
    queued: int
    parked: int
    running: int
    stuck: int
    workers: int
    size: int
    restarts: int


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """The line to one switch."""

    switch: str
    up: bool


@dataclass(frozen=True, slots=True)
class PeerHealth:
    """What a node holds for another: ``waiting`` events of ``size`` bytes in all, and those ``kept`` until handled."""

    node: str
    reachable: bool
    waiting: int
    size: int
    kept: int


@dataclass(frozen=True, slots=True)
class PartHealth:
    """A part of a node. ``says`` is what its own ``health()`` has returned: ``ok``, or what is wrong."""

    name: str
    state: str
    says: str = OK
    pools: tuple[PoolHealth, ...] = ()
    links: tuple[LinkHealth, ...] = ()
    peers: tuple[PeerHealth, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """A node: ``await node.health()``.

    ``uptime`` is in seconds, and ``memory`` what the program holds in bytes, without its child processes; 0 where that
    is not known, as in simulated time. ``requests`` of this node have not ended, and ``late`` replies came too late.
    """

    node: str
    incarnation: int
    state: str
    uptime: float
    memory: int
    requests: int
    late: int
    parts: tuple[PartHealth, ...]
