"""A shift at the press in simulated time: ``python examples/supervised/simulate.py``."""

from __future__ import annotations

from edri_sim import Simulation
from system import shift


def main() -> None:
    with Simulation(seed=7) as simulation:
        simulation.run(shift(pace=1.0))
        print(f"the shift took {simulation.now / 60:.1f} minutes")


if __name__ == "__main__":
    main()
