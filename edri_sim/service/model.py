"""How long work takes in simulated time, as data: distributions, and what a service holds while it lasts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edri_sim.errors import DeclarationError
from edri_sim.host import RandomStream

BODIES = ("run", "skip")


class Distribution(Protocol):
    """Draws durations, in seconds."""

    @property
    def mean(self) -> float:
        """The expected duration, in seconds."""

    def draw(self, stream: RandomStream) -> float:
        """One duration, in seconds."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always ``value`` seconds."""

    value: float

    def __post_init__(self) -> None:
        check_amount("Constant(value", self.value, least=0.0)

    @property
    def mean(self) -> float:
        """The value itself."""
        return self.value

    def draw(self, stream: RandomStream) -> float:  # noqa: ARG002 - the interface of distributions
        """The value itself."""
        return self.value


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential with ``mean`` seconds: the service of M/M queues."""

    mean: float

    def __post_init__(self) -> None:
        check_amount("Exponential(mean", self.mean)

    def draw(self, stream: RandomStream) -> float:
        """By inversion: -mean * ln(1 - u)."""
        return -self.mean * math.log(1.0 - stream.random())


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Log-normal with ``mean`` seconds and coefficient of variation ``cv`` (standard deviation / mean)."""

    mean: float
    cv: float

    def __post_init__(self) -> None:
        check_amount("LogNormal(mean", self.mean)
        check_amount("LogNormal(cv", self.cv)

    def draw(self, stream: RandomStream) -> float:
        """exp(mu + sigma z), with sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2, and z by Box and Muller."""
        variance = math.log1p(self.cv * self.cv)
        radius = math.sqrt(-2.0 * math.log(1.0 - stream.random()))
        z = radius * math.cos(2.0 * math.pi * stream.random())
        return math.exp(math.log(self.mean) - variance / 2 + math.sqrt(variance) * z)


@dataclass(frozen=True, slots=True)
class Empirical:
    """Draws from measured durations (seconds), each as likely as the others."""

    samples: tuple[float, ...]

    def __init__(self, samples: Sequence[float]) -> None:
        if not samples:
            raise DeclarationError("Empirical(samples=()): expected at least one duration in seconds")
        for sample in samples:
            check_amount("Empirical(sample", sample, least=0.0)
        object.__setattr__(self, "samples", tuple(samples))

    @property
    def mean(self) -> float:
        """The mean of the samples."""
        return math.fsum(self.samples) / len(self.samples)

    def draw(self, stream: RandomStream) -> float:
        """One of the samples."""
        return self.samples[int(stream.random() * len(self.samples))]


@dataclass(frozen=True, slots=True)
class Service:
    """What one event costs before its handler's body runs.

    ``cpu`` holds a core of the host: in a process alone, in a thread together with the GIL of the node's process for
    the share ``gil`` of it (0 to 1), in method mode with the GIL and the node's whole loop. ``wait`` holds nothing.
    Both are seconds or a :class:`Distribution`. ``body="skip"`` does not run the body, and replies ``result``, or what
    it returns when called with the event: for bodies that are costly, or touch the world.
    """

    cpu: Distribution | float = 0.0
    wait: Distribution | float = 0.0
    gil: float = 1.0
    body: str = "run"
    result: Any = None

    def __post_init__(self) -> None:
        if not _is_share(self.gil):
            raise DeclarationError(f"Service(gil={self.gil!r}): expected a share from 0 to 1")
        if self.body not in BODIES:
            raise DeclarationError(f"Service(body={self.body!r}): expected one of {', '.join(BODIES)}")
        if self.result is not None and self.body != "skip":
            raise DeclarationError(f"Service(result={self.result!r}): a result takes a body's place: say body='skip'")
        object.__setattr__(self, "cpu", as_distribution("Service(cpu", self.cpu))
        object.__setattr__(self, "wait", as_distribution("Service(wait", self.wait))

    def draw(self, stream: RandomStream) -> tuple[float, float]:
        """Seconds of cpu and seconds of wait for one event."""
        return self.cpu.draw(stream), self.wait.draw(stream)  # type: ignore[union-attr]

    def answer(self, event: Any) -> Any:
        """The reply in place of a skipped body's."""
        return self.result(event) if callable(self.result) else self.result


@dataclass(frozen=True, slots=True)
class Costs:
    """What the runtime and the system cost on a host, in seconds: 0 unless calibrated.

    ``event`` is paid by the node's loop for each event that a handler takes, ``byte`` for each encoded byte that goes
    to a process worker or back, ``spawn`` once for each process worker that starts, and ``commit`` by the disk for each
    commit of a storage, one after the other. ``quantum`` is how long work keeps a core, and the GIL, while other work
    waits for it; 0: to its end.
    """

    event: float = 0.0
    byte: float = 0.0
    spawn: float = 0.0
    commit: float = 0.0
    quantum: float = 0.0

    def __post_init__(self) -> None:
        for name in ("event", "byte", "spawn", "commit", "quantum"):
            check_amount(f"Costs({name}", getattr(self, name), least=0.0)


@dataclass(slots=True)
class ServiceTable:
    """Services by handler (a function), event type or worker class; the most specific one counts."""

    services: dict[Any, Service] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[Any, Service | Distribution | float] | None) -> ServiceTable:
        """The table of what a user gives; a bare distribution or number is seconds of cpu.

        Raises:
            DeclarationError: it is no mapping, a key is neither a function nor a class, or a value is no service.
        """
        if not isinstance(given, Mapping | None):
            raise DeclarationError(f"service={given!r}: expected a mapping, such as {{EventType: seconds}}")
        table: dict[Any, Service] = {}
        for key, value in (given or {}).items():
            if not callable(key):
                raise DeclarationError(f"service for {key!r}: expected an event type, a handler or a worker class")
            if isinstance(value, Service):
                table[key] = value
            else:
                table[key] = Service(cpu=as_distribution(f"service for {key!r}, (cpu", value))
        return cls(table)

    def find(self, handler: Any, event: type[Any], owner: type[Any]) -> Service | None:
        """The service of one handler's function, else of the event's type or a base, else of the worker's class."""
        for key in (handler, *event.__mro__, *owner.__mro__):
            if key in self.services:
                return self.services[key]
        return None


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def as_distribution(what: str, value: Any) -> Distribution:
    """A distribution as it is, a number of seconds as a constant; else a DeclarationError that begins with ``what``."""
    if isinstance(value, int | float):
        check_amount(what, value, least=0.0)
        return Constant(float(value))
    if not hasattr(value, "draw"):
        raise DeclarationError(f"{what}={value!r}): expected seconds or a distribution")
    chosen: Distribution = value
    return chosen


def check_amount(what: str, value: Any, least: float | None = None) -> None:
    """Raise a DeclarationError unless ``value`` is a finite number of at least ``least``, or above 0 without it."""
    good = isinstance(value, int | float) and math.isfinite(value) and (value > 0 if least is None else value >= least)
    if not good:
        wanted = "a number above 0" if least is None else "a number, 0 or more"
        raise DeclarationError(f"{what}={value!r}): expected {wanted}")
