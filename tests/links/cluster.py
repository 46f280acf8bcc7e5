"""Several nodes on one loop, joined by a hub in memory or by switches over TCP: what tests of links run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest

from edri_sim import Node
from edri_sim.links.connector import Connector, RunningConnector
from edri_sim.links.fabric import Hub, HubPort
from edri_sim.links.flow.items import Limits
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.permissions import Permissions
from edri_sim.links.switch import Switch, SwitchConfig
from edri_sim.links.tcp import Credentials, TcpFabric, switch_lines
from edri_sim.node import PartFactory
from tests.worlds import until


class Cluster:
    """``async with Cluster("switch") as cluster, cluster.node("a", Ear) as a: ...``.

    ``kind`` is ``memory`` or ``switch``; ``switches`` are as many of the latter, with one ``config``.
    """

    def __init__(self, kind: str = "switch", *, switches: int = 1, config: SwitchConfig | None = None) -> None:
        self.kind = kind
        self.ports: dict[str, HubPort] = {}
        self.switches: list[Switch] = []
        self._count = switches
        self._config = config
        self._hub: Hub | None = None

    async def __aenter__(self) -> Self:
        if self.kind == "memory":
            self._hub = Hub()
            return self
        for number in range(self._count):
            self.switches.append(await self.start_switch(f"hub{number}"))
        return self

    async def start_switch(self, name: str, address: str = "127.0.0.1:0") -> Switch:
        """One more switch, which the caller stops."""
        switch = Switch(name, address, config=self._config)
        await switch.start()
        return switch

    async def __aexit__(self, *_: object) -> None:
        for switch in self.switches:
            await switch.stop()

    def node(
        self, name: str, *parts: PartFactory, limits: Limits | None = None, permissions: Permissions | None = None,
        token: str = "", max_frame: int = 1 << 20, **settings: Any,
    ) -> Node:  # fmt: skip
        def uplink(outbox: DurableOutbox | None) -> Connector:
            fabric = self._fabric(name, token, max_frame)
            return Connector(fabric, outbox=outbox, limits=limits, permissions=permissions, max_frame=max_frame)

        return Node(name, *parts, uplink=uplink, **settings)

    def _fabric(self, name: str, token: str, max_frame: int) -> Callable[..., Any]:
        if self._hub is None:
            return switch_lines(
                [str(switch.address) for switch in self.switches], Credentials(token), max_frame=max_frame
            )
        port = self.ports[name] = self._hub.port()
        return lambda _context, _needed: port


def connector_of(node: Node) -> RunningConnector:
    """The node's line to the others."""
    (found,) = [running for running in node._running if isinstance(running, RunningConnector)]
    return found


def line_of(node: Node, number: int = 0) -> Any:
    """The node's line to one switch."""
    fabric: Any = connector_of(node).fabric
    return fabric.lines[number]


async def present(*nodes: Node) -> None:
    """Wait until each of these nodes has joined the others, and is introduced to those that it has to do with."""
    for node in nodes:
        fabric: Any = connector_of(node).fabric
        if isinstance(fabric, TcpFabric):
            await until(lambda fabric=fabric: fabric.sought and all(line.up for line in fabric.lines), node.name)
            continue
        peers = connector_of(node).exchange.peers
        others = [other.name for other in nodes if other is not node]
        await until(
            lambda peers=peers, others=others: all(name in peers and peers[name].reachable for name in others),
            f"{node.name}: {others}",
        )


@pytest.fixture(params=["memory", "switch"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """What joins the nodes, not started yet: a hub in memory, then a switch over TCP."""
    return Cluster(request.param)
