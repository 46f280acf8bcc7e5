"""A node that sends back whatever comes through a tunnel, as a program that can be killed."""

from __future__ import annotations

import asyncio
import sys

from edri_sim import Manager, Node, Tunnel, TunnelEnd, event, handles


@event
class Valley(Tunnel[int, int]):
    """What is called into it comes back."""


class Echo(Manager):
    @handles
    async def valley(self, event: Valley, tunnel: TunnelEnd[int, int]) -> None:
        async for number in tunnel:
            await tunnel.send(number)


async def answer(address: str) -> None:
    """Run until killed."""
    async with Node("valley", Echo, switches=[address]):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(answer(sys.argv[1]))
