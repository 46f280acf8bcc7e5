"""Somebody at a desk: ``python examples/shared_config/drive.py``, once ``edri-sim up`` says that it is ready.

EDRI_SWITCHES says where the switch is, if not where the topology has it.
"""

from __future__ import annotations

import asyncio
import os

from desk import set_limits
from edri_sim import Node, Settings
from edri_sim.storing import Get
from system import ReadSign, topology


async def main() -> None:
    settings = Settings.load(environment=os.environ)
    address = settings.switches or topology.switches["hub"].address
    async with Node("desk", switches=address.split(","), settings=settings) as desk:
        await desk.subscribed(Get, timeout=5)
        await desk.subscribed(ReadSign, 2, timeout=5)
        print(await set_limits(desk))


if __name__ == "__main__":
    asyncio.run(main())
