"""Two programs that know one event in different versions: what fits goes through, and what does not is told at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest

from edri_sim import Manager, Notification, Request, event, handles
from edri_sim.errors import NoRoute
from edri_sim.events import registry
from tests.links.cluster import Cluster
from tests.worlds import Records, World, quick, records, until


class Program:
    """The event types of one program of its own: what is declared, or started, inside the block knows no others."""

    def __init__(self) -> None:
        self._own = dict(registry._by_name)

    def __enter__(self) -> None:
        self._own, registry._by_name = registry._by_name, self._own

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._own, registry._by_name = registry._by_name, self._own


old, new, other = Program(), Program(), Program()

with old:

    @event(name="versions.Order")
    class OldOrder(Notification):
        item: str
        note: str = "none"

    @dataclass(frozen=True)
    class OldBill:
        total: int

    @event(name="versions.Pay")
    class OldPay(Request[OldBill]):
        item: str


with new:

    @event(name="versions.Order")
    class NewOrder(Notification):
        item: str
        count: int = 1

    @dataclass(frozen=True)
    class NewBill:
        total: int
        currency: str = "EUR"

    @event(name="versions.Pay")
    class NewPay(Request[NewBill]):
        item: str
        voucher: str = ""


with other:

    @event(name="versions.Order")
    class OtherOrder(Notification):
        item: str
        weight: float

    @dataclass(frozen=True)
    class OtherBill:
        total: str

    @event(name="versions.Pay")
    class OtherPay(Request[OtherBill]):
        item: str


class Shop(Manager):
    def __init__(self) -> None:
        self.orders: list[Any] = []


class OldShop(Shop):
    @handles
    async def order(self, event: OldOrder) -> None:
        self.orders.append(event)

    @handles
    async def pay(self, event: OldPay) -> OldBill:
        return OldBill(len(event.item))


class NewShop(Shop):
    @handles
    async def order(self, event: NewOrder) -> None:
        self.orders.append(event)

    @handles
    async def pay(self, event: NewPay) -> NewBill:
        return NewBill(len(event.item), "USD")


class OtherShop(Shop):
    @handles
    async def order(self, event: OtherOrder) -> None:
        self.orders.append(event)

    @handles
    async def pay(self, event: OtherPay) -> OtherBill:
        return OtherBill(event.item)


def told(log: Records, node: str) -> list[str]:
    """What a node's connector has to say of versions."""
    lines = [record for record in log.at("ERROR") if record.__dict__.get("node") == node]
    return [record.getMessage() for record in lines if "version" in record.getMessage()]


def test_a_field_with_a_default_fits_both_ways(world: World, cluster: Cluster) -> None:
    old_shop, new_shop = OldShop(), NewShop()

    async def main() -> None:
        async with cluster:
            a = cluster.node("a", lambda: old_shop)
            b = cluster.node("b", lambda: new_shop)
            with old:
                await a.start()
            with new:
                await b.start()
            await a.subscribed(OldOrder, 2)
            await b.subscribed(NewOrder, 2)
            await a.notify(OldOrder("pen", "blue"))
            await b.notify(NewOrder("ink", 3))
            await until(lambda: len(old_shop.orders) == len(new_shop.orders) == 2)
            await a.stop()
            await b.stop()

    with records() as log:
        world.run(main)
    assert sorted(old_shop.orders, key=str) == [OldOrder("ink"), OldOrder("pen", "blue")]
    assert sorted(new_shop.orders, key=str) == [NewOrder("ink", 3), NewOrder("pen", 1)]
    assert not log.at("ERROR")


@pytest.mark.parametrize("direction", ["old asks new", "new asks old"])
def test_requests_and_replies_fit_both_ways(world: World, cluster: Cluster, direction: str) -> None:
    async def main() -> Any:
        ask: Any = OldPay("pen") if direction == "old asks new" else NewPay("pen", "half")
        asking, answering, shop = (old, new, NewShop) if direction == "old asks new" else (new, old, OldShop)
        async with cluster:
            a, b = cluster.node("a"), cluster.node("b", shop)
            with asking:
                await a.start()
            with answering:
                await b.start()
            try:
                return await a.request(ask)
            finally:
                await a.stop()
                await b.stop()

    assert world.run(main) == (OldBill(3) if direction == "old asks new" else NewBill(3, "EUR"))


def test_a_subscriber_whose_version_does_not_fit_is_told_of_at_both_ends_and_sent_nothing(
    world: World, cluster: Cluster
) -> None:
    good, bad = OldShop(), OtherShop()

    async def main() -> None:
        async with cluster:
            a, b, c = cluster.node("a"), cluster.node("b", lambda: bad), cluster.node("c", lambda: good)
            with old:
                await a.start()
                await c.start()
            with other:
                await b.start()
            await a.subscribed(OldOrder)
            await until(lambda: told(log, "a") and told(log, "b"))
            for number in range(10):
                await a.notify(OldOrder(str(number)))
            await a.settled()
            await until(lambda: len(good.orders) == 10)
            await asyncio.sleep(0.3)
            with pytest.raises(NoRoute, match="c wants it after"):
                await a.subscribed(OldOrder, 2, timeout=0.1)
            for node in (a, b, c):
                await node.stop()

    with records() as log:
        world.run(main)
    assert bad.orders == []
    problem = "versions.Order in a version that does not fit ours, and so does not get through: weight: "
    (at_a,), (at_b,) = told(log, "a"), told(log, "b")
    assert at_a.startswith(f"node b wants {problem}")
    assert at_b.startswith(f"node a sends {problem}")
    assert not [record for record in log.list if "dead letter" in record.getMessage()]


def test_a_provider_whose_version_does_not_fit_is_not_asked(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster:
            a, b = cluster.node("a", **quick(route_grace=0.3)), cluster.node("b", OtherShop)
            with old:
                await a.start()
            with other:
                await b.start()
            with pytest.raises(NoRoute):
                await a.request(OldPay("pen"))
            await until(lambda: told(log, "a") and told(log, "b"))
            async with cluster.node("other", **quick()):
                pass
            with new:
                c = cluster.node("c", NewShop)
                await c.start()
            assert await a.request(OldPay("pen")) == OldBill(3)
            for node in (a, b, c):
                await node.stop()

    with records() as log:
        world.run(main)
    assert "the reply: total: " in told(log, "a")[0]


def test_a_subscriber_that_comes_back_in_a_version_that_fits_gets_what_is_sent_from_then_on(
    world: World, cluster: Cluster
) -> None:
    fits = NewShop()

    async def main() -> None:
        async with cluster:
            a, b = cluster.node("a"), cluster.node("b", OtherShop)
            with old:
                await a.start()
            with other:
                await b.start()
            await a.notify(OldOrder("lost on it"))
            await until(lambda: told(log, "b"))
            await b.stop()
            b = cluster.node("b", lambda: fits)
            with new:
                await b.start()
            await a.subscribed(OldOrder)
            await a.notify(OldOrder("pen"))
            await until(lambda: fits.orders)
            await a.stop()
            await b.stop()

    with records() as log:
        world.run(main)
    assert fits.orders == [NewOrder("pen")]
