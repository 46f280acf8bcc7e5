"""Backups in real time, with nights of a tenth of a second: ``python examples/backups/hurry.py``."""

from __future__ import annotations

import asyncio

from edri_sim import Node, Scheduler, part
from edri_sim.scheduling import Schedule, Unschedule
from system import Backup, CountBackups, Vault

NIGHT = 0.1
"""Seconds."""


async def main() -> None:
    async with Node("office", Scheduler, part(Vault, {})) as node:
        await node.request(Schedule(Backup("orders"), every=NIGHT, id="nightly"))
        await asyncio.sleep(10.5 * NIGHT)
        await node.request(Unschedule("nightly"))
        print(f"after ten nights: {await node.request(CountBackups())}")


if __name__ == "__main__":
    asyncio.run(main())
