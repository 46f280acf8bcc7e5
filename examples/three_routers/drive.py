"""Customers for a shop that runs: ``python examples/three_routers/drive.py``, once ``edri-sim up`` says it is ready.

They come from a node of their own. EDRI_SWITCHES says where the shop's switch is, if not where the topology has it.
"""

from __future__ import annotations

import asyncio
import os

from customers import spend_a_day
from edri_sim import Node, Settings
from system import CountLetters, Buy, topology


async def main() -> None:
    settings = Settings.load(environment=os.environ)
    address = settings.switches or topology.switches["hub"].address
    async with Node("street", switches=address.split(","), settings=settings) as street:
        await street.subscribed(Buy, timeout=5)
        await street.subscribed(CountLetters, timeout=5)
        print((await spend_a_day(street)).summary())


if __name__ == "__main__":
    asyncio.run(main())
