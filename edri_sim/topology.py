"""Which nodes a system has, as data."""

from __future__ import annotations

from dataclasses import dataclass

from edri_sim.errors import DeclarationError
from edri_sim.managers.pool import check_count
from edri_sim.names import check_name
from edri_sim.node import PartFactory
from edri_sim.service import Costs


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node on a host of its own: the factories of its parts, and what its machine has."""

    name: str
    parts: tuple[PartFactory, ...]
    cores: int
    costs: Costs


class Topology:
    """The nodes of a system, by name."""

    def __init__(self, name: str) -> None:
        self.name = check_name("topology", name)
        self.nodes: dict[str, NodeSpec] = {}

    def node(self, name: str, *parts: PartFactory, cores: int = 1, costs: Costs | None = None) -> NodeSpec:
        """Add a node with ``parts`` (manager classes, or :func:`part` objects) on a host of ``cores`` cores.

        Raises:
            DeclarationError: the name is taken or malformed, a part is no factory, or ``cores`` is below 1.
        """
        check_name("node", name)
        if name in self.nodes:
            raise DeclarationError(f"topology {self.name!r} has a node {name!r} already")
        check_count(f"node({name!r}, cores", cores, 1)
        for factory in parts:
            if not callable(factory):
                raise DeclarationError(f"node {name!r}: part {factory!r} is no factory; pass the class or part(...)")
        spec = self.nodes[name] = NodeSpec(name, parts, cores, costs or Costs())
        return spec

    def __repr__(self) -> str:
        return f"<Topology {self.name}: {', '.join(self.nodes) or 'no nodes'}>"
