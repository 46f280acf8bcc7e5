"""What the hosts of a topology run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edri_sim.simulation.host import SimulatedHost
    from edri_sim.topology import SwitchSpec


async def switch_program(spec: SwitchSpec, host: SimulatedHost) -> None:  # noqa: ARG001
    """What a switch's host runs, in each of its lives."""
    await asyncio.get_running_loop().create_future()
