"""Nodes that stop, stay away, come back and change their minds; and those who may not do all that they try."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import Manager, Notification, Simulation, Topology, event, handles
from edri_sim.errors import BadEvent, NoRoute
from edri_sim.links import others
from edri_sim.links.flow.items import Limits
from edri_sim.links.permissions import Permissions
from edri_sim.links.switch import SwitchConfig
from tests.links.cluster import Cluster, connector_of, present
from tests.runtime.cast import Ask, Ear, Echo, Enter, Gate, Held, Letters, Told
from tests.worlds import World, pool_of, quick, records, turns, until


@event(name="links.Other")
class OtherTold(Notification):
    number: int = 0


class BothEars(Manager):
    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    @handles
    async def told(self, event: Told) -> None:
        self.heard.append(("told", event.number))

    @handles
    async def other(self, event: OtherTold) -> None:
        self.heard.append(("other", event.number))


# Nodes that stop


def test_requests_turn_to_another_provider_when_theirs_stops(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("c", pool_of(Echo, size=2)):
            b = cluster.node("b", pool_of(Echo, size=2))
            await b.start()
            await a.subscribed(Ask, 2)
            asked = []
            for number in range(400):
                asked.append(asyncio.ensure_future(a.request(Ask(str(number)), timeout=10)))
                if number == 200:
                    stopping = asyncio.ensure_future(b.stop())
                await asyncio.sleep(0.0005)
            assert await asyncio.gather(*asked) == [str(number) for number in range(400)]
            await stopping

    with records() as log:
        world.run(main)
    assert not [record for record in log.list if "dead letter" in record.getMessage()]


def test_a_node_that_stops_takes_all_that_was_published_to_it_before(world: World, cluster: Cluster) -> None:
    ear, letters = Ear(), Letters()
    published = 0

    async def main() -> None:
        nonlocal published
        async with cluster, cluster.node("a", lambda: letters) as a:
            b = cluster.node("b", lambda: ear)
            await b.start()
            await a.subscribed(Told)
            for number in range(300):
                if connector_of(a).book.subscribers("Told"):
                    published += 1
                await a.notify(Told(number))
                if number == 100:
                    stopping = asyncio.ensure_future(b.stop())
                await turns(1)
            await stopping
            await a.settled()
            await until(lambda: len(ear.heard) + len(letters.list) >= published)

    world.run(main)
    assert len(ear.heard) >= 100
    assert ear.heard == list(range(published))
    assert letters.list == []


def test_what_a_node_has_taken_before_it_stops_is_no_dead_letter_at_its_sender(world: World, cluster: Cluster) -> None:
    ear, letters = Ear(), Letters()

    async def main() -> None:
        async with cluster, cluster.node("a", lambda: letters) as a:
            async with cluster.node("b", lambda: ear):
                await a.subscribed(Told)
                for number in range(7):  # Fewer than are acknowledged at once.
                    await a.notify(Told(number))
                await until(lambda: len(ear.heard) == 7)
            await until(lambda: "b" not in connector_of(a).exchange.peers)

    world.run(main)
    assert letters.list == []


def test_requests_that_wait_for_a_provider_that_stops_turn_to_another(world: World, cluster: Cluster) -> None:
    gate = Gate()

    async def main() -> None:
        async with cluster, cluster.node("a") as a:
            narrow = pool_of(Held, size=1, concurrency=1, queue=0)
            b = cluster.node("b", narrow, lambda: gate, limits=Limits(window=8))
            await b.start()
            await a.subscribed(Ask)
            asked = [asyncio.ensure_future(a.request(Ask(str(number)))) for number in range(20)]
            await until(lambda: gate.waiting)
            await asyncio.sleep(0.1)
            async with cluster.node("c", pool_of(Echo)):
                stopping = asyncio.ensure_future(b.stop())
                await until(lambda: sum(each.done() for each in asked) >= 10, "those that were not sent yet")
                assert not asked[0].done()
                gate.open()
                assert await asyncio.gather(*asked) == [str(number) for number in range(20)]
                await stopping

    world.run(main)


@event(name="links.Kept", ack="handled")
class Kept(Notification):
    number: int = 0


def test_a_sender_that_stops_waits_for_the_handlers_of_what_it_keeps_until_then(world: World, cluster: Cluster) -> None:
    gate, letters = Gate(), Letters()
    handled: list[int] = []

    class Careful(Manager):
        @handles
        async def kept(self, event: Kept) -> None:
            await self.request(Enter(str(event.number)))
            handled.append(event.number)

    async def main() -> None:
        async with cluster, cluster.node("b", Careful, lambda: gate):
            a = cluster.node("a", lambda: letters)
            await a.start()
            await a.subscribed(Kept)
            await a.notify(Kept(1))
            await until(lambda: gate.waiting)
            stopping = asyncio.ensure_future(a.stop())
            await asyncio.sleep(0.1)
            assert not stopping.done()
            gate.open()
            await stopping

    world.run(main)
    assert handled == [1]
    assert letters.list == []


def test_of_a_node_that_has_left_nothing_is_kept(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a", pool_of(Echo), Ear) as a:
            at_a = connector_of(a)
            for number in range(5):
                async with cluster.node(f"guest{number}", Ear) as guest:
                    await present(a, guest)
                    assert await guest.request(Ask("x")) == "x"
                    await guest.notify(Told(1))
                    await a.subscribed(Told, 2)
                    await a.notify(Told(2))
                    await a.settled()
                await until(lambda: not at_a.exchange.peers)
                assert (at_a.book.others, at_a.requests._abroad, at_a.inlet._origins) == ({}, {}, {})
                assert (at_a._others._away_since, at_a.exchange.bytes) == ({}, 0)

    world.run(main)


# Nodes that stay away


def test_of_a_node_that_stays_away_and_wants_nothing_nothing_is_kept_and_it_may_come_back(world: World) -> None:
    """What it knows of the flows to it must not make it take later events for earlier ones."""

    async def main() -> None:
        cluster = Cluster("memory")
        limits = Limits(retention=0.2)
        async with (
            cluster,
            cluster.node("a", pool_of(Echo), limits=limits) as a,
            cluster.node("b", limits=limits, **quick()) as b,
            cluster.node("c") as c,
        ):
            await present(a, b, c)
            for _ in range(3):
                assert await b.request(Ask("x")) == "x"
            await until(lambda: not connector_of(a).busy)
            for port in cluster.ports.values():
                port.endpoint.on_down("b", False) if port.node != "b" and port.endpoint else None
            cluster.ports["b"].unplug()
            await asyncio.sleep(0.3)
            cluster.ports["c"].unplug()
            assert "b" not in connector_of(a).exchange.peers
            assert "b" not in connector_of(a).book.others
            cluster.ports["b"].plug()
            for _ in range(3):
                assert await b.request(Ask("y"), timeout=5) == "y"

    world.run(main)


@pytest.mark.parametrize("away", [1_000.0, others.FORGET_AFTER + 1])
def test_a_subscriber_that_stays_away_is_expected_back_for_a_day(away: float) -> None:
    ear = Ear()

    async def main() -> None:
        cluster = Cluster("memory")
        async with (
            cluster,
            cluster.node("a", limits=Limits(retention=60)) as a,
            cluster.node("b", lambda: ear) as b,
            cluster.node("c") as c,
        ):
            await present(a, b, c)
            await a.subscribed(Told)
            cluster.ports["b"].unplug()
            await asyncio.sleep(away)
            cluster.ports["c"].unplug()
            await a.notify(Told(1))
            assert ("b" in connector_of(a).exchange.peers) == (away < others.FORGET_AFTER)
            cluster.ports["b"].plug()
            await a.subscribed(Told)
            await a.notify(Told(2))
            await until(lambda: 2 in ear.heard)

    World("simulated").run(main)
    assert ear.heard == ([1, 2] if away < others.FORGET_AFTER else [2])


# Nodes that change their minds


def test_what_a_new_life_does_not_want_any_more_is_given_up_as_unsubscribed() -> None:
    lives: list[Ear | Letters] = []
    letters = Letters()

    def factory() -> Any:
        lives.append(Letters() if lives else Ear())
        return lives[-1]

    topology = Topology("fickle")
    topology.switch("hub")
    topology.node("a", lambda: letters, switch="hub")
    topology.node("b", factory, switch="hub")
    with Simulation(topology) as simulation:

        async def main() -> None:
            a, b = simulation.node("a"), simulation.node("b")
            await a.subscribed(Told)
            await a.notify(Told(1))
            await asyncio.sleep(1)
            b.host.kill()
            await asyncio.sleep(1)
            await a.notify(Told(2))
            b.host.restart()
            await until(lambda: letters.list)

        simulation.run(main())
    assert [(letter.type, letter.reason) for letter in letters.list] == [("Told", "given up for b: unsubscribed")]
    assert lives[0].heard == [1]  # type: ignore[union-attr]


# Those who may not


def allowed(**nodes: dict[str, list[str]]) -> Permissions:
    return Permissions({**nodes, "*": {"publish": ["*"], "subscribe": ["*"]}})


CASES = {
    "publish": allowed(a={"publish": ["links.*"], "subscribe": ["*"]}),
    "subscribe": allowed(b={"publish": ["*"], "subscribe": ["links.*"]}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_switch_does_not_let_pass_is_told_at_both_and_holds_nothing_up(world: World, case: str) -> None:
    ears, letters = BothEars(), Letters()

    async def main() -> None:
        cluster = Cluster(config=SwitchConfig(permissions=CASES[case]))
        async with (
            cluster,
            cluster.node("a", lambda: letters, **quick(route_grace=0.3)) as a,
            cluster.node("b", lambda: ears, pool_of(Echo)),
        ):
            await a.subscribed(Told)
            await a.subscribed(OtherTold)
            for number in range(20):
                await a.notify(Told(number))
                await a.notify(OtherTold(number))
            await a.settled()
            await until(lambda: len(ears.heard) == 20)
            await until(lambda: letters.list)
            with pytest.raises(NoRoute, match="the switch does not let it pass to node 'b'"):
                await a.request(Ask("x"))
            assert cluster.switches[0].counts["refused, not allowed"] >= 2

    with records() as log:
        world.run(main)
    assert ears.heard == [("other", number) for number in range(20)]
    told = [letter for letter in letters.list if letter.type == "Told"]
    assert {letter.reason for letter in told} == {"given up for b: not allowed by the switch"}
    lines = [record.getMessage() for record in log.at("ERROR")]
    assert lines == [f"the switch does not let {name} pass to node b" for name in ("Told", "Ask")]
    assert len([record for record in log.at("WARNING") if record.getMessage().startswith("refused, not allowed")]) == 1


def test_what_the_receiver_does_not_take_from_a_node_is_rejected_there(world: World, cluster: Cluster) -> None:
    ears, letters = BothEars(), Letters()

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a", lambda: letters) as a,
            cluster.node("b", lambda: ears, pool_of(Echo), permissions=CASES["publish"]),
            cluster.node("c") as c,
        ):
            await a.subscribed(Told)
            await c.subscribed(Told)
            await a.notify(Told(1))
            await a.notify(OtherTold(2))
            await until(lambda: len(ears.heard) == 1)
            await c.notify(Told(3))
            await until(lambda: len(ears.heard) == 2)
            with pytest.raises(BadEvent, match="node b rejects it: not allowed"):
                await a.request(Ask("x"))
            assert await c.request(Ask("x")) == "x"
            await until(lambda: letters.list)

    world.run(main)
    assert ears.heard == [("other", 2), ("told", 3)]
    assert [letter.reason for letter in letters.list] == ["rejected by b: not allowed"]
