"""Tunnels of the model: an OPEN, items both ways on lanes of their own, and an end; what each side may see of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edri_sim.links.flow.items import CONTROL, EVENTS, Delivered, Gap, Item, LaneLost, Payload
from edri_sim.links.frames import CANCEL, CLOSE, CREDIT, ERROR, ITEM, OPEN, REPLY
from tests.links.flow_ledger import ACCEPTED, Violation

if TYPE_CHECKING:
    from tests.links.flow_ledger import Ledger
    from tests.links.flow_router import Router
    from tests.links.flow_world import World

MOST_ITEMS = 30
_PAUSE = 0.02
"""Seconds between two handfuls of items, on average."""


class Passage(msgspec.Struct, eq=False):
    """One tunnel, as both of its sides know it in the end. ``opener`` and ``server`` say how it ended there."""

    src: str
    dst: str
    lives: tuple[int, int]
    number: int
    count: int
    opener: str = "open"
    server: str = "open"

    def __str__(self) -> str:
        return f"tunnel {self.number} {self.src}->{self.dst}, lives {self.lives}: {self.opener}, {self.server}"


class Side(msgspec.Struct, eq=False):
    """One side of it: the lanes on which it sends and hears, and how many items went and came."""

    passage: Passage
    peer: str
    out: int
    come: int
    opens: bool
    sent: int = 0
    came: int = 0
    closed: bool = False

    def ends(self, how: str) -> None:
        if self.opens:
            self.passage.opener = how
        else:
            self.passage.server = how


class Tunnelling:
    """The tunnels of one life of a router."""

    def __init__(self, router: Router, world: World, ledger: Ledger) -> None:
        self._router = router
        self._world = world
        self._ledger = ledger
        self._passages = ledger.passages
        self._random = world.tunnels
        self._life = router.incarnation
        self._sides: dict[tuple[str, int], Side] = {}

    # The two sides

    def open(self, other: Router) -> None:
        router = self._router
        row = router.publish(other.name, Payload(b"open"), kind=OPEN)
        if row is None:
            return
        number = row.item.number
        lives = (self._life, other.incarnation)
        passage = Passage(router.name, other.name, lives, number, self._random.randint(0, MOST_ITEMS))
        self._passages[router.name, self._life, number] = passage
        self._begin(Side(passage, other.name, EVENTS + 2 * number - 1, EVENTS + 2 * number, opens=True))

    def serve(self, news: Delivered) -> None:
        """An OPEN came; one of a life that is over opens nothing."""
        origin, number = news.data.origin, news.data.event
        if self._router.exchange.peer(news.peer).incarnation == origin:
            passage = self._passages[news.peer, origin, number]
            side = Side(passage, news.peer, EVENTS + 2 * number, EVENTS + 2 * number - 1, opens=False)
            self._begin(side)
            self._push(side, side.out, CREDIT, 1)
            self._pour(side)

    def _begin(self, side: Side) -> None:
        self._sides[side.peer, side.come] = side
        self._router.exchange.lanes.expect(side.peer, side.come)

    def _push(self, side: Side, lane: int, kind: int, number: int = 0) -> None:
        now = self._world.now
        item = Item(kind, "", Payload(b"i"), self._life, number, now, ref=side.passage.number, tag=side)
        self._router.exchange.push(side.peer, lane, item, now)

    def _pour(self, side: Side) -> None:
        """Send a handful of items, and after the last the end of this half."""
        if self._sides.get((side.peer, side.come)) is not side or not self._alive:
            return
        for _ in range(min(self._random.randint(1, 10), side.passage.count - side.sent)):
            side.sent += 1
            self._ledger.counts["items"] += 1
            self._push(side, side.out, ITEM, side.sent)
        if side.sent < side.passage.count:
            self._world.after(self._random.expovariate(1 / _PAUSE), self._pour, side)
        elif side.opens:
            self._push(side, side.out, CLOSE)
        else:
            self._answer(side)
        self._router.turn()

    def _answer(self, side: Side) -> None:
        """Once both halves are over, the server says so, and forgets the tunnel when that has arrived."""
        if side.closed and side.sent == side.passage.count:
            self._finish(side, REPLY, "done")

    def _finish(self, side: Side, kind: int, how: str) -> None:
        del self._sides[side.peer, side.come]
        side.ends(how)
        self._push(side, side.out, kind)
        self._router.exchange.lanes.finish(side.peer, side.out, side.come)

    def _drop(self, side: Side, how: str) -> None:
        del self._sides[side.peer, side.come]
        side.ends(how)
        lanes = self._router.exchange.lanes
        lanes.drop(side.peer, side.out)
        lanes.refuse(side.peer, side.come, self._world.now)

    @property
    def _alive(self) -> bool:
        return self._router.alive and self._router.incarnation == self._life

    # What comes

    def take(self, news: Delivered) -> None:
        data = news.data
        come = EVENTS + 2 * data.ref - 1 if data.kind == CANCEL else data.lane
        side = self._sides.get((news.peer, come))
        if side is None:
            return
        if data.kind == ITEM:
            self._item(side, data.event)
        elif data.kind == CREDIT:
            self._pour(side)
        elif data.kind == CLOSE:
            self._whole(side)
            side.closed = True
            self._answer(side)
        elif data.kind == REPLY:
            self._whole(side)
            self._drop(side, "done")
        else:
            self._drop(side, "lost")

    def _item(self, side: Side, number: int) -> None:
        if number != side.came + 1 or side.closed:
            raise Violation(f"{side.passage}: item {number} came after {side.came}, closed: {side.closed}")
        side.came = number

    def _whole(self, side: Side) -> None:
        if side.came != side.passage.count:
            raise Violation(f"{side.passage}: its half ended after {side.came} of {side.passage.count} items")

    # What breaks

    def lost(self, news: LaneLost) -> None:
        """The other side knows nothing of it."""
        for side in [side for side in self._sides.values() if (side.peer, side.out) == (news.peer, news.lane)]:
            self.break_off(side)

    def gap(self, news: Gap) -> None:
        """The other side has given up what it had sent."""
        side = self._sides.get((news.peer, news.lane))
        if side is not None:
            self.break_off(side)

    def break_off(self, side: Side) -> None:
        """It can't go on: the other side is told."""
        if self._sides.get((side.peer, side.come)) is not side:
            return
        if side.opens:
            self._drop(side, "lost")
            self._push(side, CONTROL, CANCEL)
        else:
            self._finish(side, ERROR, "lost")

    def unopened(self, peer: str, number: int) -> None:
        """The OPEN will not be delivered, or not be answered."""
        side = self._sides.get((peer, EVENTS + 2 * number))
        if side is not None:
            self._drop(side, "lost")

    def restarted(self, peer: str) -> None:
        """The other router has begun a new life, which the flows know already."""
        for side in [side for side in self._sides.values() if side.peer == peer]:
            del self._sides[side.peer, side.come]
            side.ends("lost")


def check_tunnels(ledger: Ledger, routers: list[Router], longest: float) -> None:
    """Once all is quiet: each tunnel is over, and where both sides have lived on, whole; and no lane is left."""
    named = {router.name: router for router in routers}
    if any(router.limits.retention != longest for router in routers):
        return  # Word of an end may have been given up, too.
    for passage in ledger.passages.values():
        src, dst = named[passage.src], named[passage.dst]
        whole = (passage.opener, passage.server) == ("done", "done")
        ledger.counts["tunnels whole" if whole else "tunnels lost"] += 1
        record = ledger.of(passage.src, passage.dst, passage.lives[0], passage.number)
        if not whole and (src.incarnation, dst.incarnation) == passage.lives and record.state == ACCEPTED:
            raise Violation(f"{passage}: did not come to its end, and nobody had died")
    for router in routers:
        for peer in router.exchange.peers.values():
            left = [lane for lane in (*peer.sends, *peer.receives, *peer.expected) if lane > EVENTS]
            if left and peer.incarnation == named[peer.name].incarnation:
                raise Violation(f"{router.name}->{peer.name}: lanes {left} are kept when all is quiet")
