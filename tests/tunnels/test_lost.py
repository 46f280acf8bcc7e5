"""What ends a tunnel between nodes, and what does not: one fault each, and what both of its sides see."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from edri_sim import Manager, Simulation, Topology, Tunnel, TunnelEnd, Worker, event, handles, part
from edri_sim.errors import ProviderLost, TunnelLost
from edri_sim.faults import Crash, Fault, Kill, Outage
from tests.links.cluster import Cluster, connector_of
from tests.tunnels.cast import Reader, Sum
from tests.worlds import pool_of, quick, until


@event(name="tunnels.Pid")
class Pid(Tunnel[int, int]):
    """The process that serves it comes down first."""


class Mortal(Worker):
    @handles
    async def pid(self, event: Pid, tunnel: TunnelEnd[int, int]) -> None:
        await tunnel.send(os.getpid())
        async for number in tunnel:
            await tunnel.send(number)


class Readers(Manager):
    """Reads, and writes down what it got and how it ended, in a list of the test's."""

    def __init__(self, lives: list[Reader]) -> None:
        self.reader = Reader()
        lives.append(self.reader)

    @handles
    async def sum(self, event: Sum, tunnel: TunnelEnd[int, int]) -> None:
        for _ in range(10_000):
            self.reader.allowed.release()
        await self.reader.sum(event, tunnel)


def simulated(lives: list[Reader], fault: Fault, main: Any) -> None:
    """Nodes a and b (which reads) with a switch between them, and one fault after 1 s."""
    topology = Topology("pair")
    topology.switch("hub")
    topology.node("a", switch="hub")
    topology.node("b", part(Readers, lives), switch="hub")
    for name in ("a", "b"):
        topology.link(name, "hub", latency=0.005)
    with Simulation(topology, seed=7, faults=[fault]) as simulation:
        simulation.run(main(simulation))


async def write_for(simulation: Simulation, tunnel: TunnelEnd[int, int], seconds: float) -> int:
    """Send numbers, 100 a second; how many."""
    count = 0
    while simulation.now < seconds:
        await tunnel.send(count)
        count += 1
        await asyncio.sleep(0.01)
    return count


async def wait_in_vain(simulation: Simulation) -> None:
    """Have a tunnel in which nothing is on its way, for 700 s: pings alone keep no simulation going."""
    async with simulation.node("a").open(Sum()) as tunnel:
        await tunnel.send(1)
        async with asyncio.timeout(700):
            await tunnel.receive()


async def ended(reader: Reader) -> None:
    """Wait until a handler has ended, for as long as it may take to find out that its opener is gone."""
    for _ in range(700):
        if reader.ended:
            return
        await asyncio.sleep(1)
    raise AssertionError("in vain waited for the handler to end")


@pytest.mark.parametrize(
    "fault", [Outage("a", "hub", 1.0, 3.0), Crash("hub", 1.0, 2.0), Kill("hub", 1.0, 2.0)], ids=repr
)
def test_it_outlives_cuts_and_switches(fault: Fault) -> None:
    lives: list[Reader] = []

    async def main(simulation: Simulation) -> None:
        async with simulation.node("a").open(Sum()) as tunnel:
            count = await write_for(simulation, tunnel, 6.0)
            tunnel.end()
            await until(lambda: lives[0].ended)
        assert lives[0].read == list(range(count))
        assert count > 200

    simulated(lives, fault, main)


@pytest.mark.parametrize("fault", [Kill("b", 1.0, 2.0), Crash("b", 1.0, 2.0)], ids=repr)
def test_a_server_that_dies_loses_it_once_its_next_life_is_heard_of(fault: Fault) -> None:
    lives: list[Reader] = []

    async def main(simulation: Simulation) -> None:
        async with simulation.node("a").open(Sum()) as tunnel:
            await tunnel.send(1)
            await tunnel.receive()

    with pytest.raises(TunnelLost, match=r"tunnels.Sum a/.*: node b was lost"):
        simulated(lives, fault, main)
    assert [reader.read for reader in lives] == [[1], []]


@pytest.mark.parametrize(
    "fault", [Kill("a", 1.0, 2.0), Crash("a", 1.0, 2.0), Kill("a", 1.0), Crash("a", 1.0)], ids=repr
)
def test_an_opener_that_dies_loses_it_for_its_handler_too_even_if_it_never_comes_back(fault: Fault) -> None:
    lives: list[Reader] = []

    async def hold(simulation: Simulation) -> None:
        async with simulation.node("a").open(Sum()) as tunnel:
            await write_for(simulation, tunnel, 10.0)

    async def main(simulation: Simulation) -> None:
        holding = asyncio.create_task(hold(simulation))
        await ended(lives[0])
        assert lives[0].ended == "TunnelLost"
        assert lives[0].read == list(range(len(lives[0].read)))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    simulated(lives, fault, main)


@pytest.mark.parametrize("fault", [Kill("b", 1.0), Crash("b", 1.0)], ids=repr)
def test_a_server_that_never_comes_back_loses_it_though_nothing_waits(fault: Fault) -> None:
    with pytest.raises(TunnelLost, match=r"node 'b' was away for 600 s"):
        simulated([], fault, wait_in_vain)


def test_what_waits_for_too_long_is_given_up_at_both_ends() -> None:
    lives: list[Reader] = []

    async def main(simulation: Simulation) -> None:
        async with simulation.node("a").open(Sum()) as tunnel:
            await write_for(simulation, tunnel, 1.5)
            await tunnel.receive()

    with pytest.raises(TunnelLost, match="was given up: retention"):
        simulated(lives, Outage("a", "hub", 1.0, 700.0), main)


def test_an_idle_tunnel_is_lost_at_both_ends_in_an_outage_that_is_too_long() -> None:
    lives: list[Reader] = []

    async def main(simulation: Simulation) -> None:
        with pytest.raises(TunnelLost, match=r"node 'b' was away for 600 s"):
            await wait_in_vain(simulation)
        await ended(lives[0])
        assert lives[0].ended == "TunnelLost"

    simulated(lives, Outage("a", "hub", 1.0, 5_000.0), main)


def test_an_idle_tunnel_outlives_an_outage_of_minutes() -> None:
    lives: list[Reader] = []

    async def main(simulation: Simulation) -> None:
        async with simulation.node("a").open(Sum()) as tunnel:
            await tunnel.send(1)
            await asyncio.sleep(3_600)
            await tunnel.send(2)
            tunnel.end()
            assert [number async for number in tunnel] == []
        assert lives[0].read == [1, 2]

    simulated(lives, Outage("a", "hub", 1.0, 550.0), main)


async def test_a_worker_process_that_is_killed(cluster: Cluster) -> None:
    async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(Mortal, "process"), **quick()) as b:

        async def hold() -> None:
            async with a.open(Pid()) as tunnel:
                os.kill(await tunnel.receive(), signal.SIGKILL)
                await tunnel.receive()

        with pytest.raises(ProviderLost, match="killed by SIGKILL"):
            await hold()
        async with a.open(Pid()) as tunnel:  # Another has taken its place.
            await tunnel.receive()
            await tunnel.send(7)
            assert await tunnel.receive() == 7
        await until(lambda: not len(connector_of(b).tunnels))
