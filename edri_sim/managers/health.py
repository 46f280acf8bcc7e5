"""How a node and its parts are doing, as plain data, and the event that tells of a change."""

from __future__ import annotations

from edri_sim.events import Notification, event

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
"""The states of a part: it works as declared; it works, or is on trial, with too many deaths behind it; it does not
work, and takes no requests."""


@event(name="edri.HealthChanged")
class HealthChanged(Notification):
    """Published on its own node when a pool becomes ``degraded``, ``failed`` or ``ok`` again.

    ``part`` is the pool, as in logs and errors, and ``reason`` says what led to ``state``.
    """

    node: str
    part: str
    state: str
    reason: str
