"""Where what moves is at a moment, in pixels: the same rules as the player in the browser has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain, pairwise

from edri_sim.viz.layout import WIDE, Point
from edri_sim.viz.replay.film import LOST, SENT, Film, Flight
from edri_sim.viz.replay.scene import Scene

SHOWN = 0.45
"""The least seconds of wall time for which an event on its way is seen, however quick it was."""
_SHAPE = 0.62
"""The height of a picture, in widths."""
_BEGIN = 0.06
"""The share of its way at which an event stands before it goes: beside its source, not under it."""


class Geometry:
    """The pixels of a scene in a picture ``width`` wide: the middle of each vertex, and the size of its box."""

    def __init__(self, scene: Scene, width: int) -> None:
        self.width = width
        self.height = round(width * _SHAPE / 2) * 2  # Films want even sizes.
        room_x, room_y = scene.room
        below = 0.05 * self.height  # For the line that tells the time.
        across, up = width / (2 * WIDE + room_x + 0.06), (self.height - below) / (2 + room_y + 0.06)
        self._scale = across, up
        self._middle = width / 2, (self.height - below) / 2
        self.box = (min(0.16 * width, room_x * across - 4), min(0.05 * width, room_y * up - 4))
        places = (vertex.at for vertex in scene.vertices)
        self.at = [(width / 2 + x * across, (self.height - below) / 2 - y * up) for x, y in places]

    def unit(self, pixel: Point) -> Point:
        """The place in the scene's field of a pixel."""
        (across, up), (x, y) = self._scale, self._middle
        return (pixel[0] - x) / across, (y - pixel[1]) / up

    def way(self, flight: Flight) -> list[Point]:
        """The corners of a flight's way; there and back run on two sides of a link."""
        stops = [flight.source, *([] if flight.via is None else [flight.via]), flight.target]
        corners: list[Point] = []
        for a, b in pairwise(stops):
            (ax, ay), (bx, by) = self.at[a], self.at[b]
            dx, dy = bx - ax, by - ay
            aside = min(5.0, self.box[1] / 6) / ((dx * dx + dy * dy) ** 0.5 or 1)
            corners += [(ax - aside * dy, ay + aside * dx), (bx - aside * dy, by + aside * dx)]
        return corners

    def point(self, flight: Flight, share: float) -> Point:
        """The place of a flight that has gone this share of its way, 0 to 1."""
        corners = self.way(flight)
        legs = len(corners) // 2
        leg = min(legs - 1, int(share * legs))
        (ax, ay), (bx, by) = corners[2 * leg], corners[2 * leg + 1]
        part = share * legs - leg
        return ax + part * (bx - ax), ay + part * (by - ay)


class Motion:
    """Which events are on their way at a moment, at ``speed`` seconds of the run in each second of the picture."""

    def __init__(self, film: Film, speed: float) -> None:
        self.least = SHOWN * speed
        self._flights = film.flights
        self._starts = [flight.start for flight in film.flights]
        self._long = [flight for flight in film.flights if flight.end - flight.start > self.least]
        self._quickest = _quickest(film)

    def at(self, time: float) -> Iterator[tuple[Flight, float]]:
        """Each event that is seen at a time, with the share of its way that it has gone.

        What is held up is seen once, however often it was sent.
        """
        first, last = bisect_left(self._starts, time - self.least), bisect_right(self._starts, time)
        held_up = (flight for flight in self._long if flight.start < time - self.least and time < flight.end)
        for flight in chain(held_up, self._flights[first:last]):
            if flight.way == SENT or time >= self.span(flight)[0]:
                yield flight, self.share(flight, time)

    def span(self, flight: Flight) -> tuple[float, float]:
        """When it sets out, and when it is there: it stands at its source for as long as it was held up."""
        end = max(flight.end, flight.start + self.least)
        moving = max(self.least, 2 * self._quickest.get((flight.source, flight.target), 0.0))
        return max(flight.start, end - moving), end

    def share(self, flight: Flight, time: float) -> float:
        """How much of its way it has gone, 0 to 1; what is lost gets half the way."""
        begin, end = self.span(flight)
        gone = _BEGIN if time < begin else min(1.0, _BEGIN + (1 - _BEGIN) * (time - begin) / ((end - begin) or 1))
        return gone / 2 if flight.way == LOST else gone


def _quickest(film: Film) -> dict[tuple[int, int], float]:
    """The least time that a flight took between two vertices: what takes longer has waited before it went."""
    least: dict[tuple[int, int], float] = {}
    for flight in film.flights:
        if flight.way != LOST:
            key = flight.source, flight.target
            least[key] = min(least.get(key, flight.end - flight.start), flight.end - flight.start)
    return least
