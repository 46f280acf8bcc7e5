"""Tunnels, and workers that serve them, for the tests of tunnels."""

from __future__ import annotations

import asyncio

from edri_sim import BlockingTunnel, Manager, Tunnel, TunnelEnd, Worker, event, handles, sleep


@event(name="tunnels.Double")
class Double(Tunnel[int, int]):
    """Each number comes back doubled; ``most`` of them, or all."""

    most: int = 1_000_000


@event(name="tunnels.Sum")
class Sum(Tunnel[int, int]):
    """The numbers go up; their sum comes down after the last."""


@event(name="tunnels.Count")
class Count(Tunnel[None, int]):
    """Counts down the tunnel, to ``last``, or for ever."""

    last: int = -1


@event(name="tunnels.Fail")
class Fail(Tunnel[int, int]):
    """Sends ``first`` numbers, then raises."""

    first: int = 3


@event(name="tunnels.Blobs")
class Blobs(Tunnel[bytes, int]):
    """The size of each comes down."""


class Serving(Worker):
    """Serves them in coroutines."""

    @handles
    async def double(self, event: Double, tunnel: TunnelEnd[int, int]) -> None:
        left = event.most
        async for number in tunnel:
            await tunnel.send(2 * number)
            left -= 1
            if not left:
                return

    @handles
    async def sum(self, event: Sum, tunnel: TunnelEnd[int, int]) -> None:
        total = 0
        async for number in tunnel:
            total += number
        await tunnel.send(total)

    @handles
    async def count(self, event: Count, tunnel: TunnelEnd[int, None]) -> None:
        number = 0
        while number != event.last:
            number += 1
            await tunnel.send(number)
            await asyncio.sleep(0)

    @handles
    async def fail(self, event: Fail, tunnel: TunnelEnd[int, int]) -> None:
        for number in range(event.first):
            await tunnel.send(number)
        raise LookupError("as told")

    @handles
    async def blobs(self, event: Blobs, tunnel: TunnelEnd[int, bytes]) -> None:
        async for blob in tunnel:
            await tunnel.send(len(blob))


class PlainServing(Worker):
    """Serves them in plain functions."""

    @handles
    def double(self, event: Double, tunnel: BlockingTunnel[int, int]) -> None:
        left = event.most
        for number in tunnel:
            tunnel.send(2 * number)
            left -= 1
            if not left:
                return

    @handles
    def sum(self, event: Sum, tunnel: BlockingTunnel[int, int]) -> None:
        tunnel.send(sum(tunnel))

    @handles
    def count(self, event: Count, tunnel: BlockingTunnel[int, None]) -> None:
        number = 0
        while number != event.last:
            number += 1
            tunnel.send(number)
            sleep(0.001)

    @handles
    def fail(self, event: Fail, tunnel: BlockingTunnel[int, int]) -> None:
        for number in range(event.first):
            tunnel.send(number)
        raise LookupError("as told")


class Reader(Manager):
    """Reads as fast as the test lets it."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.allowed = asyncio.Semaphore(0)
        self.ended = ""

    @handles
    async def sum(self, event: Sum, tunnel: TunnelEnd[int, int]) -> None:
        try:
            async for number in tunnel:
                self.read.append(number)
                await self.allowed.acquire()
            self.ended = "returned"
        except BaseException as error:
            self.ended = type(error).__name__
            raise


class Doubler(Manager):
    """Serves what Reader does not."""

    @handles
    async def double(self, event: Double, tunnel: TunnelEnd[int, int]) -> None:
        async for number in tunnel:
            await tunnel.send(2 * number)
