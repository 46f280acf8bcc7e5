"""Where the guarantee of docs/delivery.md ends: what exactly each case loses, repeats or disorders, and the remedy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edri_sim import DeadLetter, Manager, Node, Notification, Request, Simulation, Topology, event, handles, part, trace
from edri_sim.errors import ProviderLost
from edri_sim.events import event_type
from edri_sim.faults import Crash, Fault, Kill, OneWay, Outage
from edri_sim.links.connector import Connector
from edri_sim.links.fabric import Hub
from edri_sim.links.permissions import Permissions
from edri_sim.links.reports import FlowGap
from tests.worlds import World, until


@event(name="bounds.Note")
class Note(Notification):
    number: int


@event(name="bounds.Charge", ack="handled")
class Charge(Notification):
    number: int


@event(name="bounds.Pay")
class Pay(Request[int]):
    number: int


@event(name="bounds.PayAgain", idempotent=True)
class PayAgain(Request[int]):
    number: int


@event(name="bounds.Flood")
class Flood(Request[int]):
    count: int


class Heard(NamedTuple):
    number: int
    event_id: str
    redelivered: bool


class Book:
    """What handlers did to the world: it outlives their nodes, as a database would."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.letters: list[DeadLetter] = []
        self.gaps: list[FlowGap] = []

    @property
    def numbers(self) -> list[int]:
        return [each.number for each in self.heard]

    @property
    def once(self) -> list[int]:
        """The same with the event id as the key: what was done before is not done again."""
        return list({each.event_id: each.number for each in self.heard}.values())


class Ear(Manager):
    """Notes what it hears ``before`` seconds after it came, and is busy with it for ``after`` seconds more."""

    def __init__(self, book: Book, before: float = 0.0, after: float = 0.0) -> None:
        self.book = book
        self.before = before
        self.after = after

    @handles
    async def note(self, event: Note) -> None:
        await self._take(event.number)

    @handles
    async def charge(self, event: Charge) -> None:
        await self._take(event.number)

    async def _take(self, number: int) -> None:
        await asyncio.sleep(self.before)
        self.book.heard.append(Heard(number, self.delivery.event_id, self.delivery.redelivered))
        await asyncio.sleep(self.after)


class Reports(Manager):
    def __init__(self, book: Book) -> None:
        self.book = book

    @handles
    async def letter(self, event: DeadLetter) -> None:
        self.book.letters.append(event)

    @handles
    async def gap(self, event: FlowGap) -> None:
        self.book.gaps.append(event)


def two(book: Book, *, durable: bool = False, before: float = 0.0, after: float = 0.0) -> Topology:
    """Node a publishes, node b hears, and the hub is between them."""
    topology = Topology("two")
    topology.switch("hub")
    topology.node("a", part(Reports, book), switch="hub", durable=durable)
    topology.node("b", part(Ear, book, before, after), part(Reports, book), switch="hub")
    return topology


def simulate(topology: Topology, main: Callable[[Simulation], Coroutine[Any, Any, None]], *faults: Fault) -> None:
    with Simulation(topology, seed=7, faults=faults) as simulation:
        simulation.run(main(simulation))


async def at(simulation: Simulation, when: float) -> None:
    await asyncio.sleep(when - simulation.now)


async def publish(simulation: Simulation, events: Iterable[Notification]) -> None:
    for each in events:
        await simulation.node("a").notify(each)


FIVE = [1, 2, 3, 4, 5]
PAGE = Path(__file__).parents[2] / "docs" / "delivery.md"


def test_each_case_of_the_page_names_its_tests_and_there_are_no_others() -> None:
    named = re.findall(r"`(test_\w+)`", PAGE.read_text(encoding="utf-8"))
    here = [name for name in globals() if name.startswith("test_")][1:]
    assert named == here


@pytest.mark.parametrize(("durable", "arrive"), [(False, []), (True, FIVE)])
@pytest.mark.parametrize("death", [Kill, Crash])
def test_a_memory_outbox_dies_with_its_process_and_a_durable_one_does_not(
    durable: bool, arrive: list[int], death: type[Kill | Crash]
) -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Note)
        await at(simulation, 2)
        await publish(simulation, map(Note, FIVE))
        await at(simulation, 30)
        assert book.numbers == arrive
        assert not book.gaps
        assert not book.letters  # Who could have reported it is no more.

    faults = [Outage("a", "hub", at=1, duration=9), death("a", at=3, restart_after=1)]
    simulate(two(book, durable=durable), main, *faults)


