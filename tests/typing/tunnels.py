"""Tunnels as their users write them: the types of items follow from the event, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_type

from edri_sim import BlockingTunnel, Manager, Node, Simulation, Tunnel, TunnelEnd, Worker, event, handles


@dataclass(frozen=True)
class Stored:
    size: int


@event(name="typing.Upload")
class Upload(Tunnel[bytes, Stored]):
    name: str


@event(name="typing.Ticks")
class Ticks(Tunnel[None, int]):
    pass


class Vault(Manager):
    @handles
    async def upload(self, event: Upload, tunnel: TunnelEnd[Stored, bytes]) -> None:
        async for piece in tunnel:
            assert_type(piece, bytes)
        await tunnel.send(Stored(1))

    @handles
    async def ticks(self, event: Ticks, tunnel: TunnelEnd[int, None]) -> None:
        async with self.open(Upload("ticks")) as other:
            assert_type(other, TunnelEnd[bytes, Stored])
        await tunnel.send(1)


class PlainVault(Worker):
    @handles
    def upload(self, event: Upload, tunnel: BlockingTunnel[Stored, bytes]) -> None:
        for piece in tunnel:
            assert_type(piece, bytes)
        with self.blocking.open(Ticks()) as ticks:
            assert_type(ticks, BlockingTunnel[None, int])
            assert_type(ticks.receive(), int)
        tunnel.send(Stored(1))


async def upload(node: Node) -> Stored:
    async with node.open(Upload("x"), timeout=1.0) as tunnel:
        assert_type(tunnel, TunnelEnd[bytes, Stored])
        await tunnel.send(b"piece")
        tunnel.end()
        async for stored in tunnel:
            assert_type(stored, Stored)
        return await tunnel.receive()


async def count(simulation: Simulation) -> int:
    async with simulation.node("a").open(Ticks()) as ticks:
        assert_type(ticks.left, bool)
        return await ticks.receive()


async def wrong(node: Node) -> None:
    async with node.open(Upload("x")) as tunnel:
        await tunnel.send("piece")  # error
        text: str = await tunnel.receive()  # error
        print(text)
    node.open(Upload())  # error
    await node.request(Upload("x"))  # error
