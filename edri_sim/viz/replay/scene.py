"""What stands still in a replay: machines and the links between them, or within one node its components."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from edri_sim.faults import LastingLinkFault, OneWay
from edri_sim.run import SECOND, Run
from edri_sim.topology import Topology, pair_of
from edri_sim.viz import flows, layout
from edri_sim.viz.layout import Point

_ROUTER = "/router"
_JOINS = (LastingLinkFault.join, OneWay.join)

Periods = list[tuple[float, float]]
"""From when to when, in seconds since the run began."""


class Vertex(NamedTuple):
    """One thing that events come from and go to. ``kind`` is node, switch, manager, pool or outside."""

    name: str
    label: str
    kind: str
    at: Point


class Link(NamedTuple):
    """Two vertices that are joined, by number; ``up`` is when the line over it stood, None where nothing is known."""

    a: int
    b: int
    up: Periods | None


class Trouble(NamedTuple):
    """A fault: its name, when it lasted, and which links and which vertex it was of, by number."""

    name: str
    period: tuple[float, float]
    links: list[int]
    vertex: int | None


class Scene(NamedTuple):
    """All that does not move. ``machines`` says whether the vertices are machines, or a single node's components."""

    machines: bool
    vertices: list[Vertex]
    links: list[Link]
    troubles: list[Trouble]
    room: Point
    numbers: Mapping[str, int]
    """The number of each vertex, by its name."""

    def broken(self, link: int, time: float) -> bool:
        """Whether a link, by number, was down or at fault at a time; before it first stood it was neither."""
        faults = (trouble.period for trouble in self.troubles if link in trouble.links)
        return _within(faults, time) or not (self.unknown(link, time) or _within(self.links[link].up or (), time))

    def unknown(self, link: int, time: float) -> bool:
        """Whether nothing is known of a link at a time: it is not in the trace, or had not stood yet."""
        up = self.links[link].up
        return up is None or (up != [] and time < up[0][0])


def _within(periods: Iterable[tuple[float, float]], time: float) -> bool:
    return any(begin <= time < end for begin, end in periods)


def start_of(run: Run) -> int:
    """When a run began, in nanoseconds on the clock of its rows."""
    return 0 if run.simulated else next((row[0] for row in run.recorder.rows()), 0)


def scene_of(run: Run, topology: Topology | None = None) -> Scene:
    """The machines that took part in a run, or that a topology declares; of a single node, its components instead."""
    machines = _recorded(run) if topology is None else _declared(topology)
    if len(machines.nodes) + len(machines.switches) == 1:
        return _components(run)
    scene = _standing(machines)
    links = [link._replace(up=_up(run, *ends)) for link, ends in zip(scene.links, machines.links, strict=True)]
    return scene._replace(links=links, troubles=_troubles(run, machines.links, scene.numbers))


def scene_before(topology: Topology) -> Scene:
    """The machines that a topology declares, before anything has run: of no link is it known whether it stands."""
    return _standing(_declared(topology))


class _Machines(NamedTuple):
    """The names of nodes and switches, and the links between them."""

    nodes: list[str]
    switches: list[str]
    links: list[tuple[str, str]]


def _standing(machines: _Machines) -> Scene:
    at, room = layout.places(*machines)
    vertices = [Vertex(name, name, "node", at[name]) for name in machines.nodes]
    vertices += [Vertex(name, name, "switch", at[name]) for name in machines.switches]
    numbers = {vertex.name: number for number, vertex in enumerate(vertices)}
    links = [Link(numbers[a], numbers[b], None) for a, b in machines.links]
    return Scene(True, vertices, links, [], room, numbers)


def _declared(topology: Topology) -> _Machines:
    links = [(link.a, link.b) for link in topology.links.values()]
    return _Machines(list(topology.nodes), list(topology.switches), links)


def _recorded(run: Run) -> _Machines:
    """Those that the trace speaks of."""
    nodes = [label.removesuffix(_ROUTER) for label in run.recorder.slots if label.endswith(_ROUTER)]
    lines = run.traffic.lines
    return _Machines(nodes, list(dict.fromkeys(switch for _, switch in lines)), list(lines))


def _components(run: Run) -> Scene:
    counts = flows.flows(run)
    at = flows.places(counts)
    highest = max((abs(y) for _, y in at.values()), default=0.0) or 1.0
    last = max((x for x, _ in at.values()), default=0.0) or 1.0
    vertices = [
        Vertex(name, _label(name), _kind(name), (layout.WIDE * 0.92 * (2 * x / last - 1), 0.85 * y / highest))
        for name, (x, y) in at.items()
    ]
    numbers = {vertex.name: number for number, vertex in enumerate(vertices)}
    pairs = dict.fromkeys(pair_of(flow.source, flow.target) for flow in counts if flow.source != flow.target)
    links = [Link(numbers[a], numbers[b], None) for a, b in pairs]
    room = (min(0.55, 2.4 * layout.WIDE / (last + 1)), min(0.24, 1 / highest))
    return Scene(False, vertices, links, _troubles(run, [], numbers), room, numbers)


def _label(name: str) -> str:
    return "your program" if name == flows.OUTSIDE else name.partition("/")[2]


def _kind(name: str) -> str:
    if name == flows.OUTSIDE:
        return "outside"
    return "pool" if "." in name.partition("/")[2] else "manager"


def _up(run: Run, a: str, b: str) -> Periods | None:
    lines = run.traffic.lines
    known = lines.get((a, b), lines.get((b, a)))
    return None if known is None else _seconds(run, ((period.start, period.end) for period in known))


def _seconds(run: Run, periods: Iterable[tuple[int, int | None]]) -> Periods:
    start = start_of(run)
    # What did not end lasts at the very end too, and a period is without its end.
    after = math.nextafter(run.duration, math.inf)
    return [((begin - start) / SECOND, after if end is None else (end - start) / SECOND) for begin, end in periods]


def _troubles(run: Run, links: Sequence[tuple[str, str]], numbers: Mapping[str, int]) -> list[Trouble]:
    found = []
    for name, period in run.traffic.faults:
        kind, _, subject = name.rpartition(" ")
        ((begin, end),) = _seconds(run, [(period.start, period.end)])
        hit = [number for number, ends in enumerate(links) if subject in _names(*ends)]
        found.append(Trouble(name, (begin, end), hit, numbers.get(subject) if kind else None))
    return found


def _names(a: str, b: str) -> list[str]:
    """What a fault may call the link between two machines."""
    return [f"{one}{join}{other}" for one, other in ((a, b), (b, a)) for join in _JOINS]
