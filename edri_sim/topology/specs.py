"""What a topology consists of, as data: nodes, switches and links."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from edri_sim.errors import DeclarationError
from edri_sim.managers.manager import Manager
from edri_sim.managers.pool import Pool, check_count
from edri_sim.node import PartFactory
from edri_sim.service import Costs, check_amount

LATENCY = 0.0005
"""Seconds that bytes take over a link unless it is given another latency: machines in one hall."""

MOST_NODES = 20_000
"""Nodes that a topology may have: four times what is measured, and what a gigabyte or two of memory holds."""

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_HIGHEST_PORT = 65_535

Pair = tuple[str, str]
"""The names of a link's two ends, in the order of the alphabet."""


@dataclass(frozen=True, slots=True)
class SwitchSpec:
    """One switch on a host of its own. ``address`` is where it listens in real time: "host:port", or "" for none."""

    name: str
    address: str
    cores: int
    costs: Costs


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node on a host of its own: the factories of its parts, its switches, and what its machine has.

    A ``durable`` node keeps on disk what it has sent and was not acknowledged, so that it survives a crash.
    """

    name: str
    parts: tuple[PartFactory, ...]
    switches: tuple[str, ...]
    cores: int
    costs: Costs
    durable: bool


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A cable between two machines, the same in both directions; ``str()`` names it.

    ``latency`` is seconds, and ``jitter`` the most that chance adds to it for a piece of data, in seconds.
    ``bandwidth`` is bytes per second, and ``queue`` the bytes that may wait for their turn at it; None is unlimited.
    """

    a: str
    b: str
    latency: float = LATENCY
    jitter: float = 0.0
    bandwidth: float | None = None
    queue: int | None = None

    def __post_init__(self) -> None:
        where = f"link({self.a!r}, {self.b!r}"
        check_amount(f"{where}, latency", self.latency, least=0)
        check_amount(f"{where}, jitter", self.jitter, least=0)
        if self.bandwidth is not None:
            check_amount(f"{where}, bandwidth", self.bandwidth)
        if self.queue is not None:
            check_count(f"{where}, queue", self.queue, 1)

    def __str__(self) -> str:
        return f"{self.a}-{self.b}"


def pair_of(a: str, b: str) -> Pair:
    """The key of the link between two machines, whichever is named first."""
    return (a, b) if a <= b else (b, a)


def pools_of(spec: NodeSpec) -> dict[str, Pool]:
    """The pools of a node's managers, by the manager's class and their own name, such as "Images.resizers"."""
    pools: dict[str, Pool] = {}
    for factory in spec.parts:
        # Factories are there to be called, and what they make is idle.
        cls = factory if isinstance(factory, type) else type(factory())
        if issubclass(cls, Manager):
            pools |= {f"{cls.__name__}.{name}": pool for name, pool in cls.pools().items()}
    return pools


def unknown(what: str, name: object, known: Iterable[str]) -> DeclarationError:
    """The error for a name that is not ``known``, with the nearest one that is."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    others = f"expected one of {', '.join(names)}" if names else "none is declared"
    hint = f"did you mean {near[0]!r}?" if near else others
    return DeclarationError(f"{what} {name!r} is unknown: {hint}")


def check_address(name: str, address: object) -> None:
    """Raise a DeclarationError unless ``address`` is where a switch can listen: "host:port"."""
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 1 <= int(match[2]) <= _HIGHEST_PORT:
        raise DeclarationError(
            f"switch({name!r}, address={address!r}): expected 'host:port' with a port from 1 to {_HIGHEST_PORT}"
        )
