"""A run as one SVG that moves by itself: notebooks keep it where they trust no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from edri_sim.viz.replay.film import AGAIN, DUPLICATE, LOST, REPLY, SENT, Film, Flight
from edri_sim.viz.replay.motion import Geometry, Motion
from edri_sim.viz.replay.scene import Link, Scene, Trouble, Vertex
from edri_sim.viz.theme import DOWN, FAINT, GRID, INK, LOOKS, PAPER, SERIES, UP

_WIDTH = 800
_SECONDS = 20.0
"""How long it takes, before it begins again."""
_EVENTS = 150
"""The most events that move in it: of more, every so manieth is taken."""
_MANY = 60
"""Links above which they are thin and pale."""
_MARKS = {
    AGAIN: 'd="M0-6L6 5H-6Z" fill="{0}"', DUPLICATE: 'd="M-5-5L5 5M5-5L-5 5" stroke="{0}" stroke-width="2"',
    LOST: 'd="M-5-5L5 5M5-5L-5 5" stroke="{0}" stroke-width="2"',
    REPLY: 'd="M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0" fill="none" stroke="{0}" stroke-width="2"',
}  # fmt: skip
_DISC = 'd="M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0" fill="{0}"'


def svg(film: Film) -> bytes:
    """The whole run in twenty seconds, over and over; equal films give equal bytes."""
    where = Geometry(film.scene, _WIDTH)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {where.height}" width="{_WIDTH}" '
        f'height="{where.height}" font-family="system-ui, sans-serif">',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *(_link(film, where, number, link) for number, link in enumerate(film.scene.links)),
        *(_box(where, vertex, place) for place, vertex in zip(where.at, film.scene.vertices, strict=True)),
        *(_trouble(film, where, trouble) for trouble in film.scene.troubles),
        *_flights(film, where),
        _clock(film, where),
        "</svg>",
    ]
    return "\n".join(parts).encode()


def _link(film: Film, where: Geometry, number: int, link: Link) -> str:
    (ax, ay), (bx, by) = where.at[link.a], where.at[link.b]
    many = len(film.scene.links) > _MANY
    line = f'<path d="M{ax:.1f} {ay:.1f}L{bx:.1f} {by:.1f}" stroke-width="{1 if many else 2}"'
    times = _changes(film, number, link)
    colours = [(share, _colour(film.scene, number, time, pale=many)) for share, time in times]
    if len(times) == 1:
        return f'{line} stroke="{colours[0][1]}"/>'
    dashes = [(share, "5 4" if film.scene.broken(number, time) else "1 0") for share, time in times]
    shown = _steps("stroke", colours) + _steps("stroke-dasharray", dashes)
    return f'{line} stroke="{GRID if many else UP}">{shown}</path>'


def _changes(film: Film, number: int, link: Link) -> list[tuple[float, float]]:
    """The times from which on a link may look another way, each as a share of the run and in seconds."""
    whole = film.run.duration or 1.0
    periods = [*(link.up or []), *(trouble.period for trouble in film.scene.troubles if number in trouble.links)]
    times = sorted(dict.fromkeys([0.0, *(time for period in periods for time in period if 0 < time < whole)]))
    return [(time / whole, time) for time in times]


def _colour(scene: Scene, number: int, time: float, *, pale: bool) -> str:
    if scene.broken(number, time):
        return DOWN
    return GRID if pale or scene.unknown(number, time) else UP


def _steps(attribute: str, values: Sequence[tuple[float, str]]) -> str:
    """The values that an attribute has from each share of the time on."""
    keys, words = ";".join(f"{share:.5g}" for share, _ in values), ";".join(value for _, value in values)
    return (
        f'<animate attributeName="{attribute}" calcMode="discrete" dur="{_SECONDS:g}s" repeatCount="indefinite" '
        f'keyTimes="{keys}" values="{words}"/>'
    )


def _box(where: Geometry, vertex: Vertex, place: tuple[float, float]) -> str:
    (x, y), (width, height) = place, where.box
    fill, edge = LOOKS[vertex.kind]
    size = max(6.0, min(13.0, height * 0.42))
    # Where a name is too long for its box it is drawn narrower.
    narrow = (
        f' textLength="{width - 6:.1f}" lengthAdjust="spacingAndGlyphs"'
        if 0.6 * size * len(vertex.label) > width
        else ""
    )
    return (
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{0 if vertex.kind == "switch" else height / 4:.1f}" fill="{fill}" stroke="{edge}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" text-anchor="middle" dominant-baseline="central" '
        f'fill="{INK}"{narrow}>{escape(vertex.label)}</text>'
    )


def _trouble(film: Film, where: Geometry, trouble: Trouble) -> str:
    ends = [film.scene.links[trouble.links[0]].a, film.scene.links[trouble.links[0]].b] if trouble.links else []
    hit = [trouble.vertex] if trouble.vertex is not None else ends
    if not hit:
        return ""
    x = sum(where.at[vertex][0] for vertex in hit) / len(hit)
    y = sum(where.at[vertex][1] for vertex in hit) / len(hit) - (where.box[1] if trouble.vertex is not None else 14)
    whole = film.run.duration or 1.0
    shown = [(0.0, "0"), *((share / whole, to) for share, to in zip(trouble.period, ("1", "0"), strict=True))]
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" font-weight="600" text-anchor="middle" fill="{DOWN}" '
        f'paint-order="stroke" stroke="{PAPER}" stroke-width="4" opacity="0">'
        f"\N{MULTIPLICATION X} {escape(trouble.name)}{_steps('opacity', shown)}</text>"
    )


def _flights(film: Film, where: Geometry) -> Iterator[str]:
    colours = {number: SERIES[min(place, len(SERIES) - 1)] for place, number in enumerate(film.types)}
    motion = Motion(film, film.run.duration / _SECONDS)
    for flight in film.flights[:: -(-len(film.flights) // _EVENTS) or 1]:
        yield _mark(film, where, motion, flight, colours[film.type_of[flight.event]])


def _mark(film: Film, where: Geometry, motion: Motion, flight: Flight, colour: str) -> str:
    whole = film.run.duration or 1.0
    begin, end = (min(1.0, time / whole) for time in motion.span(flight))
    start = min(flight.start / whole, begin) if flight.way == SENT else begin
    way = "L".join(f"{x:.1f} {y:.1f}" for x, y in where.way(flight))
    far = 0.5 if flight.way == LOST else 1.0
    shape = _MARKS.get(flight.way, _DISC).format(colour)
    return (
        f'<path {shape} opacity="0">{_steps("opacity", [(0.0, "0"), (start, "1"), (end, "0")])}'
        f'<animateMotion path="M{way}" calcMode="linear" dur="{_SECONDS:g}s" repeatCount="indefinite" '
        f'keyTimes="0;{begin:.5g};{end:.5g};1" keyPoints="0.03;0.03;{far};{far}"/></path>'
    )


def _clock(film: Film, where: Geometry) -> str:
    """A line along the lower edge that fills as time goes by."""
    y = where.height - 6
    words = f"{film.run.duration:.6g} s in {_SECONDS:g} s"
    fills = f'<animate attributeName="width" from="0" to="{where.width}" dur="{_SECONDS:g}s" repeatCount="indefinite"/>'
    return (
        f'<path d="M0 {y}H{where.width}" stroke="{GRID}" stroke-width="4"/>'
        f'<rect y="{y - 2}" height="4" fill="{FAINT}">{fills}</rect>'
        f'<text x="{where.width - 6}" y="{y - 8}" font-size="11" text-anchor="end" fill="{FAINT}">{words}</text>'
    )
