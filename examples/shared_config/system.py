"""Configuration that machines share: it is kept in one place, and everybody has a copy that follows it.

edri-sim up examples/shared_config/system.py:topology --data /tmp/shelf    # each a process of its own, on this machine
python examples/shared_config/drive.py                # somebody at a desk, who changes the limits
python examples/shared_config/simulate.py             # the same in simulated time, and the shelf loses its power
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

import msgspec

from edri_sim import Manager, Request, Store, Topology, event, handles, part
from edri_sim.errors import RequestError

KEY = "config/limits"


class Limits(msgspec.Struct, frozen=True):
    """What a gate lets through."""

    uploads: int = 1
    megabytes: int = 1


class Sign(NamedTuple):
    """What a gate has on its sign."""

    gate: str
    limits: Limits


@event
class ReadSign(Request[Sign]):
    """What limits hold? Any gate may answer."""


class Gate(Manager):
    """Knows the limits without asking anybody, and so also while the store is away."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limits = Limits()

    async def start(self) -> None:
        self.following = asyncio.get_running_loop().create_task(self.follow())

    async def stop(self) -> None:
        self.following.cancel()

    async def follow(self) -> None:
        """A watch tells first what holds, then each change; when it ends, because the store is away, watch again."""
        while True:
            with suppress(RequestError):
                async with Store.watch(self, KEY, Limits) as updates:
                    async for update in updates:
                        self.limits = update.value or Limits()
            await asyncio.sleep(1)

    @handles
    async def read_sign(self, event: ReadSign) -> Sign:
        return Sign(self.name, self.limits)


topology = Topology("gates")
topology.switch("hub", address="127.0.0.1:7410")
topology.node("shelf", part(Store, storage="values"), switch="hub")
topology.node("north", part(Gate, "north"), switch="hub")
topology.node("south", part(Gate, "south"), switch="hub")
