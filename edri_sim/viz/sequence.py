"""The space-time diagram of Lamport (1978): a line for each node, time to the right, arrows for what goes between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from edri_sim.errors import SettingsError
from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz.replay.film import AGAIN, DUPLICATE, LOST, REPLY, SENT, Film, Flight
from edri_sim.viz.theme import DOWN, FAINT, GRID, INK, PAPER, SERIES, axes, quiet_frame, title

Window = tuple[float, float]

MOST = 400
"""Arrows in one picture: more would be a carpet."""
_LABELLED = 14
"""The most arrows that are named in the picture itself."""


class _Look(NamedTuple):
    """How one kind of arrow is drawn."""

    words: str
    dashes: Literal["-", "--", "-.", ":"]
    head: str
    """The marker at its end."""


_LOOKS = {
    SENT: _Look("sent", "-", ">"),
    AGAIN: _Look("sent again", "--", ">"),
    DUPLICATE: _Look("duplicate, dropped", ":", "x"),
    LOST: _Look("lost", "--", "x"),
    REPLY: _Look("reply", "-.", "o"),
}


def draw_sequence(ax: Axes | None, run: Run, what: str | Window | None, topology: Topology | None = None) -> Axes:
    """Draw one event with what led to it and what came of it, or all that was on its way within a window of seconds.

    Raises:
        SettingsError: there is no such event, the window is empty, or more than :data:`MOST` arrows would be drawn.
    """
    film = Film(run, topology)
    flights, events, heading = _chosen(film, what)
    if len(flights) > MOST:
        raise SettingsError(
            f"sequence({what!r}): {len(flights):,} arrows in one picture are too many: "
            f"expected an event, or a window of seconds, with at most {MOST}"
        )
    window = what if isinstance(what, tuple) else _around(film, flights, events)
    lanes = _lanes(film, flights, events, window)
    ax = axes(ax, 9.0, 1.6 + 0.62 * max(2, len(lanes)))
    heights = {vertex: -row for row, vertex in enumerate(lanes)}
    _lifelines(ax, film, heights, window)
    _work(ax, film, heights, events, window)
    for flight in flights:
        _arrow(ax, film, flight, heights, window, named=len(flights) <= _LABELLED)
    _faults(ax, film, window)
    _finish(ax, film, flights, heights, window)
    title(ax, heading)
    return ax


def _chosen(film: Film, what: str | Window | None) -> tuple[list[Flight], set[int] | None, str]:
    """The flights to be drawn, the events that they are of (None: whichever), and the picture's title."""
    if isinstance(what, str):
        event = film.named(what)
        family = _family(film, event)
        return [flight for flight in film.flights if flight.event in family], family, f"The way of {film.words(event)}"
    begin, end = what if what is not None else (0.0, film.run.duration)
    if not begin < end:
        raise SettingsError(f"sequence({what!r}): expected a window of seconds (begin, end), begin before end")
    flights = [flight for flight in film.flights if flight.start <= end and max(flight.start, flight.end) >= begin]
    return flights, None, f"What was on its way from {begin:g} to {end:g} s"


def _family(film: Film, event: int) -> set[int]:
    """An event, those that it is a consequence of, and those that are consequences of it."""
    parents = film.parents
    family = {event}
    up = parents.get(event)
    while up is not None and up not in family:
        family.add(up)
        up = parents.get(up)
    below = {event}
    for child, parent in parents.items():  # In order of publication: a parent comes before its children.
        if parent in below:
            below.add(child)
    return family | below


def _around(film: Film, flights: Sequence[Flight], events: set[int] | None) -> Window:
    times = [time for flight in flights for time in (flight.start, flight.end)]
    if events is not None:
        times += [time for visit in _visits(film, events) for time in visit[1:]]
    if not times:
        return 0.0, film.run.duration or 1.0
    room = 0.04 * (max(times) - min(times)) or 0.001
    return min(times) - room, max(times) + room


def _lanes(film: Film, flights: Iterable[Flight], events: set[int] | None, window: Window) -> list[int]:
    """The vertices that take part, in the order of the scene; switches only pass on, and have no line."""
    taking = {end for flight in flights for end in (flight.source, flight.target)}
    taking |= {vertex for vertex, begin, end in _visits(film, events) if begin <= window[1] and end >= window[0]}
    return [vertex for vertex in range(len(film.scene.vertices)) if vertex in taking]


def _visits(film: Film, events: set[int] | None) -> list[tuple[int, float, float]]:
    """Where and from when to when handlers were at work on these events, or on any."""
    found = []
    for span in film.run.spans:
        if events is not None and film.named(span.event_id) not in events:
            continue
        for visit in span.visits:
            vertex = film.vertex_of(visit.component)
            if vertex is not None:
                begin = film.seconds(visit.started)
                end = _unfinished(film, vertex, begin) if visit.finished is None else film.seconds(visit.finished)
                found.append((vertex, begin, end))
    return found


