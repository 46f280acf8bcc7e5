"""A shop on three machines: the web takes orders, the stock room gives out what there is, and mail tells the customer.

Nobody knows where anybody is. An event finds its way by its type, over the one switch that all three are joined to.

    edri-sim up examples/three_routers/system.py:topology    # each a process of its own, on this machine
    python examples/three_routers/drive.py                   # customers, from one more process
    python examples/three_routers/simulate.py                # the same customers, in simulated time
"""

from __future__ import annotations

from edri_sim import Manager, Notification, Request, Topology, event, handles

GOODS = {"anvil": 40, "bell": 40, "compass": 40}
"""What the stock room has in the morning."""
FEW = 5
"""Pieces left at which the supplier is told."""


@event
class Buy(Request[int | None]):
    """A customer wants one piece; the reply is the number of the order, or None where nothing is left."""

    customer: str
    goods: str


@event
class TakeOut(Request[int | None]):
    """Take one piece from the shelf; the reply is how many are left, or None where there was none to take."""

    goods: str


@event
class Sold(Notification):
    order: int
    customer: str
    goods: str


@event
class RunningLow(Notification):
    goods: str
    left: int


@event
class CountLetters(Request[dict[str, int]]):
    """How many letters were written, by kind."""


class Counter(Manager):
    """On the node ``web``."""

    async def start(self) -> None:
        self.orders = 0

    @handles
    async def buy(self, event: Buy) -> int | None:
        if await self.request(TakeOut(event.goods), timeout=2) is None:
            return None
        self.orders += 1
        order = self.orders
        await self.notify(Sold(order, event.customer, event.goods))
        return order


class Shelves(Manager):
    """On the node ``stock``."""

    async def start(self) -> None:
        self.left = dict(GOODS)

    @handles
    async def take_out(self, event: TakeOut) -> int | None:
        left = self.left.get(event.goods, 0) - 1
        if left < 0:
            return None
        self.left[event.goods] = left
        if left == FEW:
            await self.notify(RunningLow(event.goods, left))
        return left


class Letters(Manager):
    """On the node ``mail``."""

    async def start(self) -> None:
        self.written = {"to customers": 0, "to suppliers": 0}

    @handles
    async def sold(self, event: Sold) -> None:
        self.written["to customers"] += 1

    @handles
    async def running_low(self, event: RunningLow) -> None:
        self.written["to suppliers"] += 1

    @handles
    async def count(self, event: CountLetters) -> dict[str, int]:
        return self.written


topology = Topology("shop")
topology.switch("hub", address="127.0.0.1:7400")
topology.node("web", Counter, switch="hub")
topology.node("stock", Shelves, switch="hub")
topology.node("mail", Letters, switch="hub")
