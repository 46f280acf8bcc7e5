"""Services from the trace of a run: how long its handlers worked, as distributions that a simulation draws from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edri_sim.errors import DeclarationError
from edri_sim.managers.manager import Manager
from edri_sim.service.measured import Measured, Work, class_of, crowd_of, works_of
from edri_sim.service.model import Constant, Distribution, Empirical, LogNormal, Service

MOST = 1_000
"""Durations that an empirical distribution keeps of more: evenly many of each rank."""
_NORMAL = statistics.NormalDist()

Shape = Callable[[Sequence[float]], Distribution]


class Placed(Protocol):
    """What is needed of a :class:`~edri_sim.topology.Topology`."""

    @property
    def nodes(self) -> Mapping[str, Any]:
        """What each node consists of, by its name."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Of how many events a service was fitted, and the mean and standard deviation of their seconds."""

    count: int
    mean: float
    deviation: float

    def half_width(self, confidence: float = 0.95) -> float:
        """Half of the interval, in seconds, that has the true mean in it with this confidence; the normal one."""
        return _NORMAL.inv_cdf((1 + confidence) / 2) * self.deviation / math.sqrt(self.count)


@dataclass(frozen=True, slots=True)
class Fit:
    """What ``Scenario(service=fit.services)`` takes, and how much is behind each, under the same keys."""

    services: dict[Any, Service]
    measured: dict[Any, Fitted]

    def __str__(self) -> str:
        lines = []
        for key, found in self.measured.items():
            width = f"{1e3 * found.mean:.4g} ms +- {1e3 * found.half_width():.2g}"
            share = self.services[key].gil
            gil = "" if share == 1.0 else f", {share:.0%} of it under the GIL"
            lines.append(f"{key.__qualname__}: {width} (95 %, {found.count} events){gil}")
        return "\n".join(lines)


def fit(
    run: Measured, topology: Placed | None = None, *, by: str = "event", shape: str = "log-normal", holds: str = "cpu",
    alone: Measured | None = None,
) -> Fit:  # fmt: skip
    """Services from a run that was traced in full, best a real one, under light load or under that to be modelled.

    An event's service is the time from the start of its handler to its end in which no request that the handler had
    made was under way. What it waited for a core is in it, so ``holds`` says what the service holds: "cpu", where the
    run had cores to spare, and the simulation is to say what comes of fewer; or "wait", which holds nothing, where the
    run was as busy as what is to be modelled.

    ``by`` is what there is one service of: an "event" type; a "handler"; or a "worker", a class of workers or managers.
    The latter two need the run's ``topology``. ``shape`` is "log-normal", by the method of moments: mean and standard
    deviation are those of the sample; or "empirical", its durations themselves, at most 1,000.

    ``alone`` is a run of the same in which no two threads of a pool worked at once. The services are then those of this
    run, and their shares of the GIL come of how much longer work took in ``run``: two that hold a lock for a share g of
    their time take 1 + g^2 times as long beside each other as alone (mean value analysis of a closed network with one
    queue). The run needs a core for each of its threads; where it had no two at once, or events of one service went to
    several pools, the share is 1.

    A handler's body runs in the simulation too, and is to take no time there: where it sleeps, say ``body="skip"``.

    Raises:
        DeclarationError: a run has no rows, or no handler finished an event in it; a class of its events is not known
            here, or a handler is not in ``topology``; or an option is none of those above.
    """
    for name, value, known in (("by", by, _KEYS), ("shape", shape, _SHAPES), ("holds", holds, _HOLDS)):
        if value not in known:
            raise DeclarationError(f"fit({name}={value!r}): expected one of {', '.join(known)}")
    if topology is None and by != "event":
        raise DeclarationError(f"fit(by={by!r}): expected the run's topology too, which has the handlers")
    owners = {} if topology is None else _owners(topology)
    groups = _grouped(run, by, owners)
    sources = groups if alone is None else _grouped(alone, by, owners)
    fitted = {key: _fitted([work.own for work in works]) for key, works in sources.items()}
    services = {
        key: _service(
            [work.own for work in works], _SHAPES[shape], holds,
            1.0 if alone is None or key not in groups else _gil(run, groups[key], fitted[key].mean),
        )
        for key, works in sources.items()
    }  # fmt: skip
    return Fit(services, fitted)


