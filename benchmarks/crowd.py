"""A trace as long as one likes, of many nodes at one switch, that nobody had to simulate: to time pictures on."""

from __future__ import annotations

from edri_sim import Run, Topology, trace
from edri_sim.trace import Recorder

TYPES = ("crowd.Order", "crowd.Paid", "crowd.Sent")
_ROWS_OF_AN_EVENT = 7
_MILLISECOND = 1_000_000


def crowd(nodes: int = 300, rows: int = 100_000) -> Run:
    """`nodes` nodes that each write to the one seven places on, an event every 2 ms; at least `rows` rows in all."""
    recorder = Recorder()
    number = recorder.names.number
    names = _names(nodes)
    for name in names:
        recorder.slots |= {f"{name}/router": 0, f"{name}/connector": 0, f"{name}/Reader": 1000}
        line = (0, trace.LINK_UP, number(name), number(f"{name}/connector"), 0, 0, number("hub"), 0)
        recorder.open.extend(line)
    recorder.seal()
    for count in range(1 + (rows - nodes) // _ROWS_OF_AN_EVENT):
        source, target = names[count % nodes], names[(count + 7) % nodes]
        _event(recorder, source, target, count)
    return Run(recorder, simulated=True, seed=1)


def crowd_topology(nodes: int = 300) -> Topology:
    """The nodes and the switch of a crowd."""
    topology = Topology("crowd")
    topology.switch("hub")
    for name in _names(nodes):
        topology.node(name, switch="hub")
    return topology


def _names(nodes: int) -> list[str]:
    return [f"node{place:03}" for place in range(nodes)]


def _event(recorder: Recorder, source: str, target: str, count: int) -> None:
    number = recorder.names.number
    origin, kind = number(f"{source}/1"), number(TYPES[count % len(TYPES)])
    here, there = number(source), number(target)
    stages = (
        (0, trace.CREATED, here, f"{source}/router", 0),
        (0, trace.ROUTED, here, f"{source}/router", 0),
        (0, trace.SENT, here, f"{source}/connector", there),
        (1, trace.DELIVERED, there, f"{target}/connector", here),
        (1, trace.QUEUED, there, f"{target}/Reader", 0),
        (1, trace.STARTED, there, f"{target}/Reader", 0),
        (1, trace.FINISHED, there, f"{target}/Reader", 0),
    )
    for later, stage, node, component, detail in stages:
        time = (2 * count + later) * _MILLISECOND
        recorder.open.extend((time, stage, node, number(component), origin, count + 1, kind, detail))
    recorder.seal()
