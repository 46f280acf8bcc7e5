"""edri-sim in simulated time: the same runtime, with a full trace and without."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.sides import measure, model
from benchmarks.sides.components import Echo, Service, SleepingService, echo_request
from edri_sim import Manager, Node, Simulation, service

TIMEOUT = 60.0
"""The deadline of each request, in simulated seconds."""

SERVICE = {Echo: service.Service(wait=model.SERVICE_TIME)}
"""What a request costs: the simulation's way to say what by hand is a timeout in the worker."""


async def _client(node: Node, requests: int) -> None:
    for _ in range(requests):
        await node.request(echo_request(), timeout=TIMEOUT)


async def _main(manager: type[Manager], requests: int) -> float:
    loop = asyncio.get_running_loop()
    async with Node("bench", manager) as node:
        start = loop.time()
        async with asyncio.TaskGroup() as clients:
            for _ in range(model.CLIENTS):
                clients.create_task(_client(node, requests))
        return loop.time() - start


def _run(requests: int, trace: str, manager: type[Manager] = Service, costs: Any = None) -> float:
    with Simulation(seed=1, trace=trace, service=SERVICE if costs is None else costs) as simulation:
        return simulation.run(_main(manager, requests))


if __name__ == "__main__":
    measure.main(
        {
            "simulated-requests": lambda: model.per_wall_second(lambda requests: _run(requests, "full")),
            "simulated-requests-untraced": lambda: model.per_wall_second(lambda requests: _run(requests, "off")),
            "simulated-requests-sleeping": lambda: model.per_wall_second(
                lambda requests: _run(requests, "full", SleepingService, {})
            ),
        }
    )
