"""Readings from every city of a real backbone: what distance costs, and what a cut cable costs.

python examples/backbones/simulate.py            # GEANT, the research network of Europe
python examples/backbones/simulate.py abilene    # Abilene, that of the United States in 2004

The networks are those of the Internet Topology Zoo, as topohub has them.
"""

from __future__ import annotations

import re
from typing import Any

import networkx as nx
import topohub

from edri_sim import Manager, Notification, Topology, event, handles

NETWORKS = {"geant": "topozoo/Geant2012", "abilene": "topozoo/Abilene"}

FIBRE = 200_000.0
"""Kilometres per second: light in glass, two thirds of that in a vacuum."""

IN_TOWN = 0.0001
"""Seconds from the hub to the machine of its own city."""


@event(name="backbones.Reading")
class Reading(Notification):
    """A city reports."""

    number: int


class Archive(Manager):
    """Keeps all readings, in the city that is nearest to all others."""

    @handles
    async def keep(self, event: Reading) -> None:
        """It is the journey that counts here."""


def network(name: str) -> nx.Graph:
    """The cities and cables of a backbone; ``km`` is a cable's length, and the graph's ``centre`` the central city."""
    found: dict[str, Any] = topohub.get(NETWORKS[name])
    names = {node["id"]: _name(node["name"]) for node in found["nodes"]}
    graph = nx.Graph(name=name)
    graph.add_nodes_from(names.values())
    for cable in found["edges"]:
        graph.add_edge(names[cable["source"]], names[cable["target"]], km=cable["dist"], latency=cable["dist"] / FIBRE)
    graph.graph["centre"] = max(graph, key=nx.closeness_centrality(graph, distance="km").__getitem__)
    return graph


def _name(city: str) -> str:
    return re.sub("[^a-z0-9]+", "-", city.lower())


def backbone(graph: nx.Graph) -> Topology:
    """A node in each city, and one switch in the central one, which also has the archive."""
    topology = graph.copy()
    centre = graph.graph["centre"]
    nx.set_node_attributes(topology, "hub", "switch")
    topology.add_node("hub", kind="switch")
    topology.add_edge("hub", centre, latency=IN_TOWN)
    topology.nodes[centre]["parts"] = [Archive]
    return Topology.from_graph(topology)