@pytest.mark.parametrize(("kind", "heard"), [(Note, []), (Charge, FIVE)])
def test_a_receiver_that_dies_before_its_handlers_loses_what_it_acknowledged_unless_ack_is_handled(
    kind: type[Note | Charge], heard: list[int]
) -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(kind)
        await at(simulation, 1)
        await publish(simulation, map(kind, FIVE))
        await at(simulation, 30)
        assert book.numbers == heard
        assert all(each.redelivered for each in book.heard)

    simulate(two(book, before=1.0), main, Crash("b", at=1.5, restart_after=1))


@pytest.mark.parametrize("kind", [Note, Charge])
def test_a_receiver_that_dies_after_its_handlers_and_before_the_ack_handles_twice_under_one_event_id(
    kind: type[Note | Charge],
) -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(kind)
        await at(simulation, 1)
        await publish(simulation, map(kind, FIVE))
        await at(simulation, 30)
        assert book.numbers == FIVE + FIVE
        assert [each.redelivered for each in book.heard] == [False] * 5 + [True] * 5
        assert book.once == FIVE  # The remedy.

    # Nothing of what b says comes to a.
    simulate(two(book), main, OneWay("b", "hub", at=0.9, duration=2), Crash("b", at=1.5, restart_after=3))


def test_what_is_published_before_the_subscription_is_known_is_for_nobody_and_subscribed_waits_for_it() -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        await at(simulation, 1)
        await publish(simulation, [Note(1)])
        assert simulation.now < 5
        await simulation.node("a").subscribed(Note, timeout=60)  # The remedy.
        assert simulation.now > 5
        await publish(simulation, [Note(2)])
        await at(simulation, 30)
        assert book.numbers == [2]
        assert not book.gaps
        assert not book.letters

    simulate(two(book), main, Outage("b", "hub", at=0, duration=5))


def test_an_outage_beyond_the_retention_is_reported_at_both_ends_and_what_it_cost_can_be_published_again() -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Note)
        await at(simulation, 2)
        await publish(simulation, map(Note, FIVE))
        await at(simulation, 680)
        await publish(simulation, [Note(6)])
        await at(simulation, 720)
        assert book.numbers == [6]
        assert [(each.node, each.source, each.target, each.first, each.last) for each in book.gaps] == [
            (node, "a", "b", place, place) for node in ("a", "b") for place in FIVE
        ]
        assert [letter.reason for letter in book.letters] == ["given up for b: retention"] * 5
        codec = event_type(Note).codec
        await publish(simulation, [codec.decode(letter.payload) for letter in book.letters])  # The remedy.
        await at(simulation, 730)
        assert book.numbers == [6, *FIVE]

    simulate(two(book), main, Outage("b", "hub", at=1, duration=699))


def test_an_outbox_restored_from_a_copy_repeats_what_had_arrived_and_loses_what_came_after_the_copy() -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        host = simulation.hosts["a"]
        await simulation.node("a").subscribed(Note)
        await at(simulation, 2)
        await publish(simulation, map(Note, FIVE))
        copy = host._disks["a"]._connection().serialize()
        await at(simulation, 15)
        assert book.numbers == FIVE
        await publish(simulation, [Note(6)])
        await at(simulation, 21)
        await publish(simulation, [Note(7)])  # It waits: the link is cut again.
        await at(simulation, 22.5)
        host._disks["a"]._connection().deserialize(copy)
        await at(simulation, 60)
        assert book.numbers == [*FIVE, 6, *FIVE]
        assert [each.redelivered for each in book.heard] == [False] * 6 + [True] * 5
        assert book.once == [*FIVE, 6]  # The remedy for the repeats; 7 was in the lost database alone.
        await publish(simulation, [Note(8)])
        await at(simulation, 70)
        assert book.numbers[-1] == 8  # The flow goes on.

    faults = [Outage("b", "hub", at=1, duration=9), Outage("a", "hub", at=20, duration=9)]
    simulate(two(book, durable=True), main, *faults, Crash("a", at=22, restart_after=1))


