"""A topology in a file: tables ``[topology]``, ``[switches.NAME]``, ``[nodes.NAME]`` and ``[[links]]``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edri_sim.errors import DeclarationError
from edri_sim.names import check_name
from edri_sim.node import PartFactory, part
from edri_sim.references import FORM, reference_to, resolve
from edri_sim.service import Costs
from edri_sim.toml import Table
from edri_sim.topology.specs import LATENCY, LinkSpec, NodeSpec, SwitchSpec, pair_of

if TYPE_CHECKING:
    from edri_sim.topology import Topology

# Reading


def name_of(root: Table) -> str:
    """The topology's name. Raises DeclarationError."""
    head = root.need_table("topology")
    name = head.need("name", str)
    head.done()
    with head.place("name"):
        return check_name("topology", name)


def read(root: Table, topology: Topology) -> None:
    """Add all machines and links of a file. Raises DeclarationError."""
    for name, table in root.table("switches").named_tables().items():
        _read_switch(table, topology, name)
    for name, table in root.table("nodes").named_tables().items():
        _read_node(table, topology, name)
    for table in root.tables("links"):
        _read_link(table, topology)


def _read_switch(table: Table, topology: Topology, name: str) -> None:
    address, cores, costs = table.take("address", str, ""), table.take("cores", int, 1), _read_costs(table)
    table.done()
    with table.place():
        topology.switch(name, address=address, cores=cores, costs=costs)


def _read_node(table: Table, topology: Topology, name: str) -> None:
    parts = [_read_part(table, entry) for entry in table.take("parts", list, [])]
    switch = table.any("switch", ())
    count = table.take("replicas", int)
    options: dict[str, Any] = {
        "cores": table.take("cores", int, 1),
        "costs": _read_costs(table),
        "durable": table.take("durable", bool, False),
        "link": table.take("link", bool, True),
    }
    table.done()
    if not isinstance(switch, str) and not all(isinstance(each, str) for each in switch):
        raise table.error("switch: expected the name of a switch, or an array of names", "switch")
    with table.place():
        if count is None:
            topology.node(name, *parts, switch=switch, **options)
        else:
            topology.replicas(name, count, *parts, switch=switch, **options)


def _read_link(table: Table, topology: Topology) -> None:
    a, b, latency = table.need("a", str), table.need("b", str), table.take("latency", float, LATENCY)
    jitter, bandwidth = table.take("jitter", float, 0.0), table.take("bandwidth", float)
    queue = table.take("queue", int)
    table.done()
    with table.place():
        topology.link(a, b, latency=latency, jitter=jitter, bandwidth=bandwidth, queue=queue)


def _read_costs(table: Table) -> Costs:
    below = table.table("costs")
    given = {name: below.take(name, float, default) for name, default in asdict(Costs()).items()}
    below.done()
    with table.place("costs"):
        return Costs(**given)


def _read_part(table: Table, entry: Any) -> PartFactory:
    given: dict[str, Any] = {"make": entry} if isinstance(entry, str) else entry if isinstance(entry, dict) else {}
    reference, args, kwargs = given.get("make", ""), given.get("args", []), given.get("kwargs", {})
    is_call = isinstance(reference, str) and isinstance(args, list) and isinstance(kwargs, dict)
    if not given or not is_call or not given.keys() <= _PART:
        raise table.error(f"parts: expected {FORM}, or a table with make, args and kwargs, got {entry!r}", "parts")
    with table.place("parts"):
        make = resolve(reference)
        if not callable(make):
            raise DeclarationError(f"{reference!r} is no factory of parts, but of type {type(make).__name__}")
        return make if len(given) == 1 else part(make, *args, **kwargs)


_PART = dict.fromkeys(("make", "args", "kwargs")).keys()

# Writing


def written(topology: Topology) -> dict[str, Any]:
    """The tables of a topology, without what is as it is by default. Raises DeclarationError."""
    unlinked = [spec.name for spec in topology.nodes.values() if _is_unlinked(spec, topology)]
    links = [
        _written_link(spec)
        for pair, spec in topology.links.items()
        if not topology.is_default(pair) or spec.a in unlinked or spec.b in unlinked
    ]
    return {
        "topology": {"name": topology.name},
        "switches": {name: _written_switch(spec) for name, spec in topology.switches.items()},
        "nodes": {
            name: _written_node(spec, linked=name not in unlinked) for name, spec in topology.nodes.items()
        },
        **({"links": links} if links else {}),
    }  # fmt: skip


def _is_unlinked(spec: NodeSpec, topology: Topology) -> bool:
    return any(pair_of(spec.name, switch) not in topology.links for switch in spec.switches)


def _written_switch(spec: SwitchSpec) -> dict[str, Any]:
    return {**({"address": spec.address} if spec.address else {}), **_written_machine(spec)}


def _written_node(spec: NodeSpec, *, linked: bool) -> dict[str, Any]:
    table: dict[str, Any] = {"parts": [_written_part(spec.name, factory) for factory in spec.parts]}
    if spec.switches:
        table["switch"] = spec.switches[0] if len(spec.switches) == 1 else list(spec.switches)
    table |= _written_machine(spec)
    return table | ({"durable": True} if spec.durable else {}) | ({} if linked else {"link": False})


def _written_machine(spec: NodeSpec | SwitchSpec) -> dict[str, Any]:
    costs = {name: value for name, value in asdict(spec.costs).items() if value}
    return ({"cores": spec.cores} if spec.cores != 1 else {}) | ({"costs": costs} if costs else {})


def _written_link(spec: LinkSpec) -> dict[str, Any]:
    return {name: value for name, value in asdict(spec).items() if value is not None and (name, value) != ("jitter", 0)}


def _written_part(node: str, factory: PartFactory) -> str | dict[str, Any]:
    try:
        if not isinstance(factory, part):
            return reference_to(factory)
        table: dict[str, Any] = {"make": reference_to(factory.make)}
    except DeclarationError as error:
        raise DeclarationError(f"node {node!r}: part {error}") from None
    if factory.args:
        table["args"] = list(factory.args)
    if factory.kwargs:
        table["kwargs"] = factory.kwargs
    return table
