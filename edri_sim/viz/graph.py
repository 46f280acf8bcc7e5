"""The network graph: components as boxes, event types as arrows between them."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz.flows import OUTSIDE, Flow, flows, places, pool_modes
from edri_sim.viz.theme import FAINT, GRID, INK, PAPER, axes, title

_WIDE, _HIGH = 4.5, 0.95
"""The distance of columns and of rows; a unit of the axes is an inch where the figure is ours."""
_APART = 1.35
"""The distance of rows where there are several nodes, whose frames and names need room."""
_BOX_WIDE, _BOX_HIGH = 2.15, 0.68
_TITLE = 0.3
_BELOW = 0.35
"""How far under the boxes of a row an arrow runs that passes others."""

_FILL = {"outside": "#eceff1", "manager": "#dbeaf5", "process": "#fbe3d6", "thread": "#d8f0e8", "method": "#f6e3ee"}
_EDGE = {"outside": "#7f7f7f", "manager": "#0072B2", "process": "#D55E00", "thread": "#009E73", "method": "#CC79A7"}

Point = tuple[float, float]


def draw_flows(ax: Axes | None, run: Run, topology: Topology | None = None) -> Axes:
    """Draw who sent which events to whom, with counts; pools show their slots and, given the topology, their mode.

    Without axes a figure is made that is large enough for all components.
    """
    counts = flows(run)
    at = _points(counts)
    modes = pool_modes(topology) if topology is not None else {}
    (left, right), (low, high) = _limits(at)
    ax = axes(ax, right - left, high - low + _TITLE)
    _frames(ax, at)
    for name, point in at.items():
        _box(ax, name, point, run, modes)
    for (source, target), lines in _by_pair(counts).items():
        _arrow(ax, at[source], at[target], lines, passes=_passes(at, at[source], at[target]))
    ax.set_axis_off()
    ax.set_aspect("equal")
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
    title(ax, "Who sends what to whom")
    return ax


def _points(counts: Mapping[Flow, int]) -> dict[str, Point]:
    at = places(counts)
    nodes = dict.fromkeys(name.partition("/")[0] for name in at if name != OUTSIDE)
    high = _HIGH if len(nodes) <= 1 else _APART
    return {name: (x * _WIDE, y * high) for name, (x, y) in at.items()}


def _by_pair(counts: Mapping[Flow, int]) -> dict[tuple[str, str], list[str]]:
    pairs: dict[tuple[str, str], list[str]] = {}
    for flow, count in counts.items():
        pairs.setdefault((flow.source, flow.target), []).append(f"{count:,} \N{MULTIPLICATION SIGN} {flow.type}")
    return pairs


def _words(name: str, run: Run, modes: Mapping[str, str]) -> tuple[str, str, str]:
    """The kind of a component, its title and what stands below the title."""
    if name == OUTSIDE:
        return "outside", "your program", "the clients"
    label = name.partition("/")[2] or name
    owner, _, pool = label.partition(".")
    if not pool:
        return "manager", owner, "manager, handlers on the loop"
    slots = run.recorder.slots.get(name, 1)
    mode = modes.get(name, "")
    size = f"{slots} {mode or 'slot'}{'' if slots == 1 else 'es' if mode == 'process' else 's'}"
    return mode or "manager", pool, f"pool of {owner}: {size}"


def _box(ax: Axes, name: str, point: Point, run: Run, modes: Mapping[str, str]) -> None:
    kind, head, below = _words(name, run, modes)
    x, y = point
    box = FancyBboxPatch(
        (x - _BOX_WIDE / 2, y - _BOX_HIGH / 2), _BOX_WIDE, _BOX_HIGH, boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=_FILL[kind], edgecolor=_EDGE[kind], linewidth=1.4, zorder=3,
    )  # fmt: skip
    ax.add_patch(box)
    ax.text(x, y + 0.1, head, ha="center", va="center", fontsize=11.5, fontweight="bold", color=INK, zorder=4)
    ax.text(x, y - 0.15, below, ha="center", va="center", fontsize=8.5, color=INK, zorder=4)


def _passes(at: Mapping[str, Point], a: Point, b: Point) -> bool:
    """Whether there is a box between two in one row, the first to the left."""
    return a[1] == b[1] and any(a[0] < x < b[0] and y == a[1] for x, y in at.values())


def _arrow(ax: Axes, a: Point, b: Point, lines: list[str], *, passes: bool) -> None:
    start = (a[0] + _BOX_WIDE / 2, a[1])
    end = (b[0] - _BOX_WIDE / 2, b[1])
    bend = 0.0
    if b[0] <= a[0]:  # Back or within a column: around the boxes, not through those between.
        start, end, bend = (a[0], a[1] + _BOX_HIGH / 2), (b[0], b[1] + _BOX_HIGH / 2), 0.35
    elif passes:
        start, end = (a[0], a[1] - _BOX_HIGH / 2), (b[0], b[1] - _BOX_HIGH / 2)
        bend = 2 * _BELOW / (b[0] - a[0])  # Of such a curve, the middle is half as far out as the bend says.
    arrow = FancyArrowPatch(
        start, end, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=12, linewidth=1.3,
        color=FAINT, shrinkA=1, shrinkB=2, zorder=2,
    )  # fmt: skip
    ax.add_patch(arrow)
    _edge_label(ax, start, end, bend, "\n".join(lines))


def _edge_label(ax: Axes, start: Point, end: Point, bend: float, words: str) -> None:
    # Past the middle: arrows that leave one box together have drawn apart by then.
    share = 0.55 if not bend else 0.5
    x = start[0] + share * (end[0] - start[0]) + bend * (end[1] - start[1]) / 2
    y = start[1] + share * (end[1] - start[1]) - bend * (end[0] - start[0]) / 2
    ax.text(
        x, y, words, ha="center", va="center", fontsize=9, color=INK, zorder=5,
        bbox={"boxstyle": "round,pad=0.2", "facecolor": PAPER, "edgecolor": "none"},
    )  # fmt: skip


def _frames(ax: Axes, at: Mapping[str, Point]) -> None:
    """A frame around the components of each node."""
    nodes: dict[str, list[Point]] = {}
    for name, point in at.items():
        if name != OUTSIDE:
            nodes.setdefault(name.partition("/")[0], []).append(point)
    for node, points in nodes.items():
        left, right = min(x for x, _ in points) - _BOX_WIDE / 2, max(x for x, _ in points) + _BOX_WIDE / 2
        low, high = min(y for _, y in points) - _BOX_HIGH / 2, max(y for _, y in points) + _BOX_HIGH / 2
        frame = FancyBboxPatch(
            (left - 0.2, low - 0.2), right - left + 0.4, high - low + 0.55, boxstyle="round,pad=0,rounding_size=0.15",
            facecolor="none", edgecolor=GRID, linewidth=1.4, zorder=1,
        )  # fmt: skip
        ax.add_patch(frame)
        ax.text(left, high + 0.17, f"node {node}", fontsize=10, color=FAINT, va="center", zorder=4)


def _limits(at: Mapping[str, Point]) -> tuple[Point, Point]:
    """From where to where the picture goes, across and up."""
    xs = [x for x, _ in at.values()] or [0.0]
    ys = [y for _, y in at.values()] or [0.0]
    across = min(xs) - _BOX_WIDE / 2 - 0.1, max(xs) + _BOX_WIDE / 2 + 0.25
    return across, (min(ys) - _BOX_HIGH / 2 - _BELOW - 0.2, max(ys) + 0.75)
