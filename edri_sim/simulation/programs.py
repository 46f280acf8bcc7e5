"""What the hosts of a topology run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edri_sim.links.address import DEFAULT_PORT
from edri_sim.links.connector import Connector
from edri_sim.links.switch import Switch
from edri_sim.links.tcp import Credentials, switch_lines

if TYPE_CHECKING:
    from edri_sim.node import Uplinks
    from edri_sim.simulation.host import SimulatedHost
    from edri_sim.topology import NodeSpec, SwitchSpec


def switch_address(name: str) -> str:
    """Where a switch of the topology listens in simulated time: a host's address is its name."""
    return f"{name}:{DEFAULT_PORT}"


def uplink_of(spec: NodeSpec) -> Uplinks:
    """Lines that show nothing, whatever the settings say: a simulated switch asks for neither token nor certificate."""
    lines = switch_lines([switch_address(name) for name in spec.switches], Credentials())
    return lambda outbox: Connector(lines, outbox=outbox)


async def switch_program(spec: SwitchSpec, host: SimulatedHost) -> None:
    """What a switch's host runs, in each of its lives."""
    async with Switch(spec.name, switch_address(spec.name), host):
        await asyncio.get_running_loop().create_future()
