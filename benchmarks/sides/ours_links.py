"""Our side of the link cases: two nodes and a switch, with nothing but the public API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.sides import links
from benchmarks.sides.components import EchoManager, Tick, echo_request, tick
from edri_sim import Manager, Node, Settings, handles
from edri_sim.errors import NoRoute
from edri_sim.host import current_host
from edri_sim.links.switch import Switch

TIMEOUT = 5.0
RUNNING: list[Any] = []
"""What runs until the process ends."""


class Listener(Manager):
    """Takes notifications, and does nothing with them."""

    @handles
    async def on_tick(self, event: Tick) -> None: ...


def _address(place: links.Place) -> str:
    return f"{links.HOST}:{place.port}"


class Link:
    """A's end."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def request(self) -> Any:
        """One round trip of a new payload; the first waits until B is there."""
        while True:
            with contextlib.suppress(NoRoute):
                return await self.node.request(echo_request(), timeout=TIMEOUT)

    async def publish(self) -> None:
        """One notification."""
        await self.node.notify(tick())

    async def settled(self) -> None:
        """Wait until B has acknowledged all notifications."""
        await self.node.settled()


@contextlib.asynccontextmanager
async def link(place: links.Place) -> AsyncIterator[Link]:
    async with Node("a", switches=[_address(place)]) as node:
        if place.case == "link-notify":
            await node.subscribed(Tick, timeout=TIMEOUT)
        yield Link(node)


async def respond(place: links.Place) -> None:
    node = Node("b", EchoManager, Listener, switches=[_address(place)])
    await node.start()
    RUNNING.append(node)


async def switch(place: links.Place) -> None:
    forwarder = Switch("hub", _address(place), current_host(asyncio.get_running_loop(), Settings()))
    await forwarder.start()
    RUNNING.append(forwarder)


if __name__ == "__main__":
    links.main(links.Side(a=links.driver(link), b=links.forever(respond), switch=links.forever(switch)))
