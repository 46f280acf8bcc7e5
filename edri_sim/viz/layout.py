"""Where machines stand in a picture: switches in the middle, nodes in a ring around them, or in a grid if many.

Places are in a field that is :data:`WIDE` to either side of its middle and 1 up and down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WIDE = 1.6
"""Half the width of the field, in halves of its height: the shape of most screens."""

RING = 40
"""The most nodes that stand in a ring: of more, the names would not be readable."""
_ROUND = 12
"""The most for which the ring is an ellipse: more stand along the field's edges, which have more room."""

Point = tuple[float, float]
Links = Iterable[tuple[str, str]]


class Places(NamedTuple):
    """The place of each machine, and the width and height that each has for itself."""

    at: dict[str, Point]
    room: Point


def places(nodes: Sequence[str], switches: Sequence[str], links: Links) -> Places:
    """Where these machines stand; equal arguments give equal places."""
    homes = _homes(nodes, switches, links)
    ring = sorted(nodes, key=lambda name: homes[name])
    if len(nodes) > RING:
        return _grids(ring, switches, homes)
    at = _on_ellipse(ring, 1.0) if len(nodes) <= _ROUND else _on_edges(ring)
    inner = 0.0 if len(switches) == 1 else 0.35
    # Turned, so that no node sees two switches in one line: its link to the far one would hide that to the near one.
    turn = math.pi / (2 * max(1, len(ring)))
    return Places({**_on_ellipse(switches, inner, turn), **at}, _room(len(ring)))


def _homes(nodes: Sequence[str], switches: Sequence[str], links: Links) -> dict[str, int]:
    """The number of the first switch that each node is linked to; 0 for a node without one."""
    numbers = {name: number for number, name in enumerate(switches)}
    homes: dict[str, int] = {}
    for a, b in links:
        for node, switch in ((a, b), (b, a)):
            if switch in numbers:
                homes[node] = min(homes.get(node, len(numbers)), numbers[switch])
    return {name: homes.get(name, 0) for name in nodes}


def _on_ellipse(names: Sequence[str], radius: float, turn: float = 0.0) -> dict[str, Point]:
    step = 2 * math.pi / max(1, len(names))
    angles = {name: math.pi - turn - place * step for place, name in enumerate(names)}
    # Rounded, for the sine of pi is not quite zero, and machines in one row are to be in one row.
    return {
        name: (round(WIDE * radius * math.cos(angle), 6) + 0.0, round(radius * math.sin(angle), 6) + 0.0)
        for name, angle in angles.items()
    }


def _on_edges(names: Sequence[str]) -> dict[str, Point]:
    """Places along the four edges of the field, clockwise from its upper left corner."""
    above, beside, below = _edges(len(names))
    down = [1 - 2 * (place + 1) / (beside + 1) for place in range(beside)]
    points = [
        *((x, 1.0) for x in _spread(above)),
        *((WIDE, y) for y in down),
        *((x, -1.0) for x in reversed(_spread(below))),
        *((-WIDE, y) for y in reversed(down)),
    ]
    return dict(zip(names, points, strict=True))


def _edges(count: int) -> tuple[int, int, int]:
    """How many of some machines stand along the upper edge, along each side and along the lower edge."""
    beside = round(0.18 * count)
    along = count - 2 * beside
    return along - along // 2, beside, along // 2


def _spread(count: int) -> list[float]:
    return [WIDE * (2 * place / (count - 1) - 1) for place in range(count)]


def _room(count: int) -> Point:
    """What each of some machines on the ring has for itself."""
    if count <= _ROUND:
        return (0.5, 0.24)
    above, beside, _ = _edges(count)
    return (min(0.5, 0.92 * 2 * WIDE / (above - 1)), min(0.24, 0.85 * 2 / (beside + 1)))


def _grids(ring: Sequence[str], switches: Sequence[str], homes: Mapping[str, int]) -> Places:
    """A grid of nodes around each switch, and the grids side by side."""
    groups = [[name for name in ring if homes[name] == number] for number in range(max(1, len(switches)))]
    across = math.ceil(math.sqrt(len(groups)))
    down = math.ceil(len(groups) / across)
    cells = max(map(len, groups)) + 6  # The switch has room for six.
    columns = max(3, math.ceil(math.sqrt(cells * (WIDE / across) / (1 / down) / 1.3)))
    rows = max(3, math.ceil(cells / columns))
    at: dict[str, Point] = {}
    for number, names in enumerate(groups):
        middle = (WIDE * ((2 * (number % across) + 1) / across - 1), 1 - (2 * (number // across) + 1) / down)
        size = (0.96 * WIDE / across, 0.96 / down)
        cells_of = _cells(columns, rows, middle, size, free=bool(switches))
        at.update(zip(names, cells_of, strict=False))
        if switches:
            at[switches[number]] = middle
    return Places(at, (2 * 0.96 * WIDE / across / columns, 2 * 0.96 / down / rows))


def _cells(columns: int, rows: int, middle: Point, size: Point, *, free: bool) -> list[Point]:
    """The middles of the cells of a grid, row by row; ``free`` leaves out those around its middle."""
    found = []
    for row in range(rows):
        for column in range(columns):
            x, y = (2 * column + 1) / columns - 1, 1 - (2 * row + 1) / rows
            if free and abs(x) * columns < 3 and abs(y) * rows < 2:
                continue
            found.append((middle[0] + size[0] * x, middle[1] + size[1] * y))
    return found
