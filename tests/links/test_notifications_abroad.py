"""Notifications between nodes: to all who want them, in order, once; and what becomes of those that find no room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import DeadLetter, Manager, Node, Notification, event, handles
from edri_sim.errors import CodecError, EventTooLarge, NoRoute, OutboxFull
from edri_sim.links import publisher
from edri_sim.links.flow.items import Limits
from edri_sim.links.reports import FlowGap
from edri_sim.managers.pool import Pool
from edri_sim.managers.worker import Worker
from edri_sim.routing.mailbox import Overflow, drop_newest, drop_oldest, wait
from tests.links.cluster import Cluster, connector_of, present
from tests.runtime.cast import Ear, Enter, Gate, Letters, Told
from tests.worlds import World, turns, until


@event(delivery="latest")
class Reading(Notification):
    number: int = 0


@event
class Shape(Notification):
    name: str = ""


@event
class Circle(Shape):
    radius: float = 1.0


@event
class Square(Shape):
    side: float = 1.0


class Gaps(Manager):
    """Keeps reports of what was given up, and dead letters."""

    def __init__(self) -> None:
        self.list: list[FlowGap] = []
        self.letters: list[DeadLetter] = []

    @handles
    async def gap(self, event: FlowGap) -> None:
        self.list.append(event)

    @handles
    async def letter(self, event: DeadLetter) -> None:
        self.letters.append(event)

    def places(self) -> list[int]:
        return [place for gap in self.list for place in range(gap.first, gap.last + 1)]


def test_every_node_that_wants_it_gets_it_once_and_in_order(world: World, cluster: Cluster) -> None:
    ears = {name: Ear() for name in "abc"}

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a", lambda: ears["a"]) as a,
            cluster.node("b", lambda: ears["b"]) as b,
            cluster.node("c", lambda: ears["c"]) as c,
            cluster.node("d") as d,
        ):
            for node in (a, b, c, d):
                await node.subscribed(Told, 3)
            for number in range(100):
                await d.notify(Told(number))
                await a.notify(Told(100 + number))
            await a.settled()
            await d.settled()
            await until(lambda: all(len(ear.heard) == 200 for ear in ears.values()))

    world.run(main)
    for ear in ears.values():
        assert [number for number in ear.heard if number < 100] == list(range(100))
        assert [number for number in ear.heard if number >= 100] == list(range(100, 200))


def test_one_payload_is_held_once_for_all(world: World) -> None:
    async def main() -> None:
        cluster = Cluster("memory")
        async with cluster, cluster.node("a") as a, cluster.node("b", Ear) as b, cluster.node("c", Ear) as c:
            await a.subscribed(Told, 2)
            await present(a, b, c)
            cluster.ports["a"].unplug()
            await a.notify(Told(1))
            exchange = connector_of(a).exchange
            assert sum(out.events for peer in exchange.peers.values() for out in peer.sends.values()) == 2
            assert exchange.bytes == len(Told.__edri__.codec.encode(Told(1)))  # type: ignore[attr-defined]
            cluster.ports["a"].plug()
            await a.settled()
            assert exchange.bytes == 0

    world.run(main)


def test_a_base_class_is_wanted_for_all_that_derives_from_it(world: World, cluster: Cluster) -> None:
    heard: list[Any] = []

    class Shapes(Manager):
        @handles
        async def shape(self, event: Shape) -> None:
            heard.append(("shape", event))

        @handles
        async def circle(self, event: Circle) -> None:
            heard.append(("circle", event))

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Shapes):
            for shape in (Shape("any"), Circle("round", 2.0), Square("edgy", 3.0)):
                await a.subscribed(type(shape))
                await a.notify(shape)
            await until(lambda: len(heard) == 3)

    world.run(main)
    assert heard == [("shape", Shape("any")), ("circle", Circle("round", 2.0)), ("shape", Square("edgy", 3.0))]


def test_subscribed_counts_nodes_and_says_who_is_there_when_it_gives_up(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a", Ear) as a, cluster.node("b", Ear):
            await a.subscribed(Told)
            await a.subscribed(Told, 2)
            with pytest.raises(NoRoute, match=r"Told: b, a wants it after 0\.1 s, and 3 should"):
                await a.subscribed(Told, 3, timeout=0.1)
            waiting = asyncio.ensure_future(a.subscribed(Told, 3))
            await turns(5)
            assert not waiting.done()
            async with cluster.node("c", Ear):
                await waiting

    world.run(main)


def test_who_comes_late_hears_what_is_said_from_then_on(world: World, cluster: Cluster) -> None:
    ear = Ear()

    async def main() -> None:
        async with cluster, cluster.node("a") as a:
            await a.notify(Told(1))
            async with cluster.node("b", lambda: ear):
                await a.subscribed(Told)
                await a.notify(Told(2))
                await until(lambda: ear.heard)
            await until(lambda: not connector_of(a).book.subscribers("Told"))
            await a.notify(Told(3))
            assert not connector_of(a).busy

    world.run(main)
    assert ear.heard == [2]


def test_the_first_notification_of_a_type_waits_until_the_others_have_said_whether_they_want_it(
    world: World, cluster: Cluster
) -> None:
    ear = Ear()

    async def main() -> None:
        async with cluster, cluster.node("b", lambda: ear) as b, cluster.node("a", route_grace=5.0) as a:
            await present(a, b)
            await a.notify(Told(1))
            await until(lambda: ear.heard == [1])

    world.run(main)


class Slow(Manager):
    """An actor that hears one number at a time, and waits for the test at the first."""

    concurrency = 1
    queue = 4

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def told(self, event: Told) -> None:
        if not self.heard:
            await self.request(Enter("told"))
        self.heard.append(event.number)


def slow(policy: Overflow) -> Slow:
    return type("Slow", (Slow,), {"overflow": policy})()


COUNT, WINDOW, OUTBOX = 60, 8, 10


async def flood(cluster: Cluster, listener: Slow, gate: Gate, letters: Letters, room: int) -> tuple[int, int]:
    """Publish more than fits anywhere; returns how many were taken before the gate was opened, and how many in all."""
    limits = Limits(window=WINDOW, events=room)
    published = 0

    async def publish(node: Node) -> None:
        nonlocal published
        for number in range(COUNT):
            await node.notify(Told(number))
            published += 1
            if not number:
                await until(lambda: gate.waiting)

    async with (
        cluster,
        cluster.node("a", limits=limits) as a,
        cluster.node("b", lambda: listener, lambda: gate, lambda: letters, limits=limits),
    ):
        await a.subscribed(Told)
        publishing = asyncio.ensure_future(publish(a))
        await asyncio.sleep(0.3)
        before = published
        gate.open()
        await publishing
        await a.settled()
        await until(lambda: len(listener.heard) + len(letters.list) >= COUNT)
    return before, published


def test_a_full_mailbox_elsewhere_shrinks_the_window_and_its_publisher_waits(world: World, cluster: Cluster) -> None:
    listener, gate, letters = slow(wait(20)), Gate(), Letters()
    before, published = world.run(lambda: flood(cluster, listener, gate, letters, OUTBOX))
    # One is handled, four are queued, a window is parked, an outbox is full, and one publisher waits.
    assert before <= 1 + Slow.queue + WINDOW + OUTBOX
    assert published == COUNT
    assert listener.heard == list(range(COUNT))
    assert letters.list == []


@pytest.mark.parametrize("policy", [drop_oldest, drop_newest], ids=["oldest", "newest"])
def test_what_a_full_mailbox_drops_is_a_dead_letter_there(world: World, cluster: Cluster, policy: Overflow) -> None:
    listener, gate, letters = slow(policy), Gate(), Letters()
    before, published = world.run(lambda: flood(cluster, listener, gate, letters, 10_000))
    assert before == published == COUNT
    kept = [0, *range(COUNT - Slow.queue, COUNT)] if policy is drop_oldest else list(range(1 + Slow.queue))
    assert listener.heard == kept
    assert len(letters.list) == COUNT - len(kept)
    assert {(letter.node, letter.type) for letter in letters.list} == {("b", "Told")}
    assert {letter.reason.startswith("mailbox full") for letter in letters.list} == {True}


def test_a_wait_in_vain_for_a_mailbox_elsewhere_is_a_dead_letter_there(world: World, cluster: Cluster) -> None:
    listener, gate, letters = slow(wait(0.05)), Gate(), Letters()
    world.run(lambda: flood(cluster, listener, gate, letters, 10_000))
    assert listener.heard[: 1 + Slow.queue] == list(range(1 + Slow.queue))
    assert len(listener.heard) + len(letters.list) == COUNT
    assert {letter.reason for letter in letters.list} == {"no room within 0.05 s"}


def test_no_room_in_the_outbox_in_time_is_an_error_that_names_the_router(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE", 0.1)
    ears, gaps = (Ear(), Ear()), Gaps()

    async def main() -> None:
        cluster = Cluster("memory")
        async with (
            cluster,
            cluster.node("a", lambda: gaps, limits=Limits(events=3)) as a,
            cluster.node("b", lambda: ears[0]),
            cluster.node("c", lambda: ears[1]),
        ):
            await a.subscribed(Told, 2)
            cluster.ports["b"].unplug()
            for number in range(3):
                await a.notify(Told(number))
            with pytest.raises(OutboxFull, match=r"the outbox for b had no room within 0\.1 s: publish more slowly"):
                await a.notify(Told(3))
            cluster.ports["b"].plug()
            await a.settled()
            await until(lambda: len(ears[0].heard) == 3)
            await until(lambda: gaps.letters)

    world.run(main)
    assert ears[0].heard == [0, 1, 2]
    assert ears[1].heard == [0, 1, 2, 3]
    assert [(letter.type, letter.reason) for letter in gaps.letters] == [
        ("Told", "outbox full: no room for b within 0.1 s")
    ]


def test_a_publisher_that_waits_for_the_outbox_goes_on_when_there_is_room(world: World) -> None:
    ear = Ear()

    async def main() -> None:
        cluster = Cluster("memory")
        async with cluster, cluster.node("a", limits=Limits(events=2)) as a, cluster.node("b", lambda: ear):
            await a.subscribed(Told)
            cluster.ports["b"].unplug()
            for number in range(2):
                await a.notify(Told(number))
            late = asyncio.ensure_future(a.notify(Told(2)))
            await turns(5)
            assert not late.done()
            cluster.ports["b"].plug()
            await late
            await until(lambda: ear.heard == [0, 1, 2])

    world.run(main)


def test_a_publisher_that_is_cancelled_while_it_waits_leaves_nothing_behind(world: World) -> None:
    ear = Ear()

    async def main() -> None:
        cluster = Cluster("memory")
        async with cluster, cluster.node("a", limits=Limits(events=2)) as a, cluster.node("b", lambda: ear):
            await a.subscribed(Told)
            cluster.ports["b"].unplug()
            for number in range(2):
                await a.notify(Told(number))
            late = asyncio.ensure_future(a.notify(Told(2)))
            await turns(5)
            late.cancel()
            await turns(5)
            cluster.ports["b"].plug()
            await a.settled()
            assert not connector_of(a).busy

    world.run(main)
    assert ear.heard == [0, 1]


@event
class Blob(Notification):
    data: bytes


def test_what_is_too_large_or_does_not_fit_is_refused_where_it_is_published(world: World, cluster: Cluster) -> None:
    got: list[int] = []

    class Blobs(Manager):
        @handles
        async def blob(self, event: Blob) -> None:
            got.append(len(event.data))

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Blobs):
            await a.subscribed(Blob)
            with pytest.raises(EventTooLarge, match="Blob is 2000011 bytes, and at most 1047552 travel"):
                await a.notify(Blob(b"x" * 2_000_000))
            with pytest.raises(CodecError, match=r"Blob\.data: expected bytes"):
                await a.notify(Blob("text"))  # type: ignore[arg-type]
            await a.notify(Blob(b"x" * 1_000_000))
            await until(lambda: got)

    world.run(main)
    assert got == [1_000_000]


def test_of_the_latest_the_oldest_are_given_up_and_both_ends_hear_the_exact_range(world: World) -> None:
    heard: list[int] = []
    at_a, at_b = Gaps(), Gaps()

    class Reader(Manager):
        @handles
        async def reading(self, event: Reading) -> None:
            heard.append(event.number)

    async def main() -> None:
        cluster = Cluster("memory")
        async with (
            cluster,
            cluster.node("a", lambda: at_a, limits=Limits(events=5)) as a,
            cluster.node("b", Reader, lambda: at_b),
        ):
            await a.subscribed(Reading)
            await a.notify(Reading(0))
            await a.settled()
            cluster.ports["b"].unplug()
            for number in range(1, 21):
                await a.notify(Reading(number))
            cluster.ports["b"].plug()
            await a.settled()
            await until(lambda: len(at_b.places()) == 15)

    world.run(main)
    assert heard == [0, *range(16, 21)]
    assert at_a.places() == at_b.places() == list(range(2, 17))  # Their places: the first was number 0.
    assert {(gap.node, gap.source, gap.target) for gap in at_a.list} == {("a", "a", "b")}
    assert {(gap.node, gap.source, gap.target) for gap in at_b.list} == {("b", "a", "b")}
    assert len(at_a.letters) == 15


def test_two_pools_and_a_manager_of_one_node_get_one_copy_each(world: World, cluster: Cluster) -> None:
    heard: list[str] = []

    class Inner(Worker):
        @handles
        async def told(self, event: Told) -> None:
            heard.append("worker")

    class Outer(Manager):
        pool = Pool(Inner)
        other = Pool(Inner)

        @handles
        async def told(self, event: Told) -> None:
            heard.append("manager")

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Outer):
            await a.subscribed(Told)
            await a.notify(Told(1))
            await until(lambda: len(heard) == 3)

    world.run(main)
    assert sorted(heard) == ["manager", "worker", "worker"]
