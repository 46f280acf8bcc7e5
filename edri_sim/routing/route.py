"""Which mailboxes an event's type leads to."""

from __future__ import annotations

from dataclasses import dataclass

from edri_sim.events import EventType
from edri_sim.routing.mailbox import Mailbox


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """``owner``, a manager, takes events of ``cls`` and of its subclasses into ``mailbox``."""

    cls: type
    mailbox: Mailbox
    owner: str


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What the router has worked out for one concrete type; ``names`` is how the trace numbers it.

    ``peers`` are the other routers that want it; ``asking`` that they have not been heard yet.
    """

    type: EventType
    names: tuple[int, int]
    mailboxes: tuple[Mailbox, ...]
    peers: tuple[str, ...] = ()
    asking: bool = False


def mailboxes_for(cls: type, subscriptions: list[Subscription]) -> tuple[Mailbox, ...]:
    """The mailboxes for events of ``cls``, in order of subscription.

    Of several subscriptions of one owner to bases of ``cls``, only the most specific counts: an owner that handles
    both a base and a subclass gets an event once.
    """
    nearest: dict[str, int] = {}
    matching = [subscription for subscription in subscriptions if issubclass(cls, subscription.cls)]
    for subscription in matching:
        distance = cls.__mro__.index(subscription.cls)
        nearest[subscription.owner] = min(distance, nearest.get(subscription.owner, distance))
    chosen = [s.mailbox for s in matching if cls.__mro__.index(s.cls) == nearest[s.owner]]
    return tuple(dict.fromkeys(chosen))
