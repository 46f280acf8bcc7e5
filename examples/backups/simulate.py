"""A year of backups in simulated time: ``python examples/backups/simulate.py``."""

from __future__ import annotations

from edri_sim import Simulation
from system import CountBackups, arrange, office

DAY = 86_400.0


def main() -> None:
    shelf: dict[str, int] = {}
    with Simulation(office(shelf), seed=7, trace="counters") as simulation:
        node = simulation.node("office")
        for info in simulation.run(arrange(node)) or []:
            print(f"{info.id}: {info.cron} in {info.tz}, next at {info.next:%Y-%m-%d %H:%M} UTC")
        simulation.run(until=100.5 * DAY)
        node.host.crash()
        simulation.run(until=103.5 * DAY)
        node.host.restart()
        simulation.run(until=365 * DAY)
        print(f"after a year, three days of it without power: {simulation.run(node.request(CountBackups()))}")


if __name__ == "__main__":
    main()