def test_there_is_no_order_across_senders() -> None:
    book = Book()
    topology = two(book)
    topology.node("c", switch="hub")
    topology.link("a", "hub", latency=1.0)

    async def main(simulation: Simulation) -> None:
        for name in ("a", "c"):
            await simulation.node(name).subscribed(Note, timeout=60)
        await at(simulation, 20)  # By now everybody has said to everybody what they want.
        for number in (1, 3):
            await simulation.node("a").notify(Note(number))
            await simulation.node("c").notify(Note(number + 1))
        await asyncio.sleep(10)
        assert book.numbers == [2, 4, 1, 3]

    simulate(topology, main)


class Flooder(Manager):
    @handles
    async def flood(self, event: Flood) -> int:
        for number in range(event.count):
            await self.notify(Note(number))
        return event.count


def test_there_is_no_order_across_lanes_so_a_reply_may_pass_what_was_published_before_it() -> None:
    book = Book()
    topology = Topology("lanes")
    topology.switch("hub")
    topology.node("a", part(Ear, book, 1.0), switch="hub")
    topology.node("b", Flooder, switch="hub")

    async def main(simulation: Simulation) -> None:
        await simulation.node("b").subscribed(Note)
        assert await simulation.node("a").request(Flood(4_000), timeout=60) == 4_000
        arrived = [row for row in simulation.recorder.rows() if row[1] == trace.DELIVERED]
        assert len(arrived) < 4_000
        await at(simulation, 60)
        assert book.numbers == list(range(4_000))  # In one lane all is in order.

    simulate(topology, main)


class Payer(Manager):
    """Pays at once, and says so two seconds later."""

    def __init__(self, book: Book) -> None:
        self.book = book

    @handles
    async def pay(self, event: Pay) -> int:
        return await self._pay(event.number)

    @handles
    async def pay_again(self, event: PayAgain) -> int:
        return await self._pay(event.number)

    async def _pay(self, number: int) -> int:
        self.book.heard.append(Heard(number, self.delivery.event_id, self.delivery.redelivered))
        await asyncio.sleep(2)
        return number


def paying(book: Book) -> Topology:
    topology = Topology("paying")
    topology.switch("hub")
    topology.node("a", switch="hub")
    topology.node("b", part(Payer, book), switch="hub")
    return topology


def test_of_a_worker_killed_after_its_side_effect_the_requester_knows_no_more_than_that_it_was_lost() -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        with pytest.raises(ProviderLost, match="was lost before it replied"):
            await simulation.node("a").request(Pay(1), timeout=20)
        assert book.numbers == [1]

    simulate(paying(book), main, Kill("b", at=1.5, restart_after=1))


def test_an_idempotent_request_is_sent_again_under_its_event_id_and_marked() -> None:
    book = Book()

    async def main(simulation: Simulation) -> None:
        assert await simulation.node("a").request(PayAgain(1), timeout=20) == 1
        assert book.numbers == [1, 1]
        assert [each.redelivered for each in book.heard] == [False, True]
        assert book.once == [1]  # The remedy.

    simulate(paying(book), main, Kill("b", at=1.5, restart_after=1))


def test_what_is_rejected_is_settled_reported_and_holds_nothing_up(world: World) -> None:
    book = Book()
    allowed = Permissions({"a": {"publish": ["bounds.Charge"]}})

    async def main() -> None:
        hub = Hub()
        a = Node("a", part(Reports, book), uplink=lambda _: Connector(lambda *_: hub.port()))
        b = Node("b", part(Ear, book), uplink=lambda _: Connector(lambda *_: hub.port(), permissions=allowed))
        async with b, a:
            for kind in (Note, Charge):
                await a.subscribed(kind)
            for number in FIVE:
                await a.notify(Note(number))
                await a.notify(Charge(number))
            await a.settled()
            await until(lambda: len(book.letters) == 5 and len(book.heard) == 5)

    world.run(main)
    assert book.numbers == FIVE
    assert {letter.type for letter in book.letters} == {"bounds.Note"}
    assert {letter.reason for letter in book.letters} == {"rejected by b: not allowed"}
    assert book.gaps == []
