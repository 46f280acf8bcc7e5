"""What a node says of events that never came."""

from __future__ import annotations

from edri_sim.events import Notification, event


@event(name="edri.FlowGap")
class FlowGap(Notification):
    """Published at both ends when events between two routers were given up: ``first`` to ``last`` of their flow.

    ``source`` sent them to ``target``, and ``node`` says so; its own reports have the ``reason``, too, and a
    :class:`~edri_sim.routing.deadletter.DeadLetter` for each event.
    """

    node: str
    source: str
    target: str
    lane: int
    first: int
    last: int
    reason: str = ""
