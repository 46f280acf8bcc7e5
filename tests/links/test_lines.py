"""Lines to switches: when they are tried, how a dead one is noticed, who is let in, and which of several is used."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from edri_sim import Manager, Node, Simulation, Topology, handles
from edri_sim.errors import NoRoute, SimulationQuiet
from edri_sim.links import tcp
from edri_sim.links.line import LATE_PAUSE, SOON, SOON_PAUSE, SwitchLine
from edri_sim.links.stream import DEAD_AFTER, PING_EVERY
from edri_sim.links.switch import PROBE, Switch, SwitchConfig
from edri_sim.simulation.simulate import EPOCH
from tests.links.cluster import Cluster, connector_of, line_of, present
from tests.runtime.cast import Ask, Ear, Echo, Told
from tests.worlds import Records, World, pool_of, records, until

# When a line is tried


def attempts(monkeypatch: pytest.MonkeyPatch, program: Any, until_: float, **options: Any) -> list[float]:
    """When a node tried to connect, in a simulation in which a coroutine runs beside it."""
    times: list[float] = []
    attempt = SwitchLine._attempt

    async def noted(line: SwitchLine, over: asyncio.Future[str]) -> str:
        times.append(asyncio.get_running_loop().time())
        return await attempt(line, over)

    monkeypatch.setattr(SwitchLine, "_attempt", noted)
    with Simulation(**options) as simulation:
        simulation.run(program(simulation), until=until_)
    return times


async def alone(simulation: Simulation) -> None:
    async with Node("a", switches=["127.0.0.1:7400"]):
        await asyncio.sleep(1_000)


def test_attempts_are_soon_at_first_rare_later_and_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    firsts, early, late = [], [], []
    for seed in range(20):
        times = attempts(monkeypatch, alone, 300.0, seed=seed)
        gaps = [after - before for before, after in pairwise(times)]
        bounds = [0.1, 0.2, 0.4]
        assert all(gap <= bound for gap, bound in zip(gaps, bounds, strict=False))
        firsts += gaps[:1]
        early += [gap for time, gap in zip(times, gaps, strict=False) if time < SOON][3:]
        late += [gap for time, gap in zip(times, gaps, strict=False) if time > SOON + 30]
    assert max(firsts) <= 0.1
    assert 0.45 < max(early) <= SOON_PAUSE
    assert 9 < max(late) <= LATE_PAUSE
    for gaps, most in ((firsts, 0.1), (early, SOON_PAUSE), (late, LATE_PAUSE)):
        assert min(gaps) < most / 5  # Full jitter: from nothing to the most.
        assert most * 0.4 < sum(gaps) / len(gaps) < most * 0.6


def test_a_switch_that_takes_a_node_and_hangs_up_at_once_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program(simulation: Simulation) -> None:
        host: Any = asyncio.get_running_loop().host  # type: ignore[attr-defined]
        switch = Switch("hub", "127.0.0.1:7400", host)
        take = switch.take

        def take_and_hang_up(port: Any, hello: Any) -> None:
            take(port, hello)
            port.stream.close()

        switch.take = take_and_hang_up  # type: ignore[method-assign]
        async with switch:
            await alone(simulation)

    with records() as log:
        times = attempts(monkeypatch, program, 300.0)
    assert len([time for time in times if time <= SOON]) < SOON / (SOON_PAUSE / 2) * 1.3
    assert len([time for time in times if time > SOON]) < 300 / (LATE_PAUSE / 2) * 1.3
    assert len(log.at("WARNING")) == 1


def test_a_node_is_there_soon_after_its_switch_is_back() -> None:
    topology = pair()
    with Simulation(topology) as simulation:

        async def main() -> None:
            a, hub = simulation.node("a"), simulation.switches["hub"]
            assert await a.request(Ask("x")) == "x"
            for away in (0.5, 3, 30):
                hub.host.kill()
                await asyncio.sleep(away)
                hub.host.restart()
                began = simulation.now
                assert await a.request(Ask("x")) == "x"
                assert simulation.now - began < 1.5

        simulation.run(main())


# How a dead line is noticed


def pair(*switches: str) -> Topology:
    names = switches or ("hub",)
    topology = Topology("pair")
    for name in names:
        topology.switch(name)
    topology.node("a", Letters, switch=names)
    topology.node("b", pool_of(Echo), Listener, switch=names)
    return topology


class Letters(Manager):
    pass


class Listener(Manager):
    """Keeps all that it hears, in all of its lives."""

    heard: list[tuple[int, int]] = []  # noqa: RUF012 - the lives of a test share it
    lives = 0
    latest = 0.0

    def __init__(self) -> None:
        type(self).lives += 1
        self.life = self.lives

    @handles
    async def told(self, event: Told) -> None:
        self.heard.append((self.life, event.number))
        type(self).latest = asyncio.get_running_loop().time()


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    Listener.heard.clear()
    Listener.lives = 0


def moments(log: Records, text: str) -> list[float]:
    """When something was logged, in simulated seconds."""
    lines = [record for record in log.list if text in record.getMessage()]
    return [(datetime.fromisoformat(record.__dict__["at"]) - EPOCH).total_seconds() for record in lines]


@pytest.mark.parametrize("busy", [False, True])
def test_both_ends_notice_a_line_that_is_cut_in_fifteen_to_twenty_seconds(busy: bool) -> None:
    cut_at = 12.3
    with records() as log, Simulation(pair()) as simulation:

        async def main() -> None:
            a = simulation.node("a")
            await a.subscribed(Told)
            await asyncio.sleep(cut_at - simulation.now)
            simulation.cut("a", "hub")
            if busy:
                for number in range(20):
                    await a.notify(Told(number))
            await asyncio.sleep(40)
            simulation.heal("a", "hub")
            await asyncio.sleep(20)

        simulation.run(main())
    (here,) = moments(log, "the line to switch hub:7400 is down: nothing was heard for 15 s")
    (there,) = moments(log, "node a is gone: nothing was heard for 15 s")
    for noticed in (here, there):
        assert DEAD_AFTER - PING_EVERY <= noticed - cut_at <= DEAD_AFTER + PING_EVERY
    assert Listener.heard == [(1, number) for number in range(20)] * busy


def test_an_idle_line_that_is_well_is_kept() -> None:
    with records() as log, Simulation(pair()) as simulation:

        async def main() -> None:
            assert await simulation.node("a").request(Ask("x")) == "x"
            await asyncio.sleep(3_600)
            assert await simulation.node("a").request(Ask("x")) == "x"

        simulation.run(main())
    assert not log.at("WARNING")
    assert len(moments(log, "is present")) == 2


@pytest.mark.parametrize("away", [0.5, 10])
def test_a_new_life_takes_the_place_of_one_that_is_half_open(away: float) -> None:
    with records() as log, Simulation(pair()) as simulation:

        async def main() -> None:
            a, b = simulation.node("a"), simulation.node("b")
            assert await a.request(Ask("x")) == "x"
            b.host.crash()
            await asyncio.sleep(away)
            b.host.restart()
            await asyncio.sleep(PROBE + 0.5)
            assert await a.request(Ask("y")) == "y"

        simulation.run(main())
    first, second = moments(log, "node b is present")
    assert away <= second - first <= away + PROBE + 0.5


def test_the_same_life_takes_the_place_of_its_own_connection_that_is_half_open() -> None:
    """The node has noticed that its line is dead, and the switch has not."""
    with records() as log, Simulation(pair()) as simulation:

        async def main() -> None:
            a = simulation.node("a")
            await a.subscribed(Told)
            await a.notify(Told(1))
            simulation.cut("a", "hub")
            line = line_of(await a._started())
            a.host.loop.call_soon(line._stream.abort, "a test")
            await asyncio.sleep(0.1)
            simulation.heal("a", "hub")
            healed = simulation.now
            await a.notify(Told(2))
            await until(lambda: len(Listener.heard) == 2)
            assert simulation.now - healed < PROBE + 1.5

        simulation.run(main())
    assert Listener.heard == [(1, 1), (1, 2)]
    assert not [record for record in log.at("ERROR") if "rejects" in record.getMessage()]


# Who is let in


def rejections(log: Records, code: str) -> int:
    return sum(f"it rejects this node: {code}:" in record.getMessage() for record in log.at("ERROR"))


def test_a_life_that_began_with_a_number_too_low_goes_on_with_a_higher_one(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster:
            cluster.switches[0].seen["a"] = 1 << 61
            async with cluster.node("a") as a, cluster.node("b", pool_of(Echo)) as b:
                assert await a.request(Ask("x")) == "x"
                await present(a, b)
                assert connector_of(a).exchange.incarnation == (1 << 61) + 1
                assert connector_of(b).exchange.peers["a"].incarnation == (1 << 61) + 1

    with records() as log:
        world.run(main)
    assert rejections(log, "STALE_INCARNATION") == 0


def test_of_two_nodes_with_one_name_the_later_waits_until_the_first_is_gone(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("b", pool_of(Echo)) as b:
            first, second = cluster.node("a"), cluster.node("a")
            await first.start()
            assert await first.request(Ask("x")) == "x"
            await asyncio.sleep(0.01)  # Its life has a higher number.
            await second.start()
            await until(lambda: rejections(log, "DUPLICATE_NODE"))
            assert await first.request(Ask("y")) == "y"
            assert not line_of(second).up
            await first.stop()
            assert await second.request(Ask("z"), timeout=20) == "z"
            await second.stop()
            assert connector_of(b).bad == {}

    with records() as log:
        world.run(main)
    assert rejections(log, "DUPLICATE_NODE") == 1
    assert log.at("WARNING")[0].getMessage().startswith("refused, DUPLICATE_NODE: 'a' at")


def test_a_wrong_token_is_one_error_at_each_end(world: World) -> None:
    async def main() -> None:
        async with (
            Cluster(config=SwitchConfig(token="good")) as cluster,
            cluster.node("b", pool_of(Echo), token="good"),
            cluster.node("a", token="bad", route_grace=0.5) as a,
        ):
            with pytest.raises(NoRoute):
                await a.request(Ask("x"))

    with records() as log:
        world.run(main)
    assert rejections(log, "UNAUTHORISED") == 1
    assert len([r for r in log.at("WARNING") if r.getMessage().startswith("refused, UNAUTHORISED")]) == 1
    assert not any(word in record.getMessage() for record in log.list for word in ("good", "bad"))


def test_a_switch_that_takes_less_than_a_node_sends_is_one_error_that_says_so(world: World) -> None:
    async def main() -> None:
        async with (
            Cluster(config=SwitchConfig(max_frame=4_096)) as cluster,
            cluster.node("b", pool_of(Echo), max_frame=4_096),
            cluster.node("c", max_frame=2_048) as c,
            cluster.node("a", max_frame=8_192, route_grace=0.5) as a,
        ):
            with pytest.raises(NoRoute):
                await a.request(Ask("x"))
            assert await c.request(Ask("x")) == "x"

    with records() as log:
        world.run(main)
    (error,) = log.at("ERROR")
    assert "it takes frames of 4096 bytes, and this node sends up to 8192: raise its max_frame" in error.getMessage()


def test_a_switch_by_hand_needs_no_host(world: World) -> None:
    async def main() -> None:
        async with Switch("hub", "127.0.0.1:0") as switch:
            joined: dict[str, Any] = {"switches": [str(switch.address)]}
            async with Node("a", **joined) as a, Node("b", pool_of(Echo), **joined):
                assert await a.request(Ask("x")) == "x"

    world.run(main)


def test_the_token_of_the_settings_is_shown(world: World) -> None:
    async def main() -> None:
        async with Cluster(config=SwitchConfig(token="good")) as cluster:
            joined: dict[str, Any] = {"switches": [str(cluster.switches[0].address)], "token": "good"}
            async with Node("a", **joined) as a, Node("b", pool_of(Echo), **joined):
                assert await a.request(Ask("x")) == "x"

    world.run(main)


def test_a_full_switch_lets_a_node_in_once_another_has_gone(world: World) -> None:
    async def main() -> None:
        async with Cluster(config=SwitchConfig(nodes=2)) as cluster, cluster.node("b", pool_of(Echo)):
            guest = cluster.node("c")
            await guest.start()
            await until(lambda: line_of(guest).up)
            async with cluster.node("a") as a:
                await until(lambda: rejections(log, "FULL"))
                await guest.stop()
                assert await a.request(Ask("x"), timeout=20) == "x"

    with records() as log:
        world.run(main)


def test_a_node_of_another_version_is_told_which_is_spoken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "VERSION", 99)

    async def main() -> None:
        async with Cluster() as cluster, cluster.node("a"):
            await until(lambda: rejections(log, "UNSUPPORTED_VERSION"))

    with records() as log:
        world.run(main)
    assert "versions 99 to 99: this switch speaks 1" in log.at("ERROR")[0].getMessage()


# Several switches


COUNT = 400


async def stream_over(simulation: Simulation, act: Any) -> None:
    """Publish numbers for a while; half way, something happens."""
    a = simulation.node("a")
    await a.subscribed(Told)
    for number in range(COUNT):
        if number == COUNT // 2:
            act()
        await a.notify(Told(number))
        await asyncio.sleep(0.005)
    await until(lambda: len(Listener.heard) >= COUNT, "all to arrive")
    await asyncio.sleep(30)


@pytest.mark.parametrize("end", ["kill", "crash", "pause"])
@pytest.mark.parametrize("victim", ["left", "right"])
def test_when_one_of_two_switches_dies_nothing_is_lost_or_doubled(end: str, victim: str) -> None:
    with Simulation(pair("left", "right")) as simulation:
        simulation.run(stream_over(simulation, lambda: getattr(simulation.switches[victim].host, end)()))
    assert Listener.heard == [(1, number) for number in range(COUNT)]


@pytest.mark.parametrize("ends", [("a", "left"), ("b", "left"), ("a", "right"), ("b", "right")])
def test_when_one_of_two_lines_is_cut_another_takes_over_long_before_it_is_declared_dead(ends: tuple[str, str]) -> None:
    with records() as log, Simulation(pair("left", "right")) as simulation:

        async def main() -> None:
            await asyncio.sleep(7)
            await stream_over(simulation, lambda: simulation.cut(*ends))

        simulation.run(main())
    assert Listener.heard == [(1, number) for number in range(COUNT)]
    assert Listener.latest < 7 + COUNT * 0.005 + 3
    assert min(moments(log, "nothing was heard for 15 s")) > Listener.latest + 5


def test_a_switch_that_says_goodbye_is_left_at_once(world: World) -> None:
    ear = Ear()

    async def main() -> None:
        async with Cluster(switches=2) as cluster, cluster.node("a") as a, cluster.node("b", lambda: ear) as b:
            await a.subscribed(Told)
            await until(lambda: all(line_of(node, number).up for node in (a, b) for number in (0, 1)))
            for number in range(200):
                if number == 100:
                    await cluster.switches.pop(0).stop()
                await a.notify(Told(number))
            await a.settled()
            await until(lambda: len(ear.heard) == 200)

    with records() as log:
        world.run(main)
    assert ear.heard == list(range(200))
    assert not [record for record in log.list if "dead letter" in record.getMessage()]


def test_a_new_life_that_is_half_open_at_one_switch_is_reached_over_the_other() -> None:
    """The first line is preferred, but there the dead life is still taken for the node."""
    with Simulation(pair("left", "right")) as simulation:

        async def main() -> None:
            a, b = simulation.node("a"), simulation.node("b")
            assert await a.request(Ask("x")) == "x"
            b.host.crash()
            simulation.cut("b", "left")
            b.host.restart()
            await asyncio.sleep(3)
            began = simulation.now
            assert await a.request(Ask("y"), timeout=20) == "y"
            assert simulation.now - began < 0.5
            lines = [line_of(await a._started(), number) for number in (0, 1)]
            assert lines[0].present["b"] < lines[1].present["b"]

        simulation.run(main())


def test_a_full_line_holds_up_no_other(world: World) -> None:
    async def main() -> None:
        async with Cluster(switches=2) as cluster, cluster.node("a") as a, cluster.node("b", pool_of(Echo)) as b:
            await a.subscribed(Ask)
            await until(lambda: all(line_of(node, number).up for node in (a, b) for number in (0, 1)))
            line_of(a)._stream.full = True
            assert not connector_of(a).fabric.full
            assert await a.request(Ask("x")) == "x"
            line_of(a, 1)._stream.full = True
            assert connector_of(a).fabric.full
            line_of(a)._stream.resume_writing()
            line_of(a, 1)._stream.resume_writing()
            assert await a.request(Ask("y")) == "y"

    world.run(main)


# One switch that comes and goes


@pytest.mark.parametrize("end", ["kill", "crash"])
def test_a_switch_that_dies_and_comes_back_under_traffic_costs_nothing(end: str) -> None:
    def restart() -> None:
        getattr(simulation.switches["hub"].host, end)()
        simulation.kernel.call_at(simulation.now + 3, simulation.switches["hub"].host.restart)

    with Simulation(pair()) as simulation:
        simulation.run(stream_over(simulation, restart))
    assert Listener.heard == [(1, number) for number in range(COUNT)]


# What keeps a simulation running


def test_nodes_that_have_nothing_to_say_keep_no_simulation_running() -> None:
    with Simulation(pair("left", "right")) as simulation:
        simulation.run()
        assert simulation.now < 20
        simulation.run(simulation.node("a").request(Ask("x")))  # type: ignore[arg-type]
        simulation.run()
        assert simulation.now < 40


def test_heartbeats_hide_no_deadlock() -> None:
    with Simulation(pair()) as simulation:

        async def main() -> None:
            assert await simulation.node("a").request(Ask("x")) == "x"
            await asyncio.get_running_loop().create_future()

        with pytest.raises(SimulationQuiet):
            simulation.run(main())
        assert simulation.now < 60


def test_a_line_that_nobody_needs_is_not_waited_for() -> None:
    topology = pair()
    with Simulation(topology) as simulation:
        simulation.run()
        simulation.switches["hub"].host.kill()
        simulation.run()
        assert simulation.now < 60


def test_lines_are_traced_and_counted(world: World) -> None:
    async def main() -> Counter[str]:
        seen: Counter[str] = Counter()
        async with Cluster(switches=2) as cluster, cluster.node("a", pool_of(Echo)) as a:
            await until(lambda: line_of(a).up and line_of(a, 1).up)
            seen["up"] += line_of(a).up + line_of(a, 1).up
            await cluster.switches.pop().stop()
            await until(lambda: not line_of(a, 1).up)
            seen["up"] -= 1
        return seen

    assert world.run(main) == {"up": 1}
