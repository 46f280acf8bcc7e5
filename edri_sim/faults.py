"""What goes wrong in a run, and when, as data: links that fail, machines that pause, die and come back.

Times are seconds, ``at`` since the run began. ``str()`` of a fault is its name in traces and pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from edri_sim.errors import DeclarationError
from edri_sim.managers.pool import check_count
from edri_sim.names import check_name
from edri_sim.service import check_amount
from edri_sim.topology import Topology, pair_of, pools_of, unknown


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

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began."""
        return self.at

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


@dataclass(frozen=True, slots=True)
class WorkerCrash(HostFault):
    """Worker ``index`` of a pool in mode ``process`` ends as by SIGKILL; the pool replaces it, as it does every one.

    ``pool`` is its manager's class and its own name, such as "Images.resizers".
    """

    kind: ClassVar[str] = "worker crash"
    pool: str
    index: int = 0

    def __post_init__(self) -> None:
        HostFault.__post_init__(self)
        check_count(f"WorkerCrash({self.name!r}, index", self.index, 0)

    def __str__(self) -> str:
        return f"{self.kind} {self.label}[{self.index}]"

    @property
    def label(self) -> str:
        """The name of the pool in traces."""
        return f"{self.name}/{self.pool}"

    def check_place(self, topology: Topology) -> None:
        """Raise a DeclarationError unless ``topology`` has the worker, in a process of its own."""
        if self.name not in topology.nodes:
            raise unknown(f"{self}: node", self.name, topology.nodes)
        pools = pools_of(topology.nodes[self.name])
        if self.pool not in pools:
            raise unknown(f"{self}: pool", self.pool, pools)
        found = pools[self.pool]
        if found.mode != "process" or self.index >= found.shape.size:
            raise DeclarationError(
                f"{self}: the pool has {found.shape.size} workers in mode {found.mode!r}: expected one of mode"
                " 'process', and an index below its size"
            )


@dataclass(frozen=True, slots=True)
class LastingHostFault(HostFault):
    """A fault that a machine recovers from after ``duration`` seconds, while which it goes on."""

    duration: float

    def __post_init__(self) -> None:
        HostFault.__post_init__(self)
        self._check("duration", self.duration)

    @property
    def until(self) -> float:
        """When it is over, in seconds since the run began."""
        return self.at + self.duration


@dataclass(frozen=True, slots=True)
class SlowConsumer(LastingHostFault):
    """Each event takes ``delay`` seconds more in the node's handlers, in which they hold nothing but their slot."""

    kind: ClassVar[str] = "slow consumer"
    delay: float

    def __post_init__(self) -> None:
        LastingHostFault.__post_init__(self)
        self._check("delay", self.delay)


@dataclass(frozen=True, slots=True)
class SlowDisk(LastingHostFault):
    """Each commit takes the machine's disk ``delay`` seconds more."""

    kind: ClassVar[str] = "slow disk"
    delay: float

    def __post_init__(self) -> None:
        LastingHostFault.__post_init__(self)
        self._check("delay", self.delay)


@dataclass(frozen=True, slots=True)
class DiskFull(LastingHostFault):
    """The machine's disk has no room: each commit fails with a StorageError, and stores nothing."""

    kind: ClassVar[str] = "disk full"


@dataclass(frozen=True, slots=True)
class ClockJump(HostFault):
    """Somebody sets the machine's wall clock forward by ``seconds``, or back where they are below 0."""

    kind: ClassVar[str] = "clock jump"
    seconds: float

    def __post_init__(self) -> None:
        HostFault.__post_init__(self)
        given: object = self.seconds
        if not isinstance(given, int | float) or not math.isfinite(given):
            raise DeclarationError(f"ClockJump({self.name!r}, seconds={self.seconds!r}): expected a number")

    def __str__(self) -> str:
        return f"{self.kind} {self.name} by {self.seconds:+.9g} s"


Fault = LastingLinkFault | ConnectionReset | HostFault
"""Any fault."""


KINDS: dict[str, type[Fault]] = {
    kind.__name__: kind
    for kind in (
        Outage, OneWay, AddedLatency, Bandwidth, ConnectionReset, Kill, Crash, Pause, WorkerCrash, SlowConsumer,
        ClockJump, SlowDisk, DiskFull,
    )
}  # fmt: skip
"""Every fault by its name in a file."""


def check(faults: Iterable[Fault], topology: Topology) -> None:
    """Refuse faults that could not happen to the machines and links of ``topology``.

    Raises:
        DeclarationError: an item is no fault, names a machine or a link that is not there, or befalls a machine that
            is down or paused by an earlier one. (A paused machine can die, and so can its workers.)
    """
    listed = list(faults)
    for fault in listed:
        if not isinstance(fault, Fault):
            raise DeclarationError(f"faults: expected faults such as Outage(...), got {fault!r}")
        fault.check_place(topology)
    last: dict[str, Death | Pause] = {}
    for fault in sorted(listed, key=lambda fault: fault.at):
        if isinstance(fault, Death | Pause | WorkerCrash):
            _check_can_act(fault, last.get(fault.name))
        if isinstance(fault, Death | Pause):
            last[fault.name] = fault


def _check_can_act(fault: Death | Pause | WorkerCrash, before: Death | Pause | None) -> None:
    if before is None or fault.at >= before.until or (not isinstance(fault, Pause) and isinstance(before, Pause)):
        return
    end = "for good" if before.until == math.inf else f"until {before.until:.9g} s"
    raise DeclarationError(
        f"{fault} at {fault.at:.9g} s: {fault.name!r} is {before.state} then, from {before.at:.9g} s {end}"
    )


def _check_host(fault: object, name: str, topology: Topology) -> None:
    hosts = [*topology.nodes, *topology.switches]
    if name not in hosts:
        raise unknown(f"{fault}: node or switch", name, hosts)
