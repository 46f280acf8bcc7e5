"""Where the parts of a topology run on this machine, and how each is started."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edri_sim.errors import SettingsError
from edri_sim.links.address import DEFAULT_PORT, Address
from edri_sim.realtime.child import ChildPlan
from edri_sim.settings import ENVIRONMENT_PREFIX, Settings, addresses
from edri_sim.topology import NodeSpec, Topology, unknown

LOOPBACK = "127.0.0.1"
STATUS_PORT = 7_480
"""The first port that is tried for a switch's status."""
PORTS = 1_000
"""How many ports are tried."""


def check_durable(spec: NodeSpec, settings: Settings) -> None:
    """A durable node needs a place for its files. Raises SettingsError, which says how to give one."""
    if spec.durable and not settings.data:
        raise SettingsError(f"node {spec.name!r} is durable and has no place for files: give --data DIR or EDRI_DATA")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a switch listens, who said so, and where its status is shown."""

    listen: Address
    source: str
    status: Address


class Deployment:
    """The switches and nodes of ``topology`` that ``only`` names, by default all, on this machine.

    A switch listens where ``settings.switches`` says, one address for each switch of the topology in its order, or else
    where the topology says, or else at the first free port from ``first_port`` on. ``certs`` is a folder that
    ``edri-sim certs`` has filled.

    Raises:
        SettingsError: a name is unknown, a switch has no address, there are more or fewer addresses than switches, or
            a certificate is missing.
        DeclarationError: what :meth:`~edri_sim.topology.Topology.check` says of the topology.
    """

    def __init__(
        self, topology: Topology, settings: Settings, only: Sequence[str] = (), certs: Path | None = None,
        first_port: int = DEFAULT_PORT,
    ) -> None:  # fmt: skip
        topology.check()
        for name in only:
            if name not in topology.nodes and name not in topology.switches:
                known = [*topology.nodes, *topology.switches]
                raise SettingsError(f"topology {topology.name!r}: {unknown('node or switch', name, known)}")
        self._topology = topology
        self._settings = settings
        self._certs = certs
        self._first_port = first_port
        self.nodes = [name for name in topology.nodes if not only or name in only]
        self._listen = self._known()
        self.switches = self._places([name for name in topology.switches if not only or name in only])
        for name in self.nodes:
            self._check(name)
        for name in (*self.switches, *self.nodes):
            self._check_files(name)

    def _known(self) -> dict[str, tuple[Address, str]]:
        """The addresses that somebody has given, and who."""
        switches, given = self._topology.switches, addresses(self._settings.switches)
        if not given:
            return {
                name: (Address.parse(spec.address), f"topology {self._topology.name}")
                for name, spec in switches.items()
                if spec.address
            }
        if len(given) != len(switches):
            raise SettingsError(
                f"setting switches={self._settings.switches!r}: expected {len(switches)} addresses, one for each of"
                f" {', '.join(switches) or 'no switches'}, and got {len(given)}"
            )
        source = self._settings.shown()["switches"]["from"]
        return {name: (Address(*pair), source) for name, pair in zip(switches, given, strict=True)}

    def _places(self, names: Iterable[str]) -> dict[str, Place]:
        places: dict[str, Place] = {}
        taken = {address.port for address, _ in self._listen.values()}
        for name in names:
            if name not in self._listen:
                self._listen[name] = _free(self._first_port, taken), "first free port"
            places[name] = Place(*self._listen[name], _free(STATUS_PORT, taken))
        return places

    def _check(self, name: str) -> None:
        spec = self._topology.nodes[name]
        for switch in spec.switches:
            if switch not in self._listen:
                raise SettingsError(
                    f"node {name!r}: switch {switch!r} is not started here and has no address: give --switch HOST:PORT,"
                    f" or say topology.switch({switch!r}, address='HOST:PORT')"
                )
        check_durable(spec, self._settings)

    def _check_files(self, name: str) -> None:
        for path in self._tls(name).values():
            if not path.is_file():
                raise SettingsError(f"--certs {self._certs}: there is no {path.name}: edri-sim certs makes it")

    def _tls(self, name: str) -> dict[str, Path]:
        if self._certs is None:
            return {}
        files = {"tls_cert": f"{name}.crt", "tls_key": f"{name}.key", "tls_ca": "ca.crt"}
        return {setting: self._certs / file for setting, file in files.items()}

    # What comes of it

    def switch_plans(self, common: Sequence[str], given: Mapping[str, Any]) -> list[ChildPlan]:
        """How each switch is started, with ``common`` arguments and settings that were ``given`` for all."""
        return [
            ChildPlan(
                name,
                ("switch", "--name", name, "--listen", str(place.listen), "--status", str(place.status), *common),
                _environment({**given, **self._tls(name)}),
            )
            for name, place in self.switches.items()
        ]

    def node_plans(self, target: str, common: Sequence[str], given: Mapping[str, Any]) -> list[ChildPlan]:
        """How each node is started, ``target`` being where the topology is found; see :meth:`switch_plans`."""
        return [
            ChildPlan(name, ("node", target, name, *common), _environment({**given, **self._own(name)}))
            for name in self.nodes
        ]

    def _own(self, name: str) -> dict[str, Any]:
        """A node's own settings: they beat what its program would find in the environment."""
        switches = ",".join(str(self._listen[switch][0]) for switch in self._topology.nodes[name].switches)
        data = self._settings.data
        return {"switches": switches, "data": str(Path(data) / name) if data else "", **self._tls(name)}

    def shown(self) -> dict[str, dict[str, Any]]:
        """Each address and folder with where it came from, as :meth:`~edri_sim.settings.Configuration.shown` has it."""
        shown = self._settings.shown()
        del shown["switches"]
        for name, place in self.switches.items():
            shown[f"{name}: listen"] = {"value": str(place.listen), "from": place.source}
            shown[f"{name}: status"] = {"value": str(place.status), "from": "first free port"}
        for name in self.nodes:
            sources = [self._listen[switch][1] for switch in self._topology.nodes[name].switches]
            own, source = self._own(name), ", ".join(dict.fromkeys(sources)) or "default"
            shown[f"{name}: switches"] = {"value": own["switches"], "from": source}
            shown[f"{name}: data"] = {"value": own["data"], "from": shown["data"]["from"]}
        return shown


def _environment(given: Mapping[str, Any]) -> dict[str, str]:
    """Settings as environment variables: what is on a command line, everybody on the machine can read."""
    return {ENVIRONMENT_PREFIX + name.upper(): str(value) for name, value in given.items()}


def _free(first: int, taken: set[int]) -> Address:
    """The first port from ``first`` on at which this machine can listen; it is taken from now on.

    These are below the ports that the system gives to those who connect: one of those could meet itself there.
    """
    for port in range(first, first + PORTS):
        if port not in taken and _can_listen(port):
            taken.add(port)
            return Address(LOOPBACK, port)
    raise SettingsError(f"no port from {first} to {first + PORTS - 1} is free: say where the switches listen")


def _can_listen(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
            trial.listen()
        except OSError:
            return False
    return True
