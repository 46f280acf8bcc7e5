"""Tunnels that the simulation's main coroutine opens from a node."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Simulation, Topology
from edri_sim.errors import HandlerError, HostDown, TunnelClosed
from tests.tunnels.cast import Double, Fail, Serving, Sum
from tests.worlds import pool_of


@pytest.fixture
def pair() -> Topology:
    """Node a, and node b that serves."""
    topology = Topology("pair")
    topology.switch("hub")
    topology.node("a", switch="hub")
    topology.node("b", pool_of(Serving, size=2), switch="hub")
    for name in ("a", "b"):
        topology.link(name, "hub", latency=0.01)
    return topology


def test_items_go_both_ways_and_an_end_and_an_error_come_through(pair: Topology) -> None:
    async def main() -> None:
        node = simulation.node("a")
        async with node.open(Sum()) as tunnel:
            for number in range(100):
                await tunnel.send(number)
            tunnel.end()
            assert [total async for total in tunnel] == [4_950]
            with pytest.raises(TunnelClosed):
                await tunnel.receive()
        with pytest.raises(HandlerError, match="as told"):
            async with node.open(Fail(first=0)) as tunnel:
                await tunnel.receive()

    with Simulation(pair, seed=7) as simulation:
        simulation.run(main())


def test_a_receive_that_times_out_loses_nothing(pair: Topology) -> None:
    async def main() -> None:
        async with simulation.node("a").open(Double()) as tunnel:
            for number in range(50):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await tunnel.receive()
                await tunnel.send(number)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.035 + number / 5_000):
                        await asyncio.sleep(1)
                assert await tunnel.receive() == 2 * number

    with Simulation(pair, seed=7) as simulation:
        simulation.run(main())


def test_a_host_that_dies_ends_its_tunnels_here_too(pair: Topology) -> None:
    async def main() -> None:
        node = simulation.node("a")
        async with node.open(Double()) as tunnel:
            await tunnel.send(1)
            assert await tunnel.receive() == 2
            node.host.crash()
            await tunnel.receive()

    with Simulation(pair, seed=7) as simulation, pytest.raises(HostDown):
        simulation.run(main())
