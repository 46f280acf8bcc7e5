"""Faults for the whole system, drawn from a seed, and when each is said to have taken effect."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from edri_sim import Topology
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ConnectionReset,
    Crash,
    Fault,
    HostFault,
    Kill,
    OneWay,
    Outage,
    Pause,
)
from edri_sim.traffic import Crossing, Traffic

FIRST, LAST = 1.0, 3.5
"""Seconds between which faults begin."""
COUNT = 6
SECOND = 1_000_000_000
LATE = SECOND // 20
"""Nanoseconds: an event that takes longer than these met a fault. Without one it takes 4 ms."""


def draw(topology: Topology, source: random.Random) -> list[Fault]:
    """Faults for links, nodes and switches; a machine has one at a time."""
    free = dict.fromkeys([*topology.nodes, *topology.switches], 0.0)
    faults: list[Fault] = []
    for at in sorted(source.uniform(FIRST, LAST) for _ in range(COUNT)):
        fault = source.choice(_DRAWN)(topology, source, at)
        if isinstance(fault, HostFault):
            if free[fault.name] > at:
                continue
            free[fault.name] = fault.until
        faults.append(fault)
    return faults


Drawn = Callable[[Topology, random.Random, float], Any]


def _on_link(make: Callable[[str, str, float, random.Random], Fault]) -> Drawn:
    def drawn(topology: Topology, source: random.Random, at: float) -> Fault:
        link = source.choice(list(topology.links.values()))
        ends = (link.a, link.b) if source.random() < 0.5 else (link.b, link.a)
        return make(*ends, at, source)

    return drawn


def _on_host(make: Callable[[str, float, random.Random], Fault]) -> Drawn:
    def drawn(topology: Topology, source: random.Random, at: float) -> Fault:
        kind: Iterable[str] = topology.nodes if source.random() < 0.6 else topology.switches
        return make(source.choice(list(kind)), at, source)

    return drawn


def _long(source: random.Random) -> float:
    return source.uniform(0.3, 1.5)


_DRAWN: tuple[Drawn, ...] = (
    _on_link(lambda a, b, at, source: Outage(a, b, at, _long(source))),
    _on_link(lambda a, b, at, source: OneWay(a, b, at, _long(source))),
    _on_link(lambda a, b, at, source: AddedLatency(a, b, at, _long(source), source.uniform(0.1, 0.4), 0.1)),
    _on_link(lambda a, b, at, source: Bandwidth(a, b, at, _long(source), source.uniform(300, 2_000))),
    _on_link(lambda a, b, at, _: ConnectionReset(a, b, at)),
    _on_host(lambda name, at, source: Kill(name, at, _long(source))),
    _on_host(lambda name, at, source: Crash(name, at, _long(source))),
    _on_host(lambda name, at, source: Pause(name, at, _long(source))),
)
CLASSES = (Outage, OneWay, AddedLatency, Bandwidth, ConnectionReset, Kill, Crash, Pause)


def effects(faults: Iterable[Fault], traffic: Traffic) -> Counter[str]:
    """How many faults of each kind took effect."""
    return Counter(type(fault).__name__ for fault in faults if _EFFECTS[type(fault)](fault, traffic))


def _delayed(fault: Any, traffic: Traffic) -> bool:
    """Whether an event that had to do with it was under way during the fault, and late or never there."""
    names = (fault.name,) if isinstance(fault, HostFault) else (fault.a, fault.b)
    begin, end = int(fault.at * SECOND), int(fault.until * SECOND)
    return any(
        _late(crossing, begin, end)
        for crossing in traffic.crossings.values()
        if crossing.source in names or crossing.target in names or _switches(names, traffic)
    )


def _switches(names: tuple[str, ...], traffic: Traffic) -> bool:
    """Whether it is a switch alone that has the fault: then all events have to do with it."""
    return len(names) == 1 and any(switch == names[0] for _, switch in traffic.lines)


def _late(crossing: Crossing, begin: int, end: int) -> bool:
    accepted = crossing.accepted
    if accepted is None or accepted > end:
        return False
    if crossing.delivered is None:
        return accepted >= begin
    return crossing.delivered >= begin and crossing.delivered - accepted > LATE


def _line_broke(fault: Any, traffic: Traffic) -> bool:
    """Whether a line that it cuts was up, and went down at that instant."""
    begin = int(fault.at * SECOND)
    lines = (traffic.lines.get(pair, []) for pair in ((fault.a, fault.b), (fault.b, fault.a)))
    return any(period.end is not None and abs(period.end - begin) < LATE for line in lines for period in line)


def _died_joined(fault: Any, traffic: Traffic) -> bool:
    """Whether a line to the machine that died was up."""
    begin = int(fault.at * SECOND)
    return any(
        period.start < begin and (period.end is None or period.end >= begin)
        for pair, line in traffic.lines.items()
        if fault.name in pair
        for period in line
    )


_EFFECTS: dict[type[Any], Callable[[Any, Traffic], bool]] = {
    Outage: _delayed, OneWay: _delayed, AddedLatency: _delayed, Bandwidth: _delayed, Pause: _delayed,
    ConnectionReset: _line_broke, Kill: _died_joined, Crash: _died_joined,
}  # fmt: skip
