"""Many runs of a scenario: replications, whose means have confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from edri_sim.errors import DeclarationError
from edri_sim.run import Run
from edri_sim.run.intervals import Interval, interval
from edri_sim.run.words import table
from edri_sim.scenario import Scenario
from edri_sim.simulation.scenarios import simulate

Measure = Callable[[Run], Mapping[str, float]]
"""Figures of a run, by name."""


@dataclass(frozen=True)
class Replications:
    """What each of several seeds gave; ``str()`` is a table of means with their confidence intervals of ``level``."""

    seeds: tuple[int, ...]
    figures: tuple[Mapping[str, float], ...]
    level: float

    @property
    def names(self) -> list[str]:
        """The figures that there are, in order."""
        return list(dict.fromkeys(name for figures in self.figures for name in figures))

    def values(self, figure: str) -> list[float]:
        """One value a seed; a run that had none, as it had no such event, is left out."""
        found = (figures.get(figure, math.nan) for figures in self.figures)
        return [value for value in found if not math.isnan(value)]

    def interval(self, figure: str) -> Interval:
        """The mean of a figure, and how sure it is.

        Raises:
            DeclarationError: fewer than two runs have the figure.
        """
        return interval(self.values(figure), self.level)

    def __str__(self) -> str:
        lines = [
            (name, f"{found.mean:.4g}", f"{found.half_width:.2g}", str(found.runs))
            for name in self.names
            if len(self.values(name)) > 1
            for found in [self.interval(name)]
        ]
        return "\n".join(table(("figure", "mean", f"± ({self.level:.0%})", "runs"), lines))


def replicate(
    scenario: Scenario, seeds: Iterable[int], *, measure: Measure = Run.figures, level: float = 0.95
) -> Replications:
    """Run a scenario once for each seed, and keep the figures that ``measure`` finds, by default the main ones.

    Raises:
        DeclarationError: there are fewer than two seeds, one is given twice, or the scenario could not happen.
    """
    listed = tuple(seeds)
    if len(listed) < 2 or len(dict.fromkeys(listed)) < len(listed):
        raise DeclarationError(f"replicate(seeds={list(listed)}): expected two or more, each once")
    return Replications(listed, tuple(measure(simulate(scenario, seed)) for seed in listed), level)
