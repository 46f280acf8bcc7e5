"""Which nodes and switches a system has and which links join their machines, as data."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edri_sim.errors import DeclarationError, MissingExtra
from edri_sim.managers.pool import check_count
from edri_sim.names import check_name
from edri_sim.node import PartFactory
from edri_sim.service import Costs
from edri_sim.shown import Shown
from edri_sim.toml import Document, dump
from edri_sim.topology import files, graphs
from edri_sim.topology.specs import (
    LATENCY,
    MOST_NODES,
    LinkSpec,
    NodeSpec,
    Pair,
    SwitchSpec,
    check_address,
    pair_of,
    pools_of,
    unknown,
)

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["LATENCY", "LinkSpec", "NodeSpec", "Pair", "SwitchSpec", "Topology", "pair_of", "pools_of", "unknown"]


class Topology(Shown):
    """The nodes and switches of a system by name, and the links by the pair of names that they join.

    A machine that is on no link is joined to every other by a wire of the simulation's own; see
    :class:`~edri_sim.simulation.network.Network`.
    """

    def __init__(self, name: str) -> None:
        self.name = check_name("topology", name)
        self.nodes: dict[str, NodeSpec] = {}
        self.switches: dict[str, SwitchSpec] = {}
        self.links: dict[Pair, LinkSpec] = {}
        self._by_default: dict[Pair, None] = {}

    def switch(self, name: str, *, address: str = "", cores: int = 1, costs: Costs | None = None) -> SwitchSpec:
        """Add a switch on a host of ``cores`` cores; ``address`` ("host:port") is where it listens in real time.

        Raises:
            DeclarationError: the name is taken or malformed, the address is malformed, or ``cores`` is below 1.
        """
        self._check_new("switch", name)
        check_count(f"switch({name!r}, cores", cores, 1)
        if address != "":
            check_address(name, address)
        spec = self.switches[name] = SwitchSpec(name, address, cores, costs or Costs())
        return spec

    def node(
        self, name: str, *parts: PartFactory, switch: str | Sequence[str] = (), cores: int = 1,
        costs: Costs | None = None, durable: bool = False, link: bool = True,
    ) -> NodeSpec:  # fmt: skip
        """Add a node with ``parts`` (manager classes, or :func:`part` objects) on a host of ``cores`` cores.

        ``switch`` names the switches that it connects to; a link of defaults joins it to each, until :meth:`link` gives
        another, or none where ``link`` is False: its way there leads over other machines. A ``durable`` node keeps on
        disk what it has sent and was not acknowledged.

        Raises:
            DeclarationError: the name is taken or malformed, a part is no factory, a switch is unknown or given twice,
                or ``cores`` is below 1.
        """
        self._check_new("node", name)
        if len(self.nodes) >= MOST_NODES:
            raise DeclarationError(f"topology {self.name!r} has {MOST_NODES:,} nodes already, and may have no more")
        check_count(f"node({name!r}, cores", cores, 1)
        if type(durable) is not bool:
            raise DeclarationError(f"node({name!r}, durable={durable!r}): expected True or False")
        for factory in parts:
            if not callable(factory):
                raise DeclarationError(f"node {name!r}: part {factory!r} is no factory; pass the class or part(...)")
        switches = self._known_switches(name, switch)
        spec = self.nodes[name] = NodeSpec(name, parts, switches, cores, costs or Costs(), durable)
        for other in switches if link else ():
            pair = pair_of(name, other)
            self.links[pair] = LinkSpec(name, other)
            self._by_default[pair] = None
        return spec

    def replicas(
        self, name: str, count: int, *parts: PartFactory, switch: str | Sequence[str] = (), cores: int = 1,
        costs: Costs | None = None, durable: bool = False, link: bool = True,
    ) -> tuple[NodeSpec, ...]:  # fmt: skip
        """Add ``count`` equal nodes, ``name-1``, ``name-2`` and so on, each as :meth:`node` does.

        Raises:
            DeclarationError: ``count`` is below 1, or what :meth:`node` raises, with none of them added.
        """
        check_count(f"replicas({name!r}, count", count, 1)
        if len(self.nodes) + count > MOST_NODES:
            raise DeclarationError(
                f"replicas({name!r}, count={count}): topology {self.name!r} would have more than {MOST_NODES:,} nodes"
            )
        names = [f"{name}-{number}" for number in range(1, count + 1)]
        for each in names:
            self._check_new("node", each)
        return tuple(
            self.node(each, *parts, switch=switch, cores=cores, costs=costs, durable=durable, link=link)
            for each in names
        )

    def link(
        self, a: str, b: str, *, latency: float = LATENCY, jitter: float = 0.0, bandwidth: float | None = None,
        queue: int | None = None,
    ) -> LinkSpec:  # fmt: skip
        """Join two machines, nodes or switches, by a link that is the same in both directions.

        ``latency`` is seconds, ``jitter`` the most seconds that chance adds to it; ``bandwidth`` is bytes per second,
        and ``queue`` the bytes that may wait for their turn at it (None: unlimited).

        Raises:
            DeclarationError: an end is unknown, both are one, they are linked already, or a figure is out of range.
        """
        for end in (a, b):
            if end not in self.nodes and end not in self.switches:
                raise unknown("node or switch", end, [*self.nodes, *self.switches])
        if a == b:
            raise DeclarationError(f"link({a!r}, {b!r}): a link joins two machines, and these are one")
        pair = pair_of(a, b)
        if pair in self.links and pair not in self._by_default:
            raise DeclarationError(f"topology {self.name!r} has a link between {a!r} and {b!r} already")
        spec = self.links[pair] = LinkSpec(a, b, latency, jitter, bandwidth, queue)
        self._by_default.pop(pair, None)
        return spec

    def check(self) -> None:
        """Refuse what cannot work as a whole. Whoever is about to run it calls this; until then it may grow.

        Two nodes that are joined to switches must have one in common, as switches do not forward to one another. A node
        without a switch is alone, and may be.

        Raises:
            DeclarationError: two nodes share no switch.
        """
        groups: dict[frozenset[str], NodeSpec] = {}
        for spec in self.nodes.values():
            if spec.switches:
                groups.setdefault(frozenset(spec.switches), spec)
        # One node for each set of switches is enough: of many nodes, most are joined to the same ones.
        for one, other in combinations(groups, 2):
            if one.isdisjoint(other):
                raise _apart(self.name, groups[one], groups[other])

    # As files and graphs

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """The topology that a file describes; ``docs/scenarios.md`` says how.

        Raises:
            DeclarationError: the file cannot be read, or says what cannot be; with its line, and the nearest name.
        """
        root = Document(path).root()
        topology = cls(files.name_of(root))
        files.read(root, topology)
        root.done()
        return topology

    def to_toml(self) -> str:
        """What :meth:`from_toml` reads.

        Raises:
            DeclarationError: a part is no class or function of a module, as a lambda is none.
        """
        return dump(files.written(self))

    @classmethod
    def from_graph(cls, graph: nx.Graph, name: str | None = None) -> Self:
        """The topology of a networkx graph: its nodes are machines, its edges links.

        A node of the graph is a switch where its attribute ``kind`` is "switch", and else a node. Their attributes, and
        those of edges, are the arguments of :meth:`switch`, :meth:`node` (``parts`` is a list) and :meth:`link`; others
        are passed over, as the graphs of real networks have many. No link is added to those that the graph has.
        ``name`` is by default the graph's own.

        Raises:
            DeclarationError: the graph is directed, a node's name is none that a machine may have, or an attribute is
                wrong.
        """
        topology = cls(str(graph.name) if name is None else name)
        graphs.read(graph, topology)
        return topology

    def graph(self) -> nx.Graph:
        """The networkx graph that :meth:`from_graph` reads. Raises MissingExtra without the extra ``lab``."""
        try:
            empty = import_module("networkx").Graph(name=self.name)
        except ImportError as error:
            raise MissingExtra("topology.graph()", "lab") from error
        return graphs.written(self, empty)

    def is_default(self, pair: Pair) -> bool:
        """Whether the link is of defaults that came with its node."""
        return pair in self._by_default

    def _check_new(self, kind: str, name: str) -> None:
        check_name(kind, name)
        for taken, there in (("node", self.nodes), ("switch", self.switches)):
            if name in there:
                raise DeclarationError(f"topology {self.name!r} has a {taken} {name!r} already")

    def _known_switches(self, name: str, given: str | Sequence[str]) -> tuple[str, ...]:
        switches = (given,) if isinstance(given, str) else tuple(given)
        for other in switches:
            if other not in self.switches:
                raise unknown(f"node({name!r}, switch={given!r}): switch", other, self.switches)
        if len(dict.fromkeys(switches)) < len(switches):
            raise DeclarationError(f"node({name!r}, switch={given!r}): a switch is given twice")
        return switches

    def __repr__(self) -> str:
        groups = [", ".join(self.nodes) or "no nodes"]
        if self.switches:
            groups.append(f"switches {', '.join(self.switches)}")
        if self.links:
            groups.append(f"links {', '.join(map(str, self.links.values()))}")
        return f"<Topology {self.name}: {'; '.join(groups)}>"


def _apart(topology: str, one: NodeSpec, other: NodeSpec) -> DeclarationError:
    (a, at_a), (b, at_b) = ((repr(spec.name), ", ".join(spec.switches)) for spec in (one, other))
    together = [*one.switches, other.switches[0]]
    return DeclarationError(
        f"topology {topology!r}: nodes {a} (at {at_a}) and {b} (at {at_b}) share no switch, and switches do not forward"
        f" to one another: join one of them to a switch of the other too, as in node({a}, switch={together!r})"
    )
