"""Run as a program: a scenario whose nodes are processes, one of them with workers, one of them paused for long."""

from __future__ import annotations

import asyncio

from edri_sim import Topology, faults, load, run_real
from edri_sim.scenario import Scenario
from tests.lab import shop


def crowd() -> Scenario:
    topology = Topology("crowd")
    topology.switch("hub")
    topology.node("door", switch="hub")
    topology.node("shop", shop.Press, switch="hub")
    orders = load.Constant(shop.order, rate=20, node="door")
    return Scenario(topology, duration=600, load=[orders], faults=[faults.Pause("door", at=0.2, duration=500)])


if __name__ == "__main__":
    asyncio.run(run_real(crowd()))
