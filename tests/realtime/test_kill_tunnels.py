"""Tunnels between processes of which one is killed for real, with SIGKILL: the switch, and the node that serves."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable

import pytest

from edri_sim import Node, TunnelEnd
from edri_sim.errors import TunnelLost
from tests.realtime.echoes import Valley
from tests.realtime.programs import free_address
from tests.realtime.test_kill import begin, hub_of, kill

ITEMS = 3_000
CUT_AT = 1_000
"""After so many echoes the switch is killed."""


async def call(tunnel: TunnelEnd[int, int]) -> None:
    for number in range(ITEMS):
        await tunnel.send(number)
    tunnel.end()


async def test_a_tunnel_outlives_the_switch_that_carries_it() -> None:
    address = free_address()
    async with hub_of(address) as hub, Node("hill", switches=[address], drain_timeout=0.2) as hill:
        valley = await begin(sys.executable, "-m", "tests.realtime.echoes", address)
        try:
            async with hill.open(Valley(), timeout=30) as tunnel:
                calling = asyncio.create_task(call(tunnel))
                heard = [await tunnel.receive() for _ in range(CUT_AT)]
                await hub.kill()
                assert not calling.done()
                await hub.start()
                heard += [number async for number in tunnel]
                await calling
        finally:
            await kill(valley)
    assert heard == list(range(ITEMS))


async def test_a_tunnel_to_a_node_that_is_killed_and_comes_back_is_lost_and_a_new_one_is_not() -> None:
    address = free_address()
    lives: list[Process] = []

    async def live() -> None:
        lives.append(await begin(sys.executable, "-m", "tests.realtime.echoes", address))

    async def one_echo(hill: Node, then: Callable[[TunnelEnd[int, int]], Awaitable[None]]) -> None:
        async with hill.open(Valley(), timeout=30) as tunnel:
            await tunnel.send(1)
            assert await tunnel.receive() == 1
            await then(tunnel)

    async def die_and_live_again(tunnel: TunnelEnd[int, int]) -> None:
        await kill(lives.pop())
        await live()
        await tunnel.receive()

    async def leave(_: TunnelEnd[int, int]) -> None: ...

    async with hub_of(address), Node("hill", switches=[address], drain_timeout=0.2) as hill:
        await live()
        try:
            with pytest.raises(TunnelLost, match="node valley was lost"):
                await one_echo(hill, die_and_live_again)
            await one_echo(hill, leave)
        finally:
            await kill(lives.pop())
