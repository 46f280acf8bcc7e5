"""Who sent which events to whom: read from a trace, and laid out as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import networkx as nx

from edri_sim import trace
from edri_sim.run import Run
from edri_sim.topology import Topology, pools_of

OUTSIDE = "outside"
"""Whoever is no component: the program that uses the node."""


class Flow(NamedTuple):
    """Events of one type that went from one component to another."""

    source: str
    target: str
    type: str


class Cause(NamedTuple):
    """What an event came of: the component whose handler published it, and the event that this handler was at work on.

    ``origin`` is the number of the name of that event's origin in the trace, and ``number`` is its own number there.
    """

    component: str
    origin: int
    number: int


def causes(run: Run) -> dict[tuple[int, int], Cause]:
    """What led to each event that a handler published, by the event's origin and number, in order of publication.

    Of a notification's several handlers at work at once on one machine, the last that began is taken.
    """
    names = run.recorder.names.list()
    at_work: dict[tuple[int, tuple[int, int]], Cause] = {}
    found: dict[tuple[int, int], Cause] = {}
    for _, stage, node, component, origin, number, _, detail in run.recorder.rows():
        if stage == trace.STARTED:
            at_work[node, (origin, number)] = Cause(names[component], origin, number)
        elif stage == trace.CREATED and (parent := trace.cause_of(origin, detail)) is not None:
            cause = at_work.get((node, parent))
            if cause is not None:
                found[origin, number] = cause
    return found


def flows(run: Run) -> dict[Flow, int]:
    """How many events went which way, in order of first use. A handler's events are told by :func:`causes`."""
    names = run.recorder.names.list()
    known = causes(run)
    counts: dict[Flow, int] = {}
    for _, stage, _, component, origin, number, kind, _ in run.recorder.rows():
        if stage == trace.STARTED:
            cause = known.get((origin, number))
            flow = Flow(OUTSIDE if cause is None else cause.component, names[component], names[kind])
            counts[flow] = counts.get(flow, 0) + 1
    return counts


def pool_modes(topology: Topology) -> dict[str, str]:
    """The mode of each pool of a topology, by the pool's label."""
    return {
        f"{spec.name}/{name}": pool.mode for spec in topology.nodes.values() for name, pool in pools_of(spec).items()
    }


def places(counts: Mapping[Flow, int]) -> dict[str, tuple[float, float]]:
    """Where each component stands: events run from left to right, and each node has a place of its own.

    The layers of Sugiyama's method (1981): longest paths once the edges that close a cycle are left out, each column
    in the order of the mean height of those before it.
    """
    graph = _without_cycles(counts)
    at: dict[str, tuple[float, float]] = {}
    for column, layer in enumerate(nx.topological_generations(graph)):
        heights = {name: _mean_height(graph, name, at) for name in layer}
        order = sorted(heights, key=lambda name: -heights[name])  # Stable: first use decides a tie.
        for row, name in enumerate(order):
            at[name] = (float(column), (len(order) - 1) / 2 - row)
    return _with_room(at)


class _Block(NamedTuple):
    """The place of all components of one node, in columns and rows."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> _Block:
        xs, ys = zip(*points, strict=True)
        return cls(min(xs), max(xs), min(ys), max(ys))

    def meets(self, other: _Block) -> bool:
        """Whether they have a column in common, and no row's distance between them."""
        return (
            max(self.left, other.left) <= min(self.right, other.right)
            and max(self.low, other.low) - min(self.high, other.high) < 1
        )


def _with_room(at: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The same places, with nodes moved down where they would have shared theirs with one that came before."""
    nodes: dict[str, list[str]] = {}
    for name in at:
        nodes.setdefault(name.partition("/")[0], []).append(name)
    placed: list[_Block] = []
    moved = dict(at)
    for names in nodes.values():
        block = _Block.around([at[name] for name in names])
        while (above := next((other for other in placed if block.meets(other)), None)) is not None:
            rows = block.high - above.low + 1
            block = block._replace(low=block.low - rows, high=block.high - rows)
            moved.update({name: (moved[name][0], moved[name][1] - rows) for name in names})
        placed.append(block)
    return moved


def _without_cycles(counts: Mapping[Flow, int]) -> nx.DiGraph:
    graph = nx.DiGraph()
    for flow in counts:
        graph.add_nodes_from((flow.source, flow.target))
        if flow.source != flow.target and not nx.has_path(graph, flow.target, flow.source):
            graph.add_edge(flow.source, flow.target)
    return graph


def _mean_height(graph: nx.DiGraph, name: str, at: Mapping[str, tuple[float, float]]) -> float:
    before = [at[other][1] for other in graph.predecessors(name)]
    return sum(before) / len(before) if before else 0.0
