"""The network of a topology: nodes around their switches, lines coloured by whether they were up at a moment."""

from __future__ import annotations

import math
from typing import NamedTuple

import networkx as nx
from matplotlib.axes import Axes

from edri_sim.faults import LastingLinkFault, OneWay
from edri_sim.run import SECOND, Run
from edri_sim.topology import Topology
from edri_sim.traffic import Crossing, Period
from edri_sim.viz.theme import FAINT, INK, PAPER, axes, title

NODE, SWITCH = ("o", "#dbeaf5", "#0072B2"), ("s", "#fff4cc", "#b58900")
"""Shape, fill and edge."""
UP, DOWN, UNKNOWN = "#009E73", "#D55E00", "#9aa0a6"
_MANY = 40
"""Nodes above which labels are small, and figures on the lines are left out."""
_JOINS = (LastingLinkFault.join, OneWay.join)
_ROOM = 0.4
"""How far the picture reaches above and below its middle, at least."""

Point = tuple[float, float]


class Line(NamedTuple):
    """A link at a moment: ``up`` is None where nothing is known; ``faults`` are those that it suffers, in words.

    ``crossed`` are the events that its node had sent and got by then, over whichever link, and ``waiting`` those in the
    node's outbox: which of its links carried an event, the trace does not say.
    """

    up: bool | None
    crossed: int
    waiting: int
    faults: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether it is down, or suffers a fault: its ends learn of a cut only after a while."""
        return self.up is False or bool(self.faults)

    def __str__(self) -> str:
        troubles = self.faults or (() if self.up else ("down",))
        return "\n".join([*troubles, f"{self.crossed:,}", *([f"{self.waiting:,} wait"] if self.waiting else [])])


def draw_network(ax: Axes | None, topology: Topology, run: Run | None = None, at: float | None = None) -> Axes:
    """Draw the machines and links of a topology; with a run, as they were ``at`` so many seconds (default: its end).

    A node's events are counted on each of its links: with two switches, both of its lines show all of them.
    """
    graph = topology.graph()
    side = 4.2 + 0.9 * math.sqrt(len(graph))
    ax = axes(ax, 1.35 * side, side)
    places = _places(topology, graph)
    moment = None if run is None else run.duration if at is None else at
    for a, b in graph.edges:
        line = Line(None, 0, 0) if run is None or moment is None else line_at(run, a, b, moment)
        _draw_line(ax, places[a], places[b], line, few=len(graph) <= _MANY)
    for name in graph.nodes:
        _draw_machine(ax, name, places[name], SWITCH if name in topology.switches else NODE, few=len(graph) <= _MANY)
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.margins(0.16)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, -_ROOM), max(high, _ROOM))  # Machines in one row would be cut off above and below it.
    title(ax, topology.name if moment is None else f"{topology.name} at {moment:g} s")
    return ax


def _places(topology: Topology, graph: nx.Graph) -> dict[str, Point]:
    """Switches in the middle, nodes in a ring around them, each near its switch."""
    switches = list(topology.switches)

    def first_switch(name: str) -> int:
        return min((switches.index(switch) for switch in topology.nodes[name].switches), default=0)

    ring = sorted(topology.nodes, key=first_switch)
    if not switches:
        return {name: (float(x), float(y)) for name, (x, y) in nx.circular_layout(graph).items()}
    inner = 0.0 if len(switches) == 1 else 0.35
    # Turned, so that no node sees two switches in one line: its link to the far one would hide that to the near one.
    turn = math.pi / (2 * max(1, len(ring)))
    return {**_on_circle(switches, inner, turn), **_on_circle(ring, 1.0)}


def _on_circle(names: list[str], radius: float, turn: float = 0.0) -> dict[str, Point]:
    step = 2 * math.pi / max(1, len(names))
    angles = [math.pi - turn - place * step for place in range(len(names))]
    return {
        name: (radius * math.cos(angle), radius * math.sin(angle)) for name, angle in zip(names, angles, strict=True)
    }


def line_at(run: Run, a: str, b: str, at: float) -> Line:
    """How the link between two machines was at a moment, in seconds of the run."""
    moment = run.began + round(at * SECOND)
    lines = run.traffic.lines
    faults = tuple(
        name.rpartition(" ")[0] for name, period in run.traffic.faults if _covers(period, moment) and _is_of(name, a, b)
    )
    known = next(((node, switch) for node, switch in ((a, b), (b, a)) if (node, switch) in lines), None)
    if known is None:
        return Line(None, 0, 0, faults)
    node, _ = known
    ours = [each for each in run.traffic.crossings.values() if node in (each.source, each.target)]
    crossed = sum(each.delivered is not None and each.delivered <= moment for each in ours)
    waiting = sum(
        each.source == node and each.accepted is not None and _covers(Period(each.accepted, _end(each)), moment)
        for each in ours
    )
    return Line(any(_covers(period, moment) for period in lines[known]), crossed, waiting, faults)


def _end(crossing: Crossing) -> int | None:
    """When the outbox let go of it."""
    return crossing.delivered if crossing.delivered is not None else crossing.given_up


def _is_of(fault: str, a: str, b: str) -> bool:
    """Whether a fault, by its name in the trace, is one of the link between these two, in either direction."""
    link = fault.rpartition(" ")[2]
    return link in (f"{one}{join}{other}" for one, other in ((a, b), (b, a)) for join in _JOINS)


def _covers(period: Period, moment: int) -> bool:
    return period.start <= moment and (period.end is None or moment < period.end)


def _draw_line(ax: Axes, a: Point, b: Point, line: Line, *, few: bool) -> None:
    colour = DOWN if line.broken else UNKNOWN if line.up is None else UP
    width = 1.6 + 0.5 * math.log10(1 + line.crossed)
    ax.plot(
        [a[0], b[0]], [a[1], b[1]], color=colour, linewidth=width if few else 1.0, zorder=1,
        linestyle=(0, (4, 3)) if line.broken else "-", solid_capstyle="round",
    )  # fmt: skip
    if not few or line.up is None:
        return
    ax.text(
        (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, str(line), ha="center", va="center", fontsize=8.5, color=INK, zorder=3,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.9},
    )  # fmt: skip


def _draw_machine(ax: Axes, name: str, place: Point, look: tuple[str, str, str], *, few: bool) -> None:
    shape, fill, edge = look
    ax.plot(*place, shape, markersize=38 if few else 9, markerfacecolor=fill, markeredgecolor=edge, zorder=4)
    if few:
        ax.text(*place, name, ha="center", va="center", fontsize=9, fontweight="bold", color=INK, zorder=5)
    else:
        outward = math.hypot(*place) or 1.0
        x, y = (1.07 * coordinate / outward * max(outward, 0.1) for coordinate in place)
        angle = math.degrees(math.atan2(y, x))
        flip = abs(angle) > 90
        ax.text(
            x, y, name, ha="right" if flip else "left", va="center", rotation=angle - 180 if flip else angle,
            rotation_mode="anchor", fontsize=5.5, color=FAINT, zorder=5,
        )  # fmt: skip
