"""Which nodes and switches a system has and which links join their machines, as data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from edri_sim.errors import DeclarationError
from edri_sim.managers.pool import check_count
from edri_sim.names import check_name
from edri_sim.node import PartFactory
from edri_sim.service import Costs, check_amount

LATENCY = 0.0005
"""Seconds that bytes take over a link unless it is given another latency: machines in one hall."""

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_HIGHEST_PORT = 65_535

Pair = tuple[str, str]
"""The names of a link's two ends, in the order of the alphabet."""


@dataclass(frozen=True, slots=True)
class SwitchSpec:
    """One switch on a host of its own. ``address`` is where it listens in real time: "host:port", or "" for none."""

    name: str
    address: str
    cores: int
    costs: Costs


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node on a host of its own: the factories of its parts, its switches, and what its machine has.

    A ``durable`` node keeps on disk what it has sent and was not acknowledged, so that it survives a crash.
    """

    name: str
    parts: tuple[PartFactory, ...]
    switches: tuple[str, ...]
    cores: int
    costs: Costs
    durable: bool


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A cable between two machines, the same in both directions; ``str()`` names it.

    ``latency`` is seconds, and ``jitter`` the most that chance adds to it for a piece of data, in seconds.
    ``bandwidth`` is bytes per second, and ``queue`` the bytes that may wait for their turn at it; None is unlimited.
    """

    a: str
    b: str
    latency: float = LATENCY
    jitter: float = 0.0
    bandwidth: float | None = None
    queue: int | None = None

    def __post_init__(self) -> None:
        where = f"link({self.a!r}, {self.b!r}"
        check_amount(f"{where}, latency", self.latency, least=0)
        check_amount(f"{where}, jitter", self.jitter, least=0)
        if self.bandwidth is not None:
            check_amount(f"{where}, bandwidth", self.bandwidth)
        if self.queue is not None:
            check_count(f"{where}, queue", self.queue, 1)

    def __str__(self) -> str:
        return f"{self.a}-{self.b}"


class Topology:
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
            _check_address(name, address)
        spec = self.switches[name] = SwitchSpec(name, address, cores, costs or Costs())
        return spec

    def node(
        self, name: str, *parts: PartFactory, switch: str | Sequence[str] = (), cores: int = 1,
        costs: Costs | None = None, durable: bool = False,
    ) -> NodeSpec:  # fmt: skip
        """Add a node with ``parts`` (manager classes, or :func:`part` objects) on a host of ``cores`` cores.

        ``switch`` names the switches that it connects to; a link of defaults joins it to each, until :meth:`link` gives
        another. A ``durable`` node keeps on disk what it has sent and was not acknowledged.

        Raises:
            DeclarationError: the name is taken or malformed, a part is no factory, a switch is unknown or given twice,
                or ``cores`` is below 1.
        """
        self._check_new("node", name)
        check_count(f"node({name!r}, cores", cores, 1)
        if type(durable) is not bool:
            raise DeclarationError(f"node({name!r}, durable={durable!r}): expected True or False")
        for factory in parts:
            if not callable(factory):
                raise DeclarationError(f"node {name!r}: part {factory!r} is no factory; pass the class or part(...)")
        switches = self._known_switches(name, switch)
        spec = self.nodes[name] = NodeSpec(name, parts, switches, cores, costs or Costs(), durable)
        for other in switches:
            pair = pair_of(name, other)
            self.links[pair] = LinkSpec(name, other)
            self._by_default[pair] = None
        return spec

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


def pair_of(a: str, b: str) -> Pair:
    """The key of the link between two machines, whichever is named first."""
    return (a, b) if a <= b else (b, a)


def unknown(what: str, name: object, known: Iterable[str]) -> DeclarationError:
    """The error for a name that is not ``known``, with the nearest one that is."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    others = f"expected one of {', '.join(names)}" if names else "none is declared"
    hint = f"did you mean {near[0]!r}?" if near else others
    return DeclarationError(f"{what} {name!r} is unknown: {hint}")


def _apart(topology: str, one: NodeSpec, other: NodeSpec) -> DeclarationError:
    (a, at_a), (b, at_b) = ((repr(spec.name), ", ".join(spec.switches)) for spec in (one, other))
    together = [*one.switches, other.switches[0]]
    return DeclarationError(
        f"topology {topology!r}: nodes {a} (at {at_a}) and {b} (at {at_b}) share no switch, and switches do not forward"
        f" to one another: join one of them to a switch of the other too, as in node({a}, switch={together!r})"
    )


def _check_address(name: str, address: object) -> None:
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 1 <= int(match[2]) <= _HIGHEST_PORT:
        raise DeclarationError(
            f"switch({name!r}, address={address!r}): expected 'host:port' with a port from 1 to {_HIGHEST_PORT}"
        )