def _grouped(run: Measured, by: str, owners: Mapping[str, type[Any]]) -> dict[Any, list[Work]]:
    groups: dict[Any, list[Work]] = {}
    for work in works_of(run):
        groups.setdefault(_KEYS[by](work, owners), []).append(work)
    return groups


def _owners(topology: Placed) -> dict[str, type[Any]]:
    """The classes whose handlers managers and pools run, by the names that these have in a trace."""
    owners: dict[str, type[Any]] = {}
    for name, spec in topology.nodes.items():
        for factory in spec.parts:
            cls = factory if isinstance(factory, type) else type(factory())
            if issubclass(cls, Manager):
                owners[f"{name}/{cls.__name__}"] = cls
                owners |= {f"{name}/{cls.__name__}.{pool.name}": pool.worker for pool in cls.pools().values()}
    return owners


def _owner(work: Work, owners: Mapping[str, type[Any]]) -> type[Any]:
    if work.component not in owners:
        known = ", ".join(owners) or "none"
        raise DeclarationError(f"fit: {work.component} is not in the topology, whose managers and pools are: {known}")
    return owners[work.component]


def _handler(work: Work, owners: Mapping[str, type[Any]]) -> Any:
    cls: Any = _owner(work, owners)
    return getattr(cls, cls.handler_table.nearest(class_of(work.type)).name)


_KEYS: dict[str, Callable[[Work, Mapping[str, type[Any]]], Any]] = {
    "event": lambda work, _: class_of(work.type),
    "handler": _handler,
    "worker": _owner,
}
_HOLDS = ("cpu", "wait")


def _fitted(seconds: Sequence[float]) -> Fitted:
    return Fitted(len(seconds), statistics.fmean(seconds), statistics.stdev(seconds) if len(seconds) > 1 else 0.0)


def _service(seconds: Sequence[float], shape: Shape, holds: str, gil: float) -> Service:
    return Service(wait=shape(seconds)) if holds == "wait" else Service(cpu=shape(seconds), gil=gil)


def _log_normal(seconds: Sequence[float]) -> Distribution:
    found = _fitted(seconds)
    return LogNormal(found.mean, found.deviation / found.mean) if found.deviation > 0 else Constant(found.mean)


def _empirical(seconds: Sequence[float]) -> Distribution:
    ordered = sorted(seconds)
    count = min(MOST, len(ordered))
    return Empirical([ordered[(2 * rank + 1) * len(ordered) // (2 * count)] for rank in range(count)])


_SHAPES: dict[str, Shape] = {"log-normal": _log_normal, "empirical": _empirical}


def _gil(run: Measured, works: Sequence[Work], alone: float) -> float:
    """The share of its time for which work holds the GIL, by bisection; ``alone`` is its mean seconds alone.

    What was done in all is as much as the crowd did: k at once do k / (1 + (k - 1) share^2) times what one does.
    """
    components = list(dict.fromkeys(work.component for work in works))
    crowd = crowd_of(run, components[0])
    if len(components) > 1 or max(crowd) == 1:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        share = (low + high) / 2
        done = sum(count * seconds / (1 + (count - 1) * share**2) for count, seconds in crowd.items())
        low, high = (share, high) if done > alone * len(works) else (low, share)
    return (low + high) / 2


def straight(xs: Sequence[float], ys: Iterable[float]) -> tuple[float, float] | None:
    """The line of least squares: its value at 0, and its slope; None where all ``xs`` are about the same."""
    if statistics.pvariance(xs) < 1e-6 * max(1.0, statistics.fmean(xs) ** 2):
        return None
    slope, level = statistics.linear_regression(xs, list(ys))
    return level, slope
