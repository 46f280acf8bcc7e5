"""Makes faults happen in real time: to proxies on the links, and to worker processes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from edri_sim import trace
from edri_sim.errors import UnsupportedFault
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ConnectionReset,
    Fault,
    LinkFault,
    OneWay,
    Outage,
    WorkerCrash,
)
from edri_sim.realtime.chaos import BACK, OUT, Proxy
from edri_sim.realtime.host import LocalHost
from edri_sim.scenario import Scenario
from edri_sim.topology import Pair, pair_of
from edri_sim.trace import Trace

COMPONENT = "faults"
"""The name under which faults stand in the trace."""

SUPPORTED = (Outage, OneWay, AddedLatency, Bandwidth, ConnectionReset, WorkerCrash)


def check_supported(scenario: Scenario) -> None:
    """Raise UnsupportedFault for the first fault of a scenario that cannot be made to happen in real time."""
    for fault in scenario.faults:
        if not isinstance(fault, SUPPORTED):
            kinds = ", ".join(kind.__name__ for kind in SUPPORTED)
            raise UnsupportedFault(
                f"{fault} cannot be made to happen in real time, where all machines are in one program: expected one of"
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


class Faults:
    """Begins and ends the faults of a scenario when they are due, and writes a row for each to ``record``."""

    def __init__(
        self, scenario: Scenario, proxies: Mapping[Pair, Proxy], hosts: Mapping[str, LocalHost], record: Trace
    ) -> None:
        self._scenario = scenario
        self._proxies = proxies
        self._hosts = hosts
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
        if isinstance(fault, WorkerCrash):
            self._hosts[fault.name].workers[fault.label, fault.index].crash()
        elif isinstance(fault, LinkFault):
            pair = pair_of(fault.a, fault.b)
            if isinstance(fault, ConnectionReset):
                self._proxies[pair].reset()
            self._effects[pair].append(fault)
            self._apply(pair)
            await asyncio.sleep(fault.until - fault.at)
            self._effects[pair].remove(fault)
            self._apply(pair)
        self._trace.mark(trace.FAULT_ENDS, self._component, str(fault))

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
        if isinstance(fault, Outage):
            return OUT, BACK
        if isinstance(fault, OneWay):  # Nodes connect to switches.
            return (OUT,) if fault.a in self._scenario.topology.nodes else (BACK,)
        return ()
