"""Two runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from edri_sim.run.tables import pandas
from edri_sim.run.words import table

if TYPE_CHECKING:
    import pandas as pd

    from edri_sim.run import Run


class Line(NamedTuple):
    """One figure of both runs; ``ratio`` is the second by the first, NaN where one of them has none, or it is 0."""

    figure: str
    first: float
    second: float
    ratio: float


class Comparison:
    """The figures of two runs; ``str()`` is a table."""

    def __init__(self, first: Run, second: Run) -> None:
        self.names = _name(first), _name(second)
        self.lines = _lines(first.figures(), second.figures())

    def __repr__(self) -> str:
        return f"<Comparison of {self.names[0]} and {self.names[1]}: {len(self.lines)} figures>"

    def __str__(self) -> str:
        lines = [(line.figure, *(_shown(value) for value in line[1:])) for line in self.lines]
        return "\n".join(table(("figure", *self.names, "ratio"), lines))

    def __getitem__(self, figure: str) -> Line:
        return next(line for line in self.lines if line.figure == figure)

    def table(self) -> pd.DataFrame:
        """A line a figure. Raises MissingExtra without the extra ``lab``."""
        return pandas().DataFrame(self.lines, columns=list(Line._fields))


def _lines(first: Mapping[str, float], second: Mapping[str, float]) -> list[Line]:
    lines = []
    for figure in dict.fromkeys([*first, *second]):
        a, b = first.get(figure, math.nan), second.get(figure, math.nan)
        lines.append(Line(figure, a, b, b / a if a else math.nan))
    return lines


def _name(run: Run) -> str:
    return f"seed {run.seed}" if run.simulated else "real time"


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
