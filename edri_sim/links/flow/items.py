"""What flows carry, and what they report."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgspec

from edri_sim.links.flow.receive import WINDOW, ReceiveLane
from edri_sim.links.frames import Data

CONTROL, EVENTS = 0, 1
"""The lanes: replies, errors, cancels, credit and word of what was handled; notifications, requests and what opens
tunnels. Above them, each tunnel has one in each direction."""


class Payload(msgspec.Struct, eq=False):
    """Encoded once, and held once, however many routers it goes to."""

    data: bytes
    holders: int = 0


class Item(msgspec.Struct, eq=False):
    """One event, item of a tunnel, reply, error, cancel, credit or word of a handled event, on its way to one router.

    ``origin`` and ``number`` make the event id; ``ref`` is the number of the event that this one is about. ``created``
    and ``deadline`` are in seconds on the sender's clock. ``latest``: a newer one may push it out; ``handled``: it is
    kept until a handler has returned. ``names`` is for the trace, ``tag`` the sender's own.
    """

    kind: int
    type: str
    payload: Payload
    origin: int
    number: int
    created: float
    deadline: float = math.inf
    ref: int = 0
    schema: str = ""
    trace: str = ""
    latest: bool = False
    handled: bool = False
    redelivered: bool = False
    names: tuple[int, int] = (0, 0)
    tag: Any = None

    @property
    def size(self) -> int:
        """Bytes, of the payload alone."""
        return len(self.payload.data)


class Limits(msgspec.Struct, frozen=True):
    """What an outbox holds at most: events and bytes of one flow, bytes in all, and seconds that an event is kept.

    ``window``: events of one flow that are admitted beyond those that have found their room here.
    """

    events: int = 10_000
    flow_bytes: int = 64 << 20
    node_bytes: int = 256 << 20
    retention: float = 600.0
    window: int = WINDOW


class Full(Exception):
    """The outbox has no room for an item; the message says which bound was met."""


# News: what an exchange reports


class Delivered(NamedTuple):
    """An event came, in order, and once. Say ``lane.park`` and ``unpark`` while it waits for room, or ``reject``."""

    peer: str
    lane: ReceiveLane
    data: Data
    flags: int


class Gap(NamedTuple):
    """The sender gave up the events in these places, both included, before they came."""

    peer: str
    lane: int
    first: int
    last: int


class Accepted(NamedTuple):
    """The other router has the item; or it has ``rejected`` it, for that reason."""

    peer: str
    item: Item
    rejected: str | None


class GivenUp(NamedTuple):
    """The item will not be sent (again); it had the place ``seq``, and may have arrived if it ``was_sent``."""

    peer: str
    item: Item
    seq: int
    reason: str
    was_sent: bool


class Returned(NamedTuple):
    """The router that a request went to is no more; it may have had the request if that ``was_sent``."""

    peer: str
    item: Item
    was_sent: bool


class Restarted(NamedTuple):
    """A router began a new life: nothing of what its former life was asked will be answered."""

    peer: str
    incarnation: int


class Fenced(NamedTuple):
    """Another life of this node, or a copy of its outbox, has taken over its flow to this router."""

    peer: str


class LaneLost(NamedTuple):
    """The other router knows nothing of the tunnel that a lane to it belongs to."""

    peer: str
    lane: int


News = Delivered | Gap | Accepted | GivenUp | Returned | Restarted | Fenced | LaneLost


# Changes: what a durable outbox has to write down


class Put(NamedTuple):
    """An item has its place in a flow to a router: (peer, generation, seq) is its key for good."""

    peer: str
    generation: int
    seq: int
    item: Item


class Drop(NamedTuple):
    """The item in this place need not be kept any more."""

    peer: str
    generation: int
    seq: int


class Flow(NamedTuple):
    """Where the flow to a router stands; this takes the place of what was written of it before.

    It goes to the life ``incarnation`` (0: not known yet); all below ``base`` is settled; ``next`` comes next.
    """

    peer: str
    incarnation: int
    generation: int
    base: int
    next: int


Change = Put | Drop | Flow
