"""edri-sim in simulated time: the same runtime, with a full trace and without."""

from __future__ import annotations

import asyncio

from benchmarks.sides import measure, model
from benchmarks.sides.components import Service, echo_request
from edri_sim import Node, Simulation

TIMEOUT = 60.0
"""The deadline of each request, in simulated seconds."""


async def _client(node: Node, requests: int) -> None:
    for _ in range(requests):
        await node.request(echo_request(), timeout=TIMEOUT)


async def _main(requests: int) -> float:
    loop = asyncio.get_running_loop()
    async with Node("bench", Service) as node:
        start = loop.time()
        async with asyncio.TaskGroup() as clients:
            for _ in range(model.CLIENTS):
                clients.create_task(_client(node, requests))
        return loop.time() - start


def _run(requests: int, trace: str) -> float:
    with Simulation(seed=1, trace=trace) as simulation:
        return simulation.run(_main(requests))


if __name__ == "__main__":
    measure.main(
        {
            "simulated-requests": lambda: model.per_wall_second(lambda requests: _run(requests, "full")),
            "simulated-requests-untraced": lambda: model.per_wall_second(lambda requests: _run(requests, "off")),
        }
    )
