"""What chance brought into a run: control variates, made of nothing but the random numbers that went in.

Each number that is drawn tells how much more, or less, work than expected is to come to each station: a late arrival
brings less, a long service or an unlucky way brings more. These innovations D have a mean of zero, whatever was drawn
before, and known variances v and third moments k. So the sum of D, and for any number of draws in a row, with sums
M of D, V of v and K of k,

    M^2 - V    and    M^3 - 3 M V - K

have a mean of exactly zero too: they are martingales, the first of the Hermite polynomials (Hall and Heyde, Martingale
Limit Theory and Its Application, 1980, section 2). A run in which they are large had long queues by chance.

They are made of what was *drawn*, not of what the simulation did with it. So they take out chance, and hide no mistake:
their mean is zero also where customers wait too long, and the mean of what is measured less any multiple of them stays
what it was (Lavenberg and Welch, A perspective on the use of control variables, 1981).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from edri_sim import service
from edri_sim.service import Distribution

Figures = np.ndarray[Any, np.dtype[np.float64]]

SPANS = (1.0, 4.0)
"""How many customers make up a stretch, in units of 1 / (1 - load)^2: what a queue takes to forget."""


@dataclass(frozen=True)
class Innovation:
    """What the draws of one kind do to the work of each station: ``slope`` times the draw, plus ``offset``.

    ``variance`` and ``third`` are moments of that work, whose mean is zero; ``served``: it is a service time.
    """

    slope: Figures
    offset: Figures
    variance: Figures
    third: Figures
    served: bool = False


def arrival(rate: float, brings: Figures) -> Innovation:
    """The next of a Poisson stream: for each second that it comes later than expected, ``rate * brings`` is missing."""
    slope = -rate * brings
    spread = 1 / rate if rate else 0.0
    return Innovation(slope, 0 * slope, (slope * spread) ** 2, 2 * (slope * spread) ** 3)


def service_time(of: Distribution, where: Figures) -> Innovation:
    """A service that takes longer than the mean."""
    variance, third = CENTRAL_MOMENTS[type(of)](of)
    return Innovation(where, 0 * where, variance * where, third * where, served=True)


def way(shares: Figures, brings: Figures, taken: int) -> Innovation:
    """One way ``taken`` among several, each with its share and the work that it ``brings``."""
    work = brings - shares @ brings
    return Innovation(0 * work[taken], work[taken], shares @ work**2, shares @ work**3)


CENTRAL_MOMENTS: dict[type[Any], Callable[[Any], tuple[float, float]]] = {
    service.Constant: lambda _: (0.0, 0.0),
    service.Exponential: lambda of: (of.mean**2, 2 * of.mean**3),
    service.LogNormal: lambda of: ((of.mean * of.cv) ** 2, of.mean**3 * of.cv**4 * (3 + of.cv**2)),
}
"""The second and the third."""


class Draws:
    """The draws of one run, in their order: a number, and the kind of each."""

    def __init__(self) -> None:
        self._kinds = array("b")
        self._values = array("d")

    def add(self, kind: int, value: float) -> None:
        self._kinds.append(kind)
        self._values.append(value)

    def controls(
        self, kinds: Sequence[Innovation], busiest: Sequence[int], spans: Sequence[int], length: float
    ) -> list[float]:
        """The control variates of a run of ``length`` seconds.

        For each station, the sums of what services and of what arrivals and ways have brought; then, for each of the
        ``busiest``, the squares and cubes of stretches of so many draws as are in ``spans``.
        """
        drawn, values = np.array(self._kinds), np.array(self._values)
        slope, offset, variance, third, served = (
            np.array(figures) for figures in zip(*map(astuple, kinds), strict=True)
        )
        work = slope[drawn] * values[:, None] + offset[drawn]
        found = [*work[served[drawn]].sum(axis=0), *work[~served[drawn]].sum(axis=0)]
        sums = [_summed(each[:, list(busiest)]) for each in (work, variance[drawn], third[drawn])]
        for span in spans:
            # The last stretches end with the run.
            ends = np.minimum(np.arange(len(drawn)) + span, len(drawn))
            m, v, k = (each[ends] - each[:-1] for each in sums)
            found += [*(m**2 - v).sum(axis=0), *(m**3 - 3 * m * v - k).sum(axis=0)]
        return [float(one) / length for one in found]


def _summed(figures: Figures) -> Figures:
    return np.vstack([np.zeros((1, figures.shape[1])), np.cumsum(figures, axis=0)])
