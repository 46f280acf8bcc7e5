"""The public face: run on both loops here, type-checked in test_typing."""

from __future__ import annotations

import asyncio

from edri_sim import Settings
from edri_sim.host import current_host
from tests.realtime.programs import free_address
from tests.typing import face
from tests.worlds import World


def test_by_hand(world: World) -> None:
    path, *seen = world.run(face.by_hand)
    assert path == "cat.jpg.small"
    assert sorted(seen) == ["cat.jpg", "dog.jpg"]


def test_a_schedule(world: World) -> None:
    assert world.run(face.scheduled) == "owl"


def test_over_a_switch(world: World) -> None:
    async def main() -> str:
        host = current_host(asyncio.get_running_loop(), Settings())
        return await face.over_a_switch("main:7000" if world.simulated else free_address(), host)

    assert world.run(main) == "cat.jpg.small"


def test_a_topology_in_simulated_time() -> None:
    run = face.simulated()
    assert run.count("face.Resize", "replied") == 1
    assert 0.2 < run.percentiles("face.Resize")[50] < 1


async def test_a_scenario_on_both_loops() -> None:
    simulated, real = await face.on_both_loops()
    assert (simulated.simulated, real.simulated) == (True, False)
    for run in (simulated, real):
        assert run.tallies[0].offered == run.count("face.Resize", "replied") > 5
    assert "face.Resize p95" in str(simulated.compare(real))
