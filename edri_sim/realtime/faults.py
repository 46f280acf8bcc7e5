"""Makes faults happen in real time: to proxies on the links, to programs, and to worker processes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from edri_sim import trace
from edri_sim.errors import UnsupportedFault
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ConnectionReset,
    Crash,
    Death,
    Fault,
    HostFault,
    Kill,
    LinkFault,
    OneWay,
    Outage,
    Pause,
    WorkerCrash,
)
from edri_sim.realtime.chaos import BACK, OUT, Proxy
from edri_sim.scenario import Scenario
from edri_sim.topology import Pair, Topology, pair_of
from edri_sim.trace import Trace

COMPONENT = "faults"
"""The name under which faults stand in the trace."""

IN_PROCESS = (Outage, OneWay, AddedLatency, Bandwidth, ConnectionReset, WorkerCrash)
"""The faults that can be made to happen where all machines are in one program."""
IN_PROCESSES = (*IN_PROCESS, Kill, Crash, Pause)
"""The faults that can be made to happen where each machine is a process of its own."""

Act = Callable[[Any], Awaitable[None]]
Acts = Mapping[type[HostFault], tuple[Act, Act]]
"""What begins a fault of a machine, and what ends it."""


def check_supported(scenario: Scenario, *, in_process: bool) -> None:
    """Raise UnsupportedFault for the first fault of a scenario that cannot be made to happen in real time."""
    supported = IN_PROCESS if in_process else IN_PROCESSES
    where = "in one program" if in_process else "on this one"
    for fault in scenario.faults:
        if not isinstance(fault, supported):
            kinds = ", ".join(kind.__name__ for kind in supported)
            raise UnsupportedFault(
                f"{fault} cannot be made to happen in real time, where all machines are {where}: expected one of"
                f" {kinds}, or a simulation"
            )
        if isinstance(fault, LinkFault):
            _check_link(fault, scenario)


def _check_link(fault: LinkFault, scenario: Scenario) -> None:
    nodes = scenario.topology.nodes
    if not any(a in nodes and b in nodes[a].switches for a, b in ((fault.a, fault.b), (fault.b, fault.a))):
        raise UnsupportedFault(
            f"{fault} cannot be made to happen in real time, where links are those of nodes to their own switches:"
            " expected one of these, or a simulation"
        )


def pairs_of(fault: Fault, topology: Topology) -> list[Pair]:
    """The links on which a fault needs a proxy: its own, and all of a machine whose power fails, in silence."""
    if isinstance(fault, LinkFault):
        return [pair_of(fault.a, fault.b)]
    if not isinstance(fault, Crash):
        return []
    lines = [(node.name, switch) for node in topology.nodes.values() for switch in node.switches]
    return [pair_of(*line) for line in lines if fault.name in line]


class Faults:
    """Begins and ends the faults of a scenario when they are due, and writes a row for each to ``record``.

    ``proxies`` are on the links that fail, and ``acts`` are for the faults of machines.
    """

    def __init__(self, scenario: Scenario, proxies: Mapping[Pair, Proxy], acts: Acts, record: Trace) -> None:
        self._scenario = scenario
        self._proxies = proxies
        self._acts = acts
        self._trace = record
        self._component = record.component(COMPONENT)
        self._effects: dict[Pair, list[Fault]] = {pair: [] for pair in proxies}

    async def run(self) -> None:
        """Return when all of them are over; cancelled, it leaves the links whole."""
        try:
            async with asyncio.TaskGroup() as group:
                for fault in self._scenario.faults:
                    group.create_task(self._make(fault))
        finally:
            for pair in self._proxies:
                self._effects[pair].clear()
                self._apply(pair)

    async def _make(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        self._trace.mark(trace.FAULT_BEGINS, self._component, str(fault))
        await self._begin(fault)
        if fault.until == math.inf:
            return
        await asyncio.sleep(fault.until - fault.at)
        await self._end(fault)
        self._trace.mark(trace.FAULT_ENDS, self._component, str(fault))

    async def _begin(self, fault: Fault) -> None:
        pairs = pairs_of(fault, self._scenario.topology)
        if isinstance(fault, ConnectionReset):
            self._reset(pairs)
        for pair in pairs:
            self._effects[pair].append(fault)
            self._apply(pair)
        if isinstance(fault, HostFault):
            await self._acts[type(fault)][0](fault)

    async def _end(self, fault: Fault) -> None:
        pairs = pairs_of(fault, self._scenario.topology)
        if isinstance(fault, Death):
            self._reset(pairs)  # What was under way went with the power.
        for pair in pairs:
            self._effects[pair].remove(fault)
            self._apply(pair)
        if isinstance(fault, HostFault):
            await self._acts[type(fault)][1](fault)

    def _reset(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self._proxies[pair].reset()

    def _apply(self, pair: Pair) -> None:
        """Let a link be as the faults that it suffers now say."""
        proxy, effects = self._proxies[pair], self._effects[pair]
        slow = [fault for fault in effects if isinstance(fault, AddedLatency)]
        rates = [fault.rate for fault in effects if isinstance(fault, Bandwidth)]
        proxy.latency(math.fsum(fault.latency for fault in slow), math.fsum(fault.jitter for fault in slow))
        proxy.bandwidth(min(rates, default=None))
        cut = {way for fault in effects for way in self._cut_ways(fault)}
        proxy.only(*(way for way in (OUT, BACK) if way not in cut))

    def _cut_ways(self, fault: Any) -> tuple[str, ...]:
        if isinstance(fault, Outage | Crash):
            return OUT, BACK
        if isinstance(fault, OneWay):  # Nodes connect to switches.
            return (OUT,) if fault.a in self._scenario.topology.nodes else (BACK,)
        return ()


async def nothing(_: object) -> None:
    """Ends a fault that was over when it had begun."""
