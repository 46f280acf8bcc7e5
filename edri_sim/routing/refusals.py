"""The errors with which a router ends a request that found no provider, no room, or no reply in time."""

from __future__ import annotations

from collections.abc import Sequence

from edri_sim.envelope import Envelope
from edri_sim.errors import DeadlineExceeded, NoRoute, Overloaded
from edri_sim.routing.cycles import note_cycle
from edri_sim.routing.mailbox import Mailbox


def overloaded(envelope: Envelope, mailboxes: Sequence[Mailbox]) -> Overloaded:
    """No provider had room until the deadline."""
    for mailbox in mailboxes:
        note_cycle(envelope, mailbox.label)
    return Overloaded(f"{envelope.subject}: no provider had room until the deadline{envelope.note}")


def no_route(envelope: Envelope, grace: float, hint: str) -> NoRoute:
    """Nobody provides it, and nobody came to do so within ``grace`` seconds; ``hint`` ends the message."""
    return NoRoute(
        f"{envelope.subject}: nobody provides it, and nobody came to provide it within"
        f" {min(grace, envelope.deadline - envelope.created):.3g} s"
        f"{envelope.note or hint}"
    )


def too_late(envelope: Envelope) -> DeadlineExceeded:
    """It has a provider, and no reply came until the deadline."""
    holder = envelope.holder
    if holder is not None and not holder.runs(envelope):
        note_cycle(envelope, holder.label)
    where = f"it was at {holder.label}" if holder is not None else "it waited"
    limit = envelope.deadline - envelope.created
    return DeadlineExceeded(f"{envelope.subject}: no reply within {limit:.3g} s; {where}{envelope.note}")
