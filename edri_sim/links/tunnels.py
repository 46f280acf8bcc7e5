"""Tunnels to other routers: what passes goes on two lanes of their own, and what no peer may send ends them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import CONTROL, EVENTS, Delivered, Item, Payload
from edri_sim.links.frames import CLOSE, CREDIT, ITEM
from edri_sim.routing.tunnel import FLYING, HALF_CLOSED, LEFT, WINDOW
from edri_sim.routing.wire import Wire

MOST_CREDIT = 1 << 16
"""Items that a side may let the other send beyond those that it has sent: one that gives more breaks the rules."""


class _Foul(Exception):
    """The other side did what no good one does, so that the tunnel can't go on; the message says what."""


class Passage:
    """One tunnel at this router: see :class:`~edri_sim.routing.tunnel.Far`. What comes is told to ``wire``.

    ``room`` is how many items the other side may send, ``credit`` how many this one may. ``broken`` is told why the
    tunnel can't go on.
    """

    encoded = True
    wire: Wire

    def __init__(
        self, tunnels: Tunnels, peer: str, out: int, come: int, *, room: int, credit: int, broken: Callable[[str], None]
    ) -> None:
        self.largest: float = tunnels.largest
        self.peer = peer
        self.out = out
        """The lane on which this side sends."""
        self.come = come
        """The lane on which the other one does."""
        self.broken = broken
        self.open = False
        """Whether a handler has begun."""
        self.closed = False
        """Whether nothing passes any more."""
        self._tunnels = tunnels
        self._room = room
        self._unread: deque[int] = deque()
        self._unread_bytes = 0
        self._credit = credit
        self._their_end: int | None = None

    # What is told from here

    def payload(self, data: bytes) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        if self.closed:
            self.wire.credit(1)  # Nobody reads it any more: who sends must not wait for that.
        elif len(data) > self.largest:
            self.broken(f"an item is {len(data)} bytes, and at most {self.largest:g} travel: send it in pieces")
        else:
            self._credit -= 1
            self._tunnels.push(self, self.out, ITEM, data)

    def credit(self, count: int) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        if self.closed:
            return
        self._room += count
        for _ in range(min(count, len(self._unread))):
            self._unread_bytes -= self._unread.popleft()
        # The first opens the tunnel, and must not be overtaken by the first item.
        lane = CONTROL if self.open else self.out
        self.open = True
        self._tunnels.push(self, lane, CREDIT, b"", number=count, ref=self.come)

    def ended(self, how: int) -> None:
        """See :class:`~edri_sim.routing.tunnel.Far`."""
        if not self.closed:
            self._tunnels.push(self, self.out, CLOSE, b"", ref=how)

    # What comes from there

    def take(self, data: bytes) -> None:
        """An item came."""
        if self._their_end is not None:
            raise _Foul("an item came after the end of its half")
        if self._room <= 0 or self._unread_bytes >= FLYING:
            raise _Foul(f"an item came without credit, of {WINDOW} items or {FLYING} bytes at a time")
        self._room -= 1
        self._unread.append(len(data))
        self._unread_bytes += len(data)
        self.wire.payload(data)

    def earn(self, count: int) -> None:
        """The other side takes more items."""
        self._credit += count
        if not 0 < count <= self._credit <= MOST_CREDIT:
            raise _Foul(f"credit for {count} items, {self._credit} in all: expected 1 to {MOST_CREDIT}")
        self.open = True

    def end(self, how: int) -> None:
        """The other side sends no more."""
        before = self._their_end
        if not HALF_CLOSED <= how <= LEFT or before not in (None, HALF_CLOSED) or before == how:
            raise _Foul(f"its half ended in the way {how} after {before}")
        self._their_end = how
        self.wire.ended(how)


