"""In real time, with hours of a twentieth of a second: ``python examples/cached_download/hurry.py``."""

from __future__ import annotations

import asyncio

from edri_sim import Node, Scheduler, Store, part
from edri_sim.scheduling import Schedule
from system import URL, Cache, Refresh, Site, read_often

HOUR = 0.05
"""Seconds."""


async def main() -> None:
    site = Site(HOUR)
    async with Node("office", Scheduler, Store, part(Cache, HOUR), lambda: site) as node:
        await node.request(Schedule(Refresh(URL), every=HOUR, id="hourly"))
        print(await read_often(node, 100, HOUR / 10))
        print(f"the site has answered {site.answers} times")


if __name__ == "__main__":
    asyncio.run(main())
