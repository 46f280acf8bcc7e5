"""edri-sim in simulated time, by the number of nodes: what an event costs, and what a node takes.

Five nodes answer, and all others ask one of them each half second: a request is the same work, however many they are.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from resource import getpagesize
from time import process_time

from benchmarks.sides import measure
from benchmarks.sides.components import Service, echo_request
from edri_sim import Node, Simulation, Topology

SERVERS = 5
REQUESTS = 10_000
"""In all, but for the first of each node to each server, with which they get to know each other."""
PAUSE = 0.5
"""Simulated seconds between two requests of a node."""
COMMON = "hub"


def topology(nodes: int, switches: int) -> Topology:
    """Nodes that all share one switch, and each one of the others, too."""
    made = Topology("scale")
    others = [f"{COMMON}-{number}" for number in range(1, switches)]
    for name in (COMMON, *others):
        made.switch(name)
    for number in range(nodes):
        name, parts = (f"server-{number}", [Service]) if number < SERVERS else (f"client-{number}", [])
        made.node(name, *parts, switch=[COMMON, *others[number % len(others) :][:1]] if others else COMMON)
    return made


async def _ask(client: Node, times: int) -> None:
    for _ in range(times):
        await client.request(echo_request(), timeout=10)
        await asyncio.sleep(PAUSE)


async def _all_ask(simulation: Simulation, times: int) -> int:
    clients = [simulation.node(name) for name in simulation.nodes if name.startswith("client")]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(_ask(client, times))
    return times * len(clients)


async def _cost(simulation: Simulation, times: int) -> float:
    await _all_ask(simulation, SERVERS)
    began = process_time()
    count = await _all_ask(simulation, times)
    return (process_time() - began) / count * 1e6


def cost(nodes: int, switches: int = 1) -> float:
    """Microseconds of CPU for each request, its reply and all that goes on meanwhile."""
    with Simulation(topology(nodes, switches), seed=1, trace="counters") as simulation:
        spent: float = simulation.run(_cost(simulation, max(1, REQUESTS // (nodes - SERVERS))))
        return spent


async def _memory(simulation: Simulation) -> int:
    await _all_ask(simulation, SERVERS)
    gc.collect()
    return _occupied()


def _occupied() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def _resident(nodes: int) -> int:
    with Simulation(topology(nodes, 1), seed=1, trace="counters") as simulation:
        resident: int = simulation.run(_memory(simulation))
        return resident


def memory(nodes: int) -> float:
    """Kilobytes for each node, its connections and its share of the switch, beyond what ten nodes take."""
    least = _resident(10)
    return (_resident(nodes) - least) / (nodes - 10) / 1e3


if __name__ == "__main__":
    measure.main(
        {
            "scale-1000": lambda: cost(1_000),
            "scale-switches": lambda: cost(1_000, 10),
            "scale-5000": lambda: cost(5_000),
            "scale-memory": lambda: memory(1_000),
            "scale-memory-5000": lambda: memory(5_000),
        }
    )
