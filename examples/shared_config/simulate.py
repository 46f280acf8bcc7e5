"""The same in simulated time; and then the shelf loses its power: ``python examples/shared_config/simulate.py``."""

from __future__ import annotations

import asyncio

from desk import gates_show, set_limits
from edri_sim import Simulation, Store
from system import KEY, Limits, ReadSign, topology

topology.node("desk", switch="hub")


async def story(simulation: Simulation) -> None:
    desk, shelf = simulation.node("desk"), simulation.node("shelf").host
    await desk.subscribed(ReadSign, 2)
    print(await set_limits(desk))
    shelf.crash()
    print(f"while the shelf is without power, {await desk.request(ReadSign())}")
    await asyncio.sleep(60)
    shelf.restart()
    store = Store.of(desk)
    print(f"and then it has {await store.get(KEY, Limits)}")
    await store.set(KEY, Limits(uploads=50, megabytes=50))
    await gates_show(desk, Limits(uploads=50, megabytes=50))
    print("and both gates follow it again")


def main() -> None:
    with Simulation(topology, seed=7) as simulation:
        simulation.run(story(simulation))


if __name__ == "__main__":
    main()
