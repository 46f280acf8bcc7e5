"""Runs in words: figures and tables as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

Line = tuple[str, ...]


def percentile(ordered: Sequence[float], level: float) -> float:
    """The value at ``level`` percent of ascending values, linearly interpolated; NaN without any."""
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * level / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def milliseconds(seconds: float) -> str:
    """Three significant figures, or all whole milliseconds: 1e+03 is for machines."""
    value = 1000 * seconds
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def table(head: Line, lines: Sequence[Line]) -> list[str]:
    """Lines of text: the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *lines)
    ]
