"""A topology as a graph of networkx: machines are its nodes, links its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edri_sim.errors import DeclarationError

if TYPE_CHECKING:
    import networkx as nx

    from edri_sim.topology import Topology

NODE, SWITCH = "node", "switch"
_OF_SWITCH = ("address", "cores", "costs")
_OF_NODE = ("switch", "cores", "costs", "durable")
_OF_LINK = ("latency", "jitter", "bandwidth", "queue")


def read(graph: nx.Graph, topology: Topology) -> None:
    """Add what a graph has. Raises DeclarationError."""
    if graph.is_directed():
        raise DeclarationError(f"graph {graph.name!r} is directed, and links are the same both ways: to_undirected()")
    machines: list[tuple[Any, Mapping[str, Any]]] = list(graph.nodes(data=True))
    for name, data in machines:
        if data.get("kind", NODE) not in (NODE, SWITCH):
            raise DeclarationError(f"graph node {name!r}: kind={data['kind']!r}: expected {NODE!r} or {SWITCH!r}")
    for name, data in machines:
        if data.get("kind") == SWITCH:
            topology.switch(_name(name), **_some(data, _OF_SWITCH))
    for name, data in machines:
        if data.get("kind") != SWITCH:
            topology.node(_name(name), *data.get("parts", ()), link=False, **_some(data, _OF_NODE))
    for a, b, data in graph.edges(data=True):
        topology.link(a, b, **_some(data, _OF_LINK))


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise DeclarationError(f"graph node {name!r}: expected a name: networkx.relabel_nodes(graph, names)")
    return name


def _some(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


def written(topology: Topology, graph: nx.Graph) -> nx.Graph:
    """Add a topology to an empty graph, and return it."""
    for switch in topology.switches.values():
        graph.add_node(switch.name, kind=SWITCH, address=switch.address, cores=switch.cores, costs=switch.costs)
    for node in topology.nodes.values():
        graph.add_node(
            node.name, kind=NODE, parts=list(node.parts), switch=list(node.switches), cores=node.cores,
            costs=node.costs, durable=node.durable,
        )  # fmt: skip
    for link in topology.links.values():
        figures = asdict(link)
        graph.add_edge(figures.pop("a"), figures.pop("b"), **figures)
    return graph
