"""A node whose parts take their time to start gets what was held for it."""

from __future__ import annotations

import asyncio

from edri_sim import Manager, Simulation, Topology, handles, part
from edri_sim.faults import Kill
from tests.realtime.torrent import Drop


class Slow(Manager):
    """Starts a second late, as one with a pool of processes may."""

    def __init__(self, got: list[int]) -> None:
        self._got = got

    async def start(self) -> None:
        await asyncio.sleep(1)

    @handles
    async def on_drop(self, event: Drop) -> None:
        self._got.append(event.number)


def test_what_is_held_for_a_new_life_waits_until_its_parts_have_started() -> None:
    got: list[int] = []
    topology = Topology("slow")
    topology.switch("hub")
    topology.node("sender", switch="hub")
    topology.node("slow", part(Slow, got), switch="hub")

    async def main(simulation: Simulation) -> None:
        sender = simulation.node("sender")
        await sender.subscribed(Drop)
        await asyncio.sleep(2.5 - simulation.now)
        for number in range(3):  # The node is down then, and it wants them once it has started again.
            await sender.notify(Drop(number))
        await asyncio.sleep(5)

    with Simulation(topology, faults=[Kill("slow", at=2, restart_after=1)]) as simulation:
        simulation.run(main(simulation))
        crossings = list(simulation.result().traffic.crossings.values())
    assert got == [0, 1, 2]
    assert [crossing.given_up for crossing in crossings] == [None] * 3