class Tunnels:
    """All tunnels between this router and others; ``largest`` is the bytes of an item that travel."""

    def __init__(self, exchange: Exchange, *, largest: int, now: Callable[[], float], poke: Callable[[], None]) -> None:
        self.largest = largest
        self._exchange = exchange
        self._now = now
        self._poke = poke
        self._coming: dict[tuple[str, int], Passage] = {}
        """By router, and the lane on which it sends."""
        self._going: dict[tuple[str, int], Passage] = {}
        """By router, and the lane on which this one sends."""
        self._withheld: dict[Passage, int] = {}

    def __len__(self) -> int:
        return len(self._coming)

    # From here

    def opened(self, peer: str, number: int, window: int, broken: Callable[[str], None]) -> Passage:
        """A tunnel that this router's event of this ``number`` opens; it takes ``window`` items."""
        there, back = _lanes(number)
        return self._begin(Passage(self, peer, there, back, room=window, credit=0, broken=broken))

    def served(self, peer: str, number: int, window: int, broken: Callable[[str], None]) -> Passage:
        """A tunnel that the event of this ``number`` of another router opens, which takes ``window`` items."""
        there, back = _lanes(number)
        return self._begin(Passage(self, peer, back, there, room=0, credit=window, broken=broken))

    def _begin(self, passage: Passage) -> Passage:
        self._coming[passage.peer, passage.come] = self._going[passage.peer, passage.out] = passage
        self._exchange.lanes.expect(passage.peer, passage.come)
        return passage

    def push(self, passage: Passage, lane: int, kind: int, data: bytes, *, number: int = 0, ref: int = 0) -> None:
        """Send something of a tunnel."""
        now = self._now()
        item = Item(kind, "", Payload(data), self._exchange.incarnation, number, now, ref=ref, tag=passage)
        self._exchange.push(passage.peer, lane, item, now)
        self._poke()

    def end(self, passage: Passage, answer: tuple[int, bytes, int] | None) -> None:
        """A tunnel that was served is over: send the answer, behind all else of it; None: nobody waits for that.

        An answer is its kind, its payload, and the number of the event.
        """
        if answer is None:
            self.drop(passage)
            return
        kind, payload, number = answer
        lane = passage.out if passage.open else CONTROL
        now = self._now()
        item = Item(kind, "", Payload(payload), self._exchange.incarnation, 0, now, ref=number)
        self._exchange.push(passage.peer, lane, item, now)
        if passage.open:
            self._exchange.lanes.finish(passage.peer, passage.out, passage.come)
        else:
            self._exchange.lanes.refuse(passage.peer, passage.come, now)
        self._shut(passage)

    def drop(self, passage: Passage) -> None:
        """A tunnel is over: nobody waits for what is on its way."""
        if not passage.closed:
            self._exchange.lanes.drop(passage.peer, passage.out)
            self._exchange.lanes.refuse(passage.peer, passage.come, self._now())
            self._shut(passage)

    def _shut(self, passage: Passage) -> None:
        passage.closed = True
        self._withheld.pop(passage, None)
        del self._coming[passage.peer, passage.come]
        del self._going[passage.peer, passage.out]
        self._poke()

    # From other routers; what is of a tunnel that is over came too late

    def item(self, news: Delivered) -> None:
        """An item came."""
        passage = self._coming.get((news.peer, news.data.lane))
        if passage is not None:
            self._deal(passage, passage.take, news.data.payload)

    def close(self, news: Delivered) -> None:
        """A side sends no more."""
        passage = self._coming.get((news.peer, news.data.lane))
        if passage is not None:
            self._deal(passage, passage.end, news.data.ref)

    def credit(self, news: Delivered) -> None:
        """A side takes more; while too much is held here, who would send more is not told."""
        passage = self._going.get((news.peer, news.data.ref))
        if passage is not None and self._deal(passage, passage.earn, news.data.event):
            self._withheld[passage] = self._withheld.get(passage, 0) + news.data.event
            self.room()

    def _deal(self, passage: Passage, step: Callable[[Any], None], what: object) -> bool:
        """Take what came; False if it was foul."""
        try:
            step(what)
        except _Foul as foul:
            passage.broken(f"node {passage.peer!r} broke the rules: {foul}")
            return False
        return True

    def room(self) -> None:
        """There may be room again."""
        while self._withheld and self._exchange.bytes < self._exchange.limits.node_bytes:
            passage = next(iter(self._withheld))
            passage.wire.credit(self._withheld.pop(passage))

    def gap(self, peer: str, lane: int) -> None:
        """What was sent on a lane was given up."""
        passage = self._coming.get((peer, lane))
        if passage is not None:
            passage.broken(f"node {peer!r} gave up what it had sent")

    def away(self, peer: str, seconds: float) -> None:
        """A router was away for so long that it is taken to be gone for good."""
        for passage in self._with(peer):
            passage.broken(f"node {peer!r} was away for {seconds:g} s")

    def reach(self, peer: str) -> bool:
        """Whether there is a tunnel to a router."""
        return bool(self._with(peer))

    def _with(self, peer: str) -> list[Passage]:
        return [passage for passage in self._coming.values() if passage.peer == peer]

    def lost(self, peer: str, lane: int) -> None:
        """The other router knows nothing of the tunnel of a lane."""
        passage = self._going.get((peer, lane))
        if passage is not None:
            passage.broken(f"node {peer!r} has it no more")


def _lanes(number: int) -> tuple[int, int]:
    """The lane from the opener, whose event has this number, and the one to it: no other tunnel of its has them."""
    return EVENTS + 2 * number - 1, EVENTS + 2 * number
