"""The network of a topology: its machines, what each has to do, and how the links between them are at a moment."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from edri_sim.errors import SettingsError
from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz.layout import RING, WIDE, Point
from edri_sim.viz.moment import Load, loads_at
from edri_sim.viz.replay.film import LOST, Film
from edri_sim.viz.replay.motion import Geometry, Motion
from edri_sim.viz.replay.scene import Link, Scene, Trouble, scene_before
from edri_sim.viz.theme import BUSY, DOWN, FAINT, GRID, INK, LOOKS, PAPER, SERIES, UP, WAITING, axes, figure_of, title

_WORDS_ON_LINKS = 12
"""The most links that have their figures written on them."""
_SPEED = 20.0
"""Seconds in which a whole run would be played: what is on its way is seen as in a replay of that length."""
_FULL = 10
"""Doublings after which a bar is full."""


def draw_network(ax: Axes | None, topology: Topology | None, run: Run | None = None, at: float | None = None) -> Axes:
    """Draw the machines and links of a topology; with a run, as they were ``at`` so many seconds (default: its end).

    Raises:
        SettingsError: ``at`` is not within the run.
    """
    film = None if run is None else Film(run, topology)
    scene = _scene(film, topology)
    moment = None if run is None else _moment(run, at)
    loads = {} if run is None or moment is None else loads_at(run, moment)
    wide = 12.0 if len(scene.vertices) > RING else 8.0
    ax = axes(ax, wide, 0.62 * wide * _half(scene))
    painter = _Painter(ax, scene, moment, loads)
    painter.links()
    painter.machines()
    if film is not None and moment is not None:
        painter.events(film, moment)
        painter.troubles()
    _frame(ax, scene)
    name = topology.name if topology is not None else "The network"
    title(ax, name if moment is None else f"{name} at {moment:g} s")
    return ax


def _scene(film: Film | None, topology: Topology | None) -> Scene:
    if film is not None:
        return film.scene
    assert topology is not None  # Without a run there is nothing else to draw.
    return scene_before(topology)


def _moment(run: Run, at: float | None) -> float:
    if at is None:
        return run.duration
    if not 0 <= at <= run.duration:
        raise SettingsError(f"t={at!r}: expected seconds of the run, 0 to {run.duration:g}")
    return at


class _Painter:
    """Draws the machines of one moment; ``moment`` is None before anything has run."""

    def __init__(self, ax: Axes, scene: Scene, moment: float | None, loads: dict[str, Load]) -> None:
        self._ax = ax
        self._scene = scene
        self._moment = moment
        self._loads = loads
        self._box = (min(0.55, scene.room[0] * 0.94), min(0.24, scene.room[1] * 0.9))
        self._points = _points_a_unit(ax, scene)

    def links(self) -> None:
        """Lines: solid where the link stands, dashed where it is broken; the more events of late, the wider."""
        words, many = len(self._scene.links) <= _WORDS_ON_LINKS, len(self._scene.links) > RING
        for number, link in enumerate(self._scene.links):
            broken = self._moment is not None and self._scene.broken(number, self._moment)
            load = self._of(link)
            colour = DOWN if broken else GRID if many else FAINT if self._unknown(number) else UP
            (ax, ay), (bx, by) = (self._scene.vertices[end].at for end in (link.a, link.b))
            self._ax.plot(
                [ax, bx], [ay, by], color=colour, zorder=2 if broken else 1, solid_capstyle="round",
                linewidth=(1.4 + 1.1 * math.log10(1 + load.rate)) if words else 1.3 if broken else 0.8,
                linestyle=(0, (4, 3)) if broken else "-",
            )  # fmt: skip
            if words and not self._unknown(number):
                self._words(((ax + bx) / 2, (ay + by) / 2), _figures(load, self._why(number, broken=broken)))

    def _why(self, link: int, *, broken: bool) -> list[str]:
        """What a link that is broken suffers from, in words: its ends learn of a cut only after a while."""
        names = [trouble.name.rpartition(" ")[0] for trouble in self._now() if link in trouble.links]
        return names or ["down"] if broken else []

    def _unknown(self, link: int) -> bool:
        return self._moment is None or self._scene.unknown(link, self._moment)

    def _now(self) -> list[Trouble]:
        moment = self._moment
        return [
            each for each in self._scene.troubles if moment is not None and each.period[0] <= moment < each.period[1]
        ]

    def machines(self) -> None:
        """Boxes: nodes are round and blue, switches square and yellow; below the name, what they have to do."""
        size = self._size(vertex.label for vertex in self._scene.vertices)
        for vertex in self._scene.vertices:
            load = self._loads.get(vertex.name, Load())
            self._machine(vertex.kind, vertex.at)
            words = str(load) if self._box[1] * self._points[1] > 22 else ""
            (x, y), high = vertex.at, self._box[1]
            self._text((x, y + 0.16 * high if words else y), vertex.label, size, weight="bold")
            if words:
                self._text((x, y - 0.22 * high), words, 0.82 * size)
            self._bar((x, y), BUSY, load.busy, row=1)
            self._bar((x, y), WAITING, load.waiting, row=0)

    def events(self, film: Film, moment: float) -> None:
        """A dot for each event on its way, as in a replay."""
        colours = {number: SERIES[min(place, len(SERIES) - 1)] for place, number in enumerate(film.types)}
        where = Geometry(film.scene, 1000)
        motion = Motion(film, film.run.duration / _SPEED)
        for flight, share in motion.at(moment):
            # Where it is between its vertices is the same in pixels and in the units of these axes.
            x, y = where.unit(where.point(flight, share))
            self._ax.plot(
                x, y, "x" if flight.way == LOST else "o", color=colours[film.type_of[flight.event]], markersize=5.5,
                markeredgecolor=PAPER, markeredgewidth=0.6, zorder=7,
            )  # fmt: skip

    def troubles(self) -> None:
        """The name of each fault beside its machine; those of links are written on the links, if they are few."""
        for trouble in self._now():
            if trouble.vertex is not None or len(self._scene.links) > _WORDS_ON_LINKS:
                self._trouble(trouble)

    def _trouble(self, trouble: Trouble) -> None:
        ends = [self._scene.vertices[self._scene.links[link].a].at for link in trouble.links[:1]]
        ends += [self._scene.vertices[self._scene.links[link].b].at for link in trouble.links[:1]]
        hit = [self._scene.vertices[trouble.vertex].at] if trouble.vertex is not None else ends
        if not hit:
            return
        x, y = (sum(each[axis] for each in hit) / len(hit) for axis in (0, 1))
        self._ax.plot(x, y, "x", color=DOWN, markersize=16, markeredgewidth=2.5, zorder=8)
        away = 10 + self._box[1] / 2 * self._points[1]
        below = -away if y > 0 else away  # On the side of the middle, where there is room.
        self._ax.annotate(
            trouble.name, (x, y), xytext=(0, below), textcoords="offset points", ha="center", va="center",
            fontsize=9.5, fontweight="bold", color=DOWN, zorder=9, bbox=_PLATE,
        )  # fmt: skip

    def _of(self, link: Link) -> Load:
        """The load of the link's node: the trace knows lines from a node to a switch."""
        ends = (self._scene.vertices[link.a], self._scene.vertices[link.b])
        node = next((vertex for vertex in ends if vertex.kind == "node"), ends[0])
        return self._loads.get(node.name, Load())

    def _machine(self, kind: str, place: Point) -> None:
        fill, edge = LOOKS[kind]
        wide, high = self._box
        corners = 0.0 if kind == "switch" else 0.25 * high
        style = f"round,pad=0,rounding_size={corners}" if corners else "square,pad=0"
        box = FancyBboxPatch(
            (place[0] - wide / 2, place[1] - high / 2), wide, high, boxstyle=style, facecolor=fill, edgecolor=edge,
            linewidth=1.3 if high > 0.15 else 0.8, zorder=4, mutation_aspect=self._points[0] / self._points[1],
        )  # fmt: skip
        self._ax.add_patch(box)

    def _bar(self, place: Point, colour: str, count: int, *, row: int) -> None:
        """A bar along the lower edge of a box, the longer the more: each doubling adds a tenth."""
        if not count:
            return
        wide, high = self._box
        thick = 2.6 / self._points[1]
        length = 0.9 * wide * min(1.0, (1 + math.log2(count)) / _FULL)
        left, low = place[0] - 0.45 * wide, place[1] - high / 2 + (row - 0.5) * thick
        self._ax.fill_between([left, left + length], low, low + thick, color=colour, linewidth=0, zorder=6)

    def _size(self, labels: Iterable[str]) -> float:
        """Points at which the longest label fits into a box: a letter is about 0.66 of its size wide."""
        longest = max((len(label) for label in labels), default=1)
        wide, high = self._box[0] * self._points[0], self._box[1] * self._points[1]
        return max(4.5, min(10.5, 0.42 * high, 0.94 * wide / (0.66 * longest)))

    def _words(self, place: Point, words: str) -> None:
        self._ax.text(*place, words, ha="center", va="center", fontsize=8.5, color=INK, zorder=3, bbox=_PLATE)

    def _text(self, place: Point, words: str, size: float, *, weight: str = "normal") -> None:
        self._ax.text(
            *place, words, ha="center", va="center", fontsize=size, fontweight=weight, color=INK, zorder=5
        )  # fmt: skip


_PLATE = {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.9}


def _figures(load: Load, troubles: list[str]) -> str:
    rate = f"{load.rate:,.0f}/s" if load.rate >= 10 else f"{load.rate:.2g}/s"
    return "\n".join([*troubles, f"{load.crossed:,} passed", *([rate] if load.rate else [])])


def _points_a_unit(ax: Axes, scene: Scene) -> Point:
    """How many points (1/72 inch) a unit of the axes has, across and up."""
    place, size = ax.get_position(), figure_of(ax).get_size_inches()
    wide, high = 2 * WIDE + scene.room[0], 2 * _half(scene)
    return 72 * float(size[0]) * place.width / wide, 72 * float(size[1]) * place.height / high


def _frame(ax: Axes, scene: Scene) -> None:
    ax.set_axis_off()
    ax.set_xlim(-WIDE - scene.room[0] / 2, WIDE + scene.room[0] / 2)
    ax.set_ylim(-_half(scene), _half(scene))


def _half(scene: Scene) -> float:
    """How far the picture reaches above and below its middle: machines in one row need less than a ring."""
    return max(0.4, *(abs(vertex.at[1]) + scene.room[1] / 2 + 0.02 for vertex in scene.vertices))