def _unfinished(film: Film, vertex: int, begin: float) -> float:
    """When a handler that never ended was stopped by its machine's fault; else the end of the run."""
    faults = (trouble.period[0] for trouble in film.scene.troubles if trouble.vertex == vertex)
    return min((time for time in faults if time >= begin), default=film.run.duration)


def _lifelines(ax: Axes, film: Film, heights: dict[int, int], window: Window) -> None:
    for vertex, height in heights.items():
        ax.plot(window, (height, height), color=GRID, linewidth=1.4, zorder=1)
        for trouble in film.scene.troubles:
            if trouble.vertex == vertex:  # A machine that is down has no line.
                ax.plot(trouble.period, (height, height), color=DOWN, linewidth=5, alpha=0.45, zorder=2)


def _work(ax: Axes, film: Film, heights: dict[int, int], events: set[int] | None, window: Window) -> None:
    """A bar on a node's line for as long as one of its handlers works."""
    for vertex, begin, end in _visits(film, events):
        if vertex in heights and begin <= window[1] and end >= window[0]:
            ax.plot((begin, end), (heights[vertex],) * 2, color=FAINT, linewidth=5, solid_capstyle="butt", zorder=3)


def _arrow(
    ax: Axes, film: Film, flight: Flight, heights: dict[int, int], window: Window, *, named: bool
) -> None:  # fmt: skip
    colour, look = _colour(film, flight.event), _LOOKS[flight.way]
    a, b = heights[flight.source], heights[flight.target]
    end, to = (
        (flight.end, float(b)) if flight.way != LOST else (flight.start + 0.02 * (window[1] - window[0]), (a + b) / 2)
    )
    ax.plot((flight.start, end), (a, to), color=colour, linestyle=look.dashes, linewidth=1.5, zorder=4)
    mark = ("v" if to < a else "^") if look.head == ">" else look.head
    ax.plot(
        end, to, mark, color=colour, markersize=6, zorder=5, markeredgewidth=1.6,
        markerfacecolor=PAPER if flight.way == REPLY else colour,
    )  # fmt: skip
    if named and flight.way in (SENT, REPLY):
        words = film.short(flight.event) if flight.way == SENT else f"reply to {film.short(flight.event)}"
        middle = (flight.start + end) / 2, (a + to) / 2
        ax.annotate(
            words, middle, xytext=(5, 0), textcoords="offset points", fontsize=8, color=INK, va="center", zorder=6,
            bbox={"boxstyle": "round,pad=0.1", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.8},
        )  # fmt: skip


def _colour(film: Film, event: int) -> str:
    return SERIES[min(film.types.index(film.type_of[event]), len(SERIES) - 1)]


def _faults(ax: Axes, film: Film, window: Window) -> None:
    for trouble in film.scene.troubles:
        begin, end = max(window[0], trouble.period[0]), min(window[1], trouble.period[1])
        if begin < end:
            ax.axvspan(begin, end, facecolor="none", edgecolor=FAINT, hatch="//", alpha=0.3, linewidth=0, zorder=0)
            ax.annotate(
                trouble.name, (begin, 1.0), xycoords=("data", "axes fraction"), xytext=(4, -3), va="top",
                textcoords="offset points", fontsize=8.5, color=DOWN, fontweight="bold", zorder=7,
            )  # fmt: skip


def _finish(ax: Axes, film: Film, flights: Sequence[Flight], heights: dict[int, int], window: Window) -> None:
    quiet_frame(ax)
    ax.grid(False, axis="y")
    ax.spines["left"].set_visible(False)
    ax.set_xlim(*window)
    ax.set_ylim(min(heights.values(), default=0) - 0.6, 0.75)
    ax.set_yticks(list(heights.values()), [film.scene.vertices[vertex].label for vertex in heights])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("seconds", fontsize=9, color=INK)
    ways = [way for way in _LOOKS if any(flight.way == way for flight in flights)]
    types = dict.fromkeys(film.type_of[flight.event] for flight in flights)
    handles = [
        Line2D([], [], color=SERIES[min(film.types.index(each), len(SERIES) - 1)], linewidth=3) for each in types
    ]
    handles += [_handle(_LOOKS[way], hollow=way == REPLY) for way in ways]
    labels = [*(film.names[each] for each in types), *(_LOOKS[way].words for way in ways)]
    if flights:
        handles.append(Line2D([], [], color=FAINT, linewidth=5))
        labels.append("handler at work")
    if labels:
        ax.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8.5, frameon=False, labelcolor=INK
        )  # fmt: skip


def _handle(look: _Look, *, hollow: bool) -> Line2D:
    head, fill = "v" if look.head == ">" else look.head, PAPER if hollow else FAINT
    return Line2D([], [], color=FAINT, linestyle=look.dashes, marker=head, markerfacecolor=fill, linewidth=1.5)
