"""Requests that wait for each other: seen at a deadline, and named in its error."""

from __future__ import annotations

from edri_sim.envelope import Envelope


def note_cycle(envelope: Envelope, where: str) -> None:
    """Where a request waits for a handler at ``where`` that awaits it in turn, say so on it and on all that await it.

    Only a request that waits in a mailbox can be part of a cycle: one that a handler has is merely slow.
    """
    awaiting = _ancestors(envelope)
    labels = [where, *[label for label, _ in awaiting]]
    if where not in labels[1:]:
        return
    cycle = labels[: labels.index(where, 1) + 1]
    note = f"; requests wait for each other in a cycle: {' -> '.join(reversed(cycle))}"
    for link in (envelope, *[above for _, above in awaiting]):
        link.note = link.note or note


def _ancestors(envelope: Envelope) -> list[tuple[str, Envelope]]:
    """The handlers that await this request, and what they handle, the nearest first."""
    found = []
    job = envelope.parent
    while job is not None:
        found.append((job.label, job.envelope))
        job = job.envelope.parent
    return found
