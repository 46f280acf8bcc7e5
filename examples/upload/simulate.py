"""An upload over a line that is cut, in simulated time: ``python examples/upload/simulate.py``."""

from __future__ import annotations

from hashlib import sha256

from edri_sim import Simulation
from edri_sim.faults import Outage
from system import Progress, office, upload

CONTENT = bytes(range(256)) * 8_192
"""2 MiB."""


async def watch(simulation: Simulation) -> None:
    def tell(progress: Progress) -> None:
        print(f"t={simulation.now:.1f} s: {progress.size // 1024} KiB")

    digest = await upload(simulation.node("camera"), "sky.raw", CONTENT, tell)
    print("whole" if digest == sha256(CONTENT).hexdigest() else "damaged")


def main() -> None:
    cut = Outage("camera", "hub", at=0.4, duration=2.0)
    with Simulation(office(), seed=7, faults=[cut]) as simulation:
        simulation.run(watch(simulation))


if __name__ == "__main__":
    main()
