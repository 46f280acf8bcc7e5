"""A day in simulated time: ``python examples/cached_download/simulate.py``. From 10:00 to 15:00 the site is away."""

from __future__ import annotations

from edri_sim import Scheduler, Simulation, Store, Topology, part
from edri_sim.scheduling import Schedule
from system import URL, Cache, Refresh, Site, read_often

HOUR = 3_600.0

site = Site(HOUR)
topology = Topology("rates")
topology.node("office", Scheduler, Store, part(Cache, HOUR), lambda: site)


def main() -> None:
    with Simulation(topology, seed=7, trace="counters") as simulation:
        office = simulation.node("office")
        simulation.run(office.request(Schedule(Refresh(URL), cron="0 * * * *", id="hourly")))
        for name, away, hours in (("morning", False, 10), ("the site is away", True, 5), ("evening", False, 9)):
            site.away = away
            print(f"{name}: {simulation.run(read_often(office, 60 * hours, HOUR / 60))}")
        print(f"the site has answered {site.answers} times")


if __name__ == "__main__":
    main()
