"""Configuration that machines share: it is kept in one place, and everybody has a copy that follows it.

edri-sim up examples/shared_config/system.py:topology --data /tmp/shelf    # each a process of its own, on this machine
python examples/shared_config/drive.py                # somebody at a desk, who changes the limits
python examples/shared_config/simulate.py             # the same in simulated time, and the shelf loses its power
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from edri_sim import Manager, Request, Store, Topology, event, handles, part
from edri_sim.storing import Changed, Opened, unpack

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
        self.version = 0

    @handles
    async def on_changed(self, event: Changed) -> None:
        if event.key == KEY and event.value is not None:
            self.take(unpack(event.value, Limits), event.version)

    @handles
    async def on_opened(self, event: Opened) -> None:
        """Some change may have been made that nobody was told of."""
        item = await Store.of(self).item(KEY, Limits)
        if item is not None:
            self.take(item.value, item.version)

    def take(self, limits: Limits, version: int) -> None:
        """What is read and what is heard may cross on their way: the version tells which is newer."""
        if version > self.version:
            self.limits, self.version = limits, version

    @handles
    async def read_sign(self, event: ReadSign) -> Sign:
        return Sign(self.name, self.limits)


topology = Topology("gates")
topology.switch("hub", address="127.0.0.1:7410")
topology.node("shelf", part(Store, storage="values"), switch="hub")
topology.node("north", part(Gate, "north"), switch="hub")
topology.node("south", part(Gate, "south"), switch="hub")
