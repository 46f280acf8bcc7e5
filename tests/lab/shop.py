"""A small system, in a module of its own so that files can name its parts."""

from __future__ import annotations

from edri_sim import Manager, Notification, Pool, Request, Topology, Worker, event, handles, part


@event(name="lab.Order")
class Order(Request[int]):
    """Buy something; the reply is how many were bought."""

    number: int


@event(name="lab.Sold")
class Sold(Notification):
    """Something was bought."""

    number: int


class Seller(Worker):
    """Takes an order."""

    @handles
    async def order(self, event: Order) -> int:
        return event.number


class Shop(Manager):
    """Sells, with two sellers."""

    sellers = Pool(Seller, size=2)


class Corner(Manager):
    """Sells, with one seller and a short queue."""

    sellers = Pool(Seller, queue=3)


class Press(Manager):
    """Sells too, with two workers in processes of their own."""

    printers = Pool(Seller, mode="process", size=2)


class Books(Manager):
    """Keeps the books; ``limit`` is the most that it remembers."""

    def __init__(self, limit: int = 10, *, title: str = "") -> None:
        self.limit = limit
        self.title = title
        self.sold: list[int] = []

    @handles
    async def on_sold(self, event: Sold) -> None:
        self.sold.append(event.number)


NO_PART = 7


def order(number: int) -> Order:
    return Order(number)


def sold(number: int) -> Sold:
    return Sold(number)


def street() -> Topology:
    """A door, which has nothing, the shop and its books, around one switch."""
    topology = Topology("street")
    topology.switch("hub")
    topology.node("door", switch="hub")
    topology.node("shop", Shop, switch="hub", cores=2)
    topology.node("office", part(Books, 5, title="sales"), switch="hub")
    topology.link("shop", "hub", latency=0.002)
    return topology


def corner() -> Topology:
    """One node, which sells on its own."""
    topology = Topology("corner")
    topology.node("corner", Corner)
    return topology
