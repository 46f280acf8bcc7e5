"""Running nodes and switches as programs."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from edri_sim.errors import SettingsError
from edri_sim.host import Host
from edri_sim.links.address import Address
from edri_sim.links.connector import Connector
from edri_sim.links.fabric import FabricOf
from edri_sim.links.guard import check_status
from edri_sim.links.line import SwitchLine
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.switch import Switch, SwitchConfig
from edri_sim.links.tcp import switch_lines
from edri_sim.logs import NodeLog
from edri_sim.node import TERMINATED, Node
from edri_sim.realtime.deployment import check_durable
from edri_sim.realtime.host import LocalHost
from edri_sim.realtime.status import StatusServer
from edri_sim.routing.context import NodeContext
from edri_sim.settings import Settings, SwitchSettings, addresses
from edri_sim.topology import NodeSpec, Topology, unknown

Ready = Callable[[], None]
Beside = Callable[[Node], Coroutine[Any, Any, None]]
"""Does something for a running node until it is cancelled."""


def _nothing() -> None:
    """Nobody wants to know."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the fastest loop that is installed: that of the extra ``fast``, or None for asyncio's own."""
    if find_spec("uvloop") is None:
        return None
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return new_event_loop


async def serve(*nodes: Node) -> None:
    """Run nodes until Ctrl-C or SIGTERM, then drain them, the last one first.

    ``asyncio.run(serve(Node("photos", Images)))`` is a whole program. It ends with KeyboardInterrupt on Ctrl-C, and
    with exit code 143 on SIGTERM. Raises what a node's start raises.
    """
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node)
        await asyncio.get_running_loop().create_future()


# Nodes


async def run_node(
    topology: Topology, name: str, settings: Settings, *, ready: Ready = _nothing, beside: Beside | None = None
) -> None:
    """Run one node of a topology as a program, and end as :func:`serve` does; ``beside`` runs as long as it.

    Its switches are those of ``settings``, or else where the topology says that they listen. ``ready`` is called once,
    when every one of them has taken the node. Raises SettingsError, DeclarationError, and what the node's start raises.
    """
    plan = NodePlan.of(topology, name, settings)
    joined = asyncio.Event()
    host = LocalHost(settings)
    async with _until_terminated(host), plan.node(host, joined) as node:
        await joined.wait()
        ready()
        if beside is not None:
            await beside(node)
        await asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node of a topology with all that it takes to run it on this machine."""

    spec: NodeSpec
    settings: Settings
    switches: tuple[Address, ...]

    @classmethod
    def of(cls, topology: Topology, name: str, settings: Settings) -> NodePlan:
        """Find the node and check it and its settings. Raises what :func:`node_of` does, and SettingsError."""
        spec = node_of(topology, name)
        switches, _ = switches_of(topology, spec, settings)
        check_durable(spec, settings)
        return cls(spec, settings, switches)

    def node(self, host: Host, joined: asyncio.Event) -> Node:
        """The node, not started yet; ``joined`` is set as soon as all its switches have taken it."""
        spec = self.spec
        if not self.switches:
            joined.set()
            return Node(spec.name, *spec.parts, host=host, settings=self.settings)

        lines = _telling(switch_lines([str(address) for address in self.switches]), joined)

        def uplink(outbox: DurableOutbox | None) -> Connector:
            return Connector(lines, outbox=outbox)

        return Node(spec.name, *spec.parts, durable=spec.durable, uplink=uplink, host=host, settings=self.settings)


def _telling(make: FabricOf, joined: asyncio.Event) -> FabricOf:
    """The same lines, which set ``joined`` as soon as all of them are up."""

    def telling(node: NodeContext, needed: Callable[[], bool]) -> Any:
        fabric: Any = make(node, needed)
        tell = fabric.on_line

        def on_line(line: SwitchLine, up: bool) -> None:
            tell(line, up)
            if all(one.up for one in fabric.lines):
                joined.set()

        fabric.on_line = on_line
        return fabric

    return telling


def node_of(topology: Topology, name: str) -> NodeSpec:
    """A node, by its name, of a topology that can run.

    Raises:
        SettingsError: there is none of that name; the nearest that there is, is named.
        DeclarationError: what :meth:`~edri_sim.topology.Topology.check` says of the topology.
    """
    topology.check()
    if name not in topology.nodes:
        raise SettingsError(f"topology {topology.name!r}: {unknown('node', name, topology.nodes)}")
    return topology.nodes[name]


def switches_of(topology: Topology, spec: NodeSpec, settings: Settings) -> tuple[tuple[Address, ...], str]:
    """The addresses of a node's switches, and whether they are of the ``settings`` or of the ``topology``.

    Raises SettingsError where a switch has none.
    """
    if settings.switches:
        return _addresses(settings.switches), "settings"
    missing = [name for name in spec.switches if not topology.switches[name].address]
    if missing:
        raise SettingsError(
            f"node {spec.name!r}: switch {missing[0]!r} has no address: give --switch HOST:PORT, set EDRI_SWITCHES, or"
            f" say topology.switch({missing[0]!r}, address='HOST:PORT')"
        )
    return tuple(Address.parse(topology.switches[name].address) for name in spec.switches), "topology"


def _addresses(text: str) -> tuple[Address, ...]:
    return tuple(Address(*pair) for pair in addresses(text))


# Switches


async def run_switch(settings: SwitchSettings, *, ready: Ready = _nothing) -> None:
    """Run a switch as a program, with its status endpoint, and end as :func:`serve` does.

    ``ready`` is called once it listens. Raises SettingsError, for an address that is taken as well.
    """
    (address,) = _addresses(settings.listen)
    status = _addresses(settings.status)
    host = LocalHost()
    for place in status:
        check_status(place, host, settings)
    switch = Switch(settings.name, settings.listen, host, SwitchConfig.of(settings))
    async with _until_terminated(host), AsyncExitStack() as stack:
        await _listen(stack, switch, f"switch {settings.name!r}", address, "--listen")
        for place in status:
            server = StatusServer(place, switch.status)
            await _listen(stack, server, f"the status of switch {settings.name!r}", place, "--status")
            NodeLog("switch", settings.name, host.now).info("switch %s shows its status at %s", settings.name, place)
        ready()
        await asyncio.get_running_loop().create_future()


async def _listen(
    stack: AsyncExitStack, server: AbstractAsyncContextManager[Any], what: str, address: Address, option: str
) -> None:
    try:
        await stack.enter_async_context(server)
    except OSError as error:
        raise SettingsError(
            f"{what} can't listen at {address}: {_reason(error)}; choose another with {option}"
        ) from error


def _reason(error: OSError) -> str:
    """The system's words alone: asyncio's have a call and a number in them."""
    if error.errno == errno.EADDRINUSE:
        return "the port is taken"
    # What looks for names has numbers of its own, below zero.
    words = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error.strerror or error)
    return words[:1].lower() + words[1:]


@asynccontextmanager
async def _until_terminated(host: Host) -> AsyncIterator[None]:
    """SIGTERM ends the block, also while it starts, in good order, and then the program with exit code 143."""
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def stop() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    undo = host.on_terminate(stop)
    try:
        yield
    except asyncio.CancelledError:
        if not terminated:
            raise
        raise SystemExit(TERMINATED) from None
    finally:
        undo()
