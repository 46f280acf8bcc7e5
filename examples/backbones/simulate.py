"""A minute of a backbone in simulated time, in which its busiest cable is cut: see system.py."""

from __future__ import annotations

import sys
from itertools import pairwise

import networkx as nx

from edri_sim import Run, Scenario, faults, load, simulate
from system import FIBRE, NETWORKS, Reading, backbone, network

CUT = (20.0, 10.0)
"""When the cable is cut, and for how long; seconds."""


def busiest(graph: nx.Graph) -> tuple[str, str]:
    """The cable that most cities need on their way to the centre."""
    ways = nx.single_source_dijkstra_path(graph, graph.graph["centre"], weight="km")
    steps = [tuple(sorted(step)) for way in ways.values() for step in pairwise(way)]
    a, b = max(sorted(set(steps)), key=steps.count)
    return a, b


def minute(graph: nx.Graph) -> Scenario:
    """Each city but the centre reads once a second."""
    cities = [city for city in graph if city != graph.graph["centre"]]
    return Scenario(
        backbone(graph),
        duration=60,
        load=[load.Poisson(Reading, rate=1, node=city) for city in cities],
        faults=[faults.Outage(*busiest(graph), *CUT)],
    )


def show(graph: nx.Graph, run: Run) -> None:
    """The nearest and the farthest cities, and those behind the cable."""
    centre = graph.graph["centre"]
    away = nx.single_source_dijkstra_path_length(graph, centre, weight="km")
    ranked = sorted((city for city in graph if city != centre), key=away.__getitem__)
    print(f"{graph.name}: {len(graph)} cities, {graph.number_of_edges()} cables; the archive is in {centre}")
    for city in (*ranked[:2], *ranked[-2:]):
        journeys = [way.delivered - way.sent[0] for way in run.traffic.between(city, centre) if way.delivered]
        print(
            f"  {city}: {away[city]:.0f} km, {1e3 * away[city] / FIBRE:.2f} ms; measured {min(journeys) / 1e6:.2f} ms"
        )
    (cable,) = run.traffic.faults
    late = {
        way.source for way in run.traffic.crossings.values() if way.delivered and way.delivered - way.sent[0] > 10**9
    }
    print(f"{cable[0]} for {CUT[1]:g} s delayed {len(late)} cities: {', '.join(sorted(late))}")
    print(f"all readings: {run.account()}")


def main(name: str = "geant") -> None:
    if name not in NETWORKS:
        sys.exit(f"{name!r}: expected one of {', '.join(NETWORKS)}")
    graph = network(name)
    show(graph, simulate(minute(graph), seed=7))


if __name__ == "__main__":
    main(*sys.argv[1:])
