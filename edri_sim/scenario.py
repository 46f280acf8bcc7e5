"""A scenario: a topology, what it is asked to do, what goes wrong, and what work costs, for so many seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edri_sim import faults as faults_
from edri_sim import load as load_
from edri_sim import records
from edri_sim.errors import DeclarationError
from edri_sim.faults import Fault, LinkFault
from edri_sim.load import Load
from edri_sim.references import resolve
from edri_sim.service import Service, ServiceTable, check_amount
from edri_sim.toml import Document, Table, dump
from edri_sim.topology import Topology, files

DRAIN = 60.0
"""Seconds after the end of the load in which what is under way may end."""


@dataclass(frozen=True)
class Scenario:
    """A system and what happens to it for ``duration`` seconds; the same one runs in simulated and in real time.

    ``load`` and ``faults`` happen at their times. ``service`` says what work costs in simulated time; see
    :class:`~edri_sim.service.Service`. What begins in the first ``warm_up`` seconds counts in no figure of the
    run. When the load is over, what is still under way gets ``drain`` seconds to end.

    Raises:
        DeclarationError: something of it could not happen; the message says what, and what would be right.
    """

    topology: Topology
    duration: float = field(kw_only=True)
    load: Sequence[Load] = field(default=(), kw_only=True)
    faults: Sequence[Fault] = field(default=(), kw_only=True)
    service: Mapping[Any, Any] = field(default_factory=dict, kw_only=True)
    warm_up: float = field(default=0.0, kw_only=True)
    drain: float = field(default=DRAIN, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("load", "faults"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple):
                raise DeclarationError(f"Scenario({name}={given!r}): expected a list")
            object.__setattr__(self, name, tuple(given))
        object.__setattr__(self, "service", ServiceTable.of(self.service).services)
        self.check()

    def __repr__(self) -> str:
        parts = [f"{self.duration:g} s", *map(str, self.load), *(f"{fault} at {fault.at:g} s" for fault in self.faults)]
        return f"<Scenario {self.topology.name}: {', '.join(parts)}>"

    def check(self) -> None:
        """Refuse what could not happen; whoever runs it calls this again, as a topology may have grown meanwhile.

        Raises:
            DeclarationError: as the class says.
        """
        if not isinstance(self.topology, Topology):
            raise DeclarationError(f"Scenario({self.topology!r}): expected a Topology")
        self.topology.check()
        check_amount("Scenario(duration", self.duration)
        check_amount("Scenario(warm_up", self.warm_up, least=0)
        check_amount("Scenario(drain", self.drain, least=0)
        if self.warm_up >= self.duration:
            raise DeclarationError(f"Scenario(warm_up={self.warm_up!r}): expected less than duration={self.duration!r}")
        load_.check(self.load, self.topology, self.duration)
        faults_.check(self.faults, self.topology)
        for fault in self.faults:
            if fault.at >= self.duration:
                raise DeclarationError(
                    f"{fault} at {fault.at:.9g} s is after the end of the scenario, at {self.duration:.9g} s"
                )

    @property
    def link_faults(self) -> list[LinkFault]:
        """The faults of links."""
        return [fault for fault in self.faults if isinstance(fault, LinkFault)]

    # As a file

    @classmethod
    def from_toml(cls, path: Path | str) -> Self:
        """The scenario that a file describes; ``docs/scenarios.md`` says how.

        Raises:
            DeclarationError: the file cannot be read, or says what cannot be; with its line, and the nearest name.
        """
        root = Document(path).root()
        head = root.need_table("scenario")
        given: dict[str, Any] = {name: head.take(name, float) for name in ("duration", "warm_up", "drain")}
        elsewhere = head.take("topology", str)
        head.done()
        topology = _topology(root) if elsewhere is None else Topology.from_toml(Path(path).parent / elsewhere)
        with root.place("scenario"):
            return cls(
                topology,
                load=[records.read_record(table, load_.KINDS) for table in root.tables("load")],
                faults=[records.read_record(table, faults_.KINDS) for table in root.tables("faults")],
                service=dict(_read_service(table) for table in root.tables("service")),
                **_finished(root, {name: value for name, value in given.items() if value is not None}, head),
            )

    def to_toml(self) -> str:
        """What :meth:`from_toml` reads, the topology included.

        Raises:
            DeclarationError: something of it is no class or function of a module, as a lambda is none.
        """
        head = {"duration": float(self.duration), "warm_up": float(self.warm_up), "drain": float(self.drain)}
        document: dict[str, Any] = {"scenario": head, **files.written(self.topology)}
        document["load"] = [_written(load) for load in self.load]
        document["faults"] = [records.written_record(fault) for fault in self.faults]
        document["service"] = [_written_service(key, service) for key, service in self.service.items()]
        return dump({key: value for key, value in document.items() if value})


def _topology(root: Table) -> Topology:
    topology = Topology(files.name_of(root))
    files.read(root, topology)
    return topology


def _finished(root: Table, given: dict[str, Any], head: Table) -> dict[str, Any]:
    """What was given, once all tables have been read: nothing may be left over, and a duration must be there."""
    root.done()
    if "duration" not in given:
        raise head.error("'duration' is missing: expected a number")
    return given


def _written(load: Load) -> dict[str, Any]:
    try:
        return records.written_record(load)
    except DeclarationError as error:
        raise DeclarationError(f"{load}: {error}") from None


_SERVICE = Service()
_TIMES = ("cpu", "wait")


def _read_service(table: Table) -> tuple[Any, Service]:
    key, gil, body = table.need("for", str), table.take("gil", float, 1.0), table.take("body", str, "run")
    cpu, wait = records.read_distribution(table, "cpu"), records.read_distribution(table, "wait")
    result = table.take("result", str)
    table.done()
    with table.place():
        answer = None if result is None else resolve(result)
        return resolve(key), Service(cpu=cpu, wait=wait, gil=gil, body=body, result=answer)


def _written_service(key: Any, service: Service) -> dict[str, Any]:
    table: dict[str, Any] = {"for": records.written_maker(key)}
    for name in ("cpu", "wait", "gil", "body"):
        value = getattr(service, name)
        if value != getattr(_SERVICE, name):
            table[name] = records.written_distribution(value) if name in _TIMES else value
    if service.result is not None:
        table["result"] = records.written_maker(service.result)
    return table
