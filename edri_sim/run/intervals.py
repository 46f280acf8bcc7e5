"""How sure a mean of several runs is: confidence intervals by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from edri_sim.errors import DeclarationError

_LARGE = 1_000_000.0


class Interval(NamedTuple):
    """A mean, and how far the true one may be from it, at a level of confidence (0 to 1), from so many ``runs``."""

    mean: float
    half_width: float
    runs: int
    level: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.half_width:.2g}"

    def holds(self, value: float) -> bool:
        """Whether a value is within it."""
        return abs(value - self.mean) <= self.half_width

    @property
    def relative(self) -> float:
        """The half-width as a share of the mean."""
        return self.half_width / abs(self.mean) if self.mean else math.inf


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The confidence interval of the mean of independent values: mean +- t s / sqrt(n), with n - 1 degrees of freedom.

    Raises:
        DeclarationError: ``level`` is not between 0 and 1, or there are fewer than two values.
    """
    if not 0 < level < 1:
        raise DeclarationError(f"interval(level={level!r}): expected a share between 0 and 1, such as 0.95")
    if len(values) < 2:
        raise DeclarationError(f"interval of {len(values)} values: expected at least 2, as one says nothing of chance")
    half = t_quantile((1 + level) / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(fmean(values), half, len(values), level)


def t_quantile(probability: float, degrees: int) -> float:
    """The value below which a t-distributed one is with ``probability`` (above 0.5), by bisection."""
    low, high = 0.0, 2.0 * NormalDist().inv_cdf(probability)
    while _inside(high, degrees) < 2 * probability - 1 and high < _LARGE:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _inside(middle, degrees) < 2 * probability - 1 else (low, middle)
    return (low + high) / 2


def _inside(t: float, degrees: int) -> float:
    """The probability that a t-distributed value is between -t and t: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, odd = math.cos(angle), degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
