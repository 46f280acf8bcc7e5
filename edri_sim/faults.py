"""What goes wrong in a run, and when, as data: links that fail, machines that pause, die and come back.

Times are seconds, ``at`` since the run began. ``str()`` of a fault is its name in traces and pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from edri_sim.errors import DeclarationError
from edri_sim.names import check_name
from edri_sim.service import check_amount
from edri_sim.topology import Topology, pair_of, unknown


@dataclass(frozen=True, slots=True)
class LinkFault:
    """A fault of the link between the machines ``a`` and ``b``."""

    kind: ClassVar[str]
    join: ClassVar[str] = "-"
    a: str
    b: str
    at: float

    def __post_init__(self) -> None:
        check_name("host", self.a)
        check_name("host", self.b)
        self._check("at", self.at, least=0)

    def _check(self, name: str, value: object, least: float | None = None) -> None:
        check_amount(f"{type(self).__name__}({self.a!r}, {self.b!r}, {name}", value, least)

    def __str__(self) -> str:
        return f"{self.kind} {self.a}{self.join}{self.b}"

    def check_place(self, topology: Topology) -> None:
        """Raise a DeclarationError unless ``topology`` has the link."""
        for end in (self.a, self.b):
            _check_host(self, end, topology)
        if pair_of(self.a, self.b) not in topology.links:
            links = ", ".join(map(str, topology.links.values())) or "none"
            raise DeclarationError(
                f"{self}: topology {topology.name!r} has no link between {self.a!r} and {self.b!r}; there are: {links}"
            )

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began."""
        return self.at

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """The directions that it affects, each from one machine to the other."""
        return ((self.a, self.b), (self.b, self.a))


@dataclass(frozen=True, slots=True)
class LastingLinkFault(LinkFault):
    """A fault that a link recovers from after ``duration`` seconds."""

    duration: float

    def __post_init__(self) -> None:
        LinkFault.__post_init__(self)
        self._check("duration", self.duration)

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began."""
        return self.at + self.duration


@dataclass(frozen=True, slots=True)
class Outage(LastingLinkFault):
    """Nothing passes, in either direction."""

    kind: ClassVar[str] = "outage"


@dataclass(frozen=True, slots=True)
class OneWay(LastingLinkFault):
    """Nothing passes from ``a`` to ``b``; from ``b`` to ``a`` all goes on as before."""

    kind: ClassVar[str] = "one-way outage"
    join: ClassVar[str] = ">"

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """The one direction that it affects."""
        return ((self.a, self.b),)


@dataclass(frozen=True, slots=True)
class AddedLatency(LastingLinkFault):
    """``latency`` seconds, and up to ``jitter`` seconds more by chance, on top of what the link has, both ways."""

    kind: ClassVar[str] = "added latency"
    latency: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        LastingLinkFault.__post_init__(self)
        self._check("latency", self.latency, least=0)
        self._check("jitter", self.jitter, least=0)


@dataclass(frozen=True, slots=True)
class Bandwidth(LastingLinkFault):
    """No more than ``rate`` bytes per second pass, in each direction."""

    kind: ClassVar[str] = "bandwidth"
    rate: float

    def __post_init__(self) -> None:
        LastingLinkFault.__post_init__(self)
        self._check("rate", self.rate)


@dataclass(frozen=True, slots=True)
class ConnectionReset(LinkFault):
    """Every connection that crosses the link is reset at both of its ends; new ones can be made at once."""

    kind: ClassVar[str] = "reset"


@dataclass(frozen=True, slots=True)
class HostFault:
    """A fault of one machine, a node's or a switch's."""

    kind: ClassVar[str]
    state: ClassVar[str] = "down"
    name: str
    at: float

    def __post_init__(self) -> None:
        check_name("host", self.name)
        self._check("at", self.at, least=0)

    def _check(self, name: str, value: object, least: float | None = None) -> None:
        check_amount(f"{type(self).__name__}({self.name!r}, {name}", value, least)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def check_place(self, topology: Topology) -> None:
        """Raise a DeclarationError unless ``topology`` has the machine."""
        _check_host(self, self.name, topology)


@dataclass(frozen=True, slots=True)
class Death(HostFault):
    """The machine's program ends, and begins anew ``restart_after`` seconds later; None: never."""

    restart_after: float | None = None

    def __post_init__(self) -> None:
        HostFault.__post_init__(self)
        if self.restart_after is not None:
            self._check("restart_after", self.restart_after, least=0)

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began; infinity for never."""
        return math.inf if self.restart_after is None else self.at + self.restart_after


@dataclass(frozen=True, slots=True)
class Kill(Death):
    """The process ends as by SIGKILL: the machine lives on, and ends its connections at once."""

    kind: ClassVar[str] = "kill"


@dataclass(frozen=True, slots=True)
class Crash(Death):
    """The power fails: nobody hears anything, and what was not committed to storage is lost."""

    kind: ClassVar[str] = "crash"


@dataclass(frozen=True, slots=True)
class Pause(HostFault):
    """The program stands still for ``duration`` seconds (a garbage collection, SIGSTOP); its system takes bytes."""

    kind: ClassVar[str] = "pause"
    state: ClassVar[str] = "paused"
    duration: float

    def __post_init__(self) -> None:
        HostFault.__post_init__(self)
        self._check("duration", self.duration)

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began, unless the machine dies before."""
        return self.at + self.duration


Fault = LastingLinkFault | ConnectionReset | Death | Pause
"""Any fault."""


KINDS: dict[str, type[Fault]] = {
    kind.__name__: kind for kind in (Outage, OneWay, AddedLatency, Bandwidth, ConnectionReset, Kill, Crash, Pause)
}  # fmt: skip
"""Every fault by its name in a file."""


def check(faults: Iterable[Fault], topology: Topology) -> None:
    """Refuse faults that could not happen to the machines and links of ``topology``.

    Raises:
        DeclarationError: an item is no fault, names a machine or a link that is not there, or befalls a machine that
            is down or paused by an earlier one. (A paused machine can die.)
    """
    listed = list(faults)
    for fault in listed:
        if not isinstance(fault, Fault):
            raise DeclarationError(f"faults: expected faults such as Outage(...), got {fault!r}")
        fault.check_place(topology)
    last: dict[str, Death | Pause] = {}
    for fault in sorted(listed, key=lambda fault: fault.at):
        if isinstance(fault, HostFault):
            _check_can_act(fault, last.get(fault.name))
            last[fault.name] = fault


def _check_can_act(fault: Death | Pause, before: Death | Pause | None) -> None:
    if before is None or fault.at >= before.until or (isinstance(fault, Death) and isinstance(before, Pause)):
        return
    end = "for good" if before.until == math.inf else f"until {before.until:.9g} s"
    raise DeclarationError(
        f"{fault} at {fault.at:.9g} s: {fault.name!r} is {before.state} then, from {before.at:.9g} s {end}"
    )


def _check_host(fault: object, name: str, topology: Topology) -> None:
    hosts = [*topology.nodes, *topology.switches]
    if name not in hosts:
        raise unknown(f"{fault}: node or switch", name, hosts)
