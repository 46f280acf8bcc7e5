"""The shop and its customers in simulated time: ``python examples/three_routers/simulate.py``."""

from __future__ import annotations

from customers import spend_a_day
from edri_sim import Simulation
from system import topology


def main() -> None:
    with Simulation(topology, seed=7) as simulation:
        day = simulation.run(spend_a_day(simulation.node("web")), until=60)
        assert day is not None
        print(f"after {simulation.now:.2f} simulated seconds:\n{day.summary()}")


if __name__ == "__main__":
    main()
