"""What becomes of an event that nobody will handle."""

from __future__ import annotations

from edri_sim.events import Notification, event


@event(name="edri.DeadLetter")
class DeadLetter(Notification):
    """Published for every event that was dropped, rejected, expired or given up.

    ``type`` is the wire name of that event, ``where`` the mailbox or worker that had it, and ``payload`` the event
    itself in MessagePack (empty when it cannot be encoded), so that a subscriber can keep it or publish it again.
    """

    type: str
    event_id: str
    node: str
    where: str
    reason: str
    payload: bytes = b""
