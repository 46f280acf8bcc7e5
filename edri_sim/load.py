"""What a system is asked to do, as data: who publishes which events, and when.

A load's ``make`` is called with 0, 1, 2 and so on, and returns the events; it is a function, or is named
``"module:name"``, as it has to be in a file. Times are seconds since the run began.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from edri_sim.errors import DeclarationError
from edri_sim.events import Notification, Request
from edri_sim.host import RandomStream
from edri_sim.managers.pool import check_count
from edri_sim.names import check_name
from edri_sim.references import resolve
from edri_sim.service import Constant as Always
from edri_sim.service import Distribution, as_distribution, check_amount
from edri_sim.topology import Topology, unknown

Event = Notification | Request[Any]
Maker = Callable[[int], Event] | str

PAUSE = 0.1
"""Seconds that a client waits at least after a request that failed, so that it cannot fail over and over at once."""


@dataclass(frozen=True, slots=True)
class Load:
    """What every load has: it is published from ``node``, from ``start`` to ``until`` (None: the end of the run).

    ``timeout`` is the seconds that a request may take; None is the node's own setting.
    """

    kind: ClassVar[str]
    make: Maker
    _: KW_ONLY
    node: str
    start: float = 0.0
    until: float | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.make) and not isinstance(self.make, str):
            raise DeclarationError(f"{self._named('make', self.make)}: expected a function, or 'module:name' of one")
        check_name("node", self.node)
        self._check("start", least=0)
        if self.timeout is not None:
            self._check("timeout")
        if self.until is not None:
            self._check("until")
            if self.until <= self.start:
                raise DeclarationError(f"{self._named('until', self.until)}: expected more than start={self.start!r}")

    def __str__(self) -> str:
        return f"{self.kind} load on {self.node}"

    def _named(self, name: str, value: object) -> str:
        return f"{type(self).__name__}({name}={value!r})"

    def _check(self, name: str, least: float | None = None) -> None:
        check_amount(f"{type(self).__name__}({name}", getattr(self, name), least)

    def maker(self) -> Callable[[int], Event]:
        """The function that makes the events. Raises DeclarationError where its name leads to none."""
        found: Any = resolve(self.make) if isinstance(self.make, str) else self.make
        if not callable(found):
            raise DeclarationError(f"{self}: make={self.make!r} is no function, but of type {type(found).__name__}")
        return found  # type: ignore[no-any-return]

    def event_type(self) -> type[Event]:
        """The class of its first event. Raises DeclarationError if ``make`` raises, or what it makes is no event."""
        make = self.maker()
        try:
            first = make(0)
        except Exception as error:
            raise DeclarationError(f"{self}: make(0) raised {type(error).__name__}: {error}") from error
        if not isinstance(first, Notification | Request):
            raise DeclarationError(f"{self}: make(0) returned {first!r}: expected a Notification or a Request")
        return type(first)

    def check_place(self, topology: Topology, duration: float) -> None:
        """Raise a DeclarationError unless ``topology`` has the node, and the load starts within ``duration`` seconds.

        It has to end by then, too, if it says when.
        """
        if self.node not in topology.nodes:
            raise unknown(f"{self}: node", self.node, topology.nodes)
        if self.start >= duration or (self.until or 0) > duration:
            late = f"start={self.start!r}" if self.start >= duration else f"until={self.until!r}"
            raise DeclarationError(f"{self}: {late} is after the end of the scenario, at {duration:.9g} s")
        self.event_type()

    def end(self, duration: float) -> float:
        """When it is over, in a run of ``duration`` seconds."""
        return duration if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class OpenLoad(Load, ABC):
    """Events come whatever becomes of those before them."""

    def arrivals(self, stream: RandomStream, duration: float) -> Iterator[float]:
        """When each event is published in a run of ``duration`` seconds, in order."""
        end = self.end(duration)
        for at in self._times(stream, end - self.start):
            if self.start + at >= end:
                return
            yield self.start + at

    @abstractmethod
    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:
        """Seconds from the start of the load; those beyond its ``length`` are not taken."""


@dataclass(frozen=True, slots=True)
class Poisson(OpenLoad):
    """Events come independently of one another, ``rate`` a second in the mean."""

    kind: ClassVar[str] = "Poisson"
    _: KW_ONLY
    rate: float

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        self._check("rate")

    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:  # noqa: ARG002 - the interface
        at = 0.0
        while True:
            at += _gap(stream) / self.rate
            yield at


@dataclass(frozen=True, slots=True)
class Constant(OpenLoad):
    """``rate`` events a second, evenly spaced, the first one at the start."""

    kind: ClassVar[str] = "constant"
    _: KW_ONLY
    rate: float

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        self._check("rate")

    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:  # noqa: ARG002 - the interface
        number = 0
        while True:
            yield number / self.rate
            number += 1


@dataclass(frozen=True, slots=True)
class Burst(OpenLoad):
    """``size`` events at one instant, at the start and every ``every`` seconds from then on."""

    kind: ClassVar[str] = "burst"
    _: KW_ONLY
    size: int
    every: float

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        check_count("Burst(size", self.size, 1)
        self._check("every")

    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:  # noqa: ARG002 - the interface
        number = 0
        while True:
            for _ in range(self.size):
                yield number * self.every
            number += 1


@dataclass(frozen=True, slots=True)
class Ramp(OpenLoad):
    """As Poisson, but the rate changes evenly from ``rate`` at the start to ``to_rate`` at the end, a second each."""

    kind: ClassVar[str] = "ramp"
    _: KW_ONLY
    rate: float
    to_rate: float

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        self._check("rate", least=0)
        self._check("to_rate", least=0)
        if self.rate == self.to_rate == 0:
            raise DeclarationError("Ramp(rate=0, to_rate=0): expected one of them above 0")

    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:
        """By inversion: after t seconds, rate t + (to_rate - rate) t^2 / (2 length) events have come in the mean."""
        total = (self.rate + self.to_rate) * length / 2
        slope = (self.to_rate - self.rate) / length
        count = _gap(stream)
        while count < total:
            root = math.sqrt(max(0.0, self.rate * self.rate + 2 * slope * count))
            yield 2 * count / (self.rate + root)
            count += _gap(stream)


@dataclass(frozen=True, slots=True)
class RecordedLoad(OpenLoad):
    """Events come at ``times``, seconds from the start of the load: those of a run are ``run.arrivals(type)``."""

    kind: ClassVar[str] = "recorded"
    _: KW_ONLY
    times: Sequence[float]

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        for time in self.times:
            check_amount("RecordedLoad(times: time", time, least=0)
        object.__setattr__(self, "times", tuple(sorted(self.times)))

    def _times(self, stream: RandomStream, length: float) -> Iterator[float]:  # noqa: ARG002 - the interface
        return iter(self.times)


@dataclass(frozen=True, slots=True)
class Clients(Load):
    """A closed loop: each of ``count`` clients publishes its next event ``think`` seconds after the end of its last.

    ``think`` is seconds or a distribution; at the start, too, each client thinks before its first event. After a
    failure it waits for 0.1 s at least.
    """

    kind: ClassVar[str] = "closed-loop"
    _: KW_ONLY
    count: int
    think: Distribution | float = 0.0

    def __post_init__(self) -> None:
        Load.__post_init__(self)
        check_count("Clients(count", self.count, 1)
        object.__setattr__(self, "think", as_distribution("Clients(think", self.think))

    def pause(self, stream: RandomStream, *, failed: bool) -> float:
        """Seconds until a client's next event."""
        assert not isinstance(self.think, int | float)
        return max(self.think.draw(stream), PAUSE if failed else 0.0)


KINDS: dict[str, type[Load]] = {
    kind.__name__: kind for kind in (Poisson, Constant, Burst, Ramp, RecordedLoad, Clients)
}  # fmt: skip
"""Every load by its name in a file."""


def check(loads: Sequence[object], topology: Topology, duration: float) -> None:
    """Refuse loads that could not act on ``topology`` in a run of ``duration`` seconds.

    Raises:
        DeclarationError: an item is no load, names a node that is not there, starts after the end, or makes no events.
    """
    for load in loads:
        if not isinstance(load, Load):
            hint = " (of edri_sim.load, not of edri_sim.service)" if isinstance(load, Always) else ""
            raise DeclarationError(f"load: expected loads such as Poisson(...){hint}, got {load!r}")
        load.check_place(topology, duration)


def _gap(stream: RandomStream) -> float:
    """An exponential draw of mean 1, by inversion."""
    return -math.log(1.0 - stream.random())
