"""What the hosts of a topology run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edri_sim.links.address import DEFAULT_PORT
from edri_sim.links.switch import Switch

if TYPE_CHECKING:
    from edri_sim.simulation.host import SimulatedHost
    from edri_sim.topology import SwitchSpec


def switch_address(name: str) -> str:
    """Where a switch of the topology listens in simulated time: a host's address is its name."""
    return f"{name}:{DEFAULT_PORT}"


async def switch_program(spec: SwitchSpec, host: SimulatedHost) -> None:
    """What a switch's host runs, in each of its lives."""
    async with Switch(spec.name, switch_address(spec.name), host):
        await asyncio.get_running_loop().create_future()
