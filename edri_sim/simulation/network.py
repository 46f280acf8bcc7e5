"""The simulated network: names, listening ports and byte streams between the loops of a kernel."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable
from contextvars import Context
from itertools import count
from typing import Any, Literal, NamedTuple

from edri_sim.errors import SimulationError
from edri_sim.simulation.cables import Link
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.lines import Line
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.routes import Path, Routes
from edri_sim.simulation.server import Address, SimulatedServer, SimulatedSocket
from edri_sim.simulation.transport import SimulatedTransport
from edri_sim.topology import LinkSpec, Pair, pair_of

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of the host itself; a server bound to one of them is not seen from other hosts."""

ANY_ADDRESS = ("", "0.0.0.0", "::")
"""What a server binds to that listens to everybody."""

WINDOW = 256 * 1024
"""Bytes that a connection carries in each direction, in flight or unread, before the sender has to wait."""

FIRST_FREE_PORT = 49_152
"""The first port for whoever asks for none in particular (RFC 6335, section 6)."""

SYN_RETRIES = 7
"""Repeated requests to connect to a host that does not answer, after 1, 2, 4, ... 64 s, as Linux does."""


class _Attempt(NamedTuple):
    """A connection that a loop wants to make."""

    loop: SimulationLoop
    address: Address
    context: Context
    answer: asyncio.Future[SimulatedTransport]

    def given_up(self) -> bool:
        return self.answer.done() or self.loop.state == "shut"


class Network:
    """Joins the loops of a kernel: ``asyncio.open_connection`` and ``start_server`` work between them unmodified.

    A host's address is its name. ``links`` join hosts, and a connection crosses those of the least latency, chosen by
    what the topology says and not by what works at the time. A host that is on no link has a wire to every other, of
    ``latency`` seconds per direction (0 to itself); a subclass may answer :meth:`latency_between` itself. ``window`` is
    bytes per direction. ``seed`` decides the jitter.
    """

    def __init__(
        self, kernel: Kernel, *, latency: float = 0.0, window: int = WINDOW, links: Iterable[LinkSpec] = (),
        seed: object = 0,
    ) -> None:  # fmt: skip
        if not latency >= 0:
            raise SimulationError(f"latency={latency!r} must be 0 or more seconds")
        if window < 1:
            raise SimulationError(f"window={window!r} must be 1 or more bytes")
        self.kernel = kernel
        self.latency = latency
        self.window = window
        by_pair = {pair_of(spec.a, spec.b): spec for spec in links}
        self.links: dict[Pair, Link] = {pair: Link(kernel, by_pair[pair], seed) for pair in sorted(by_pair)}
        self._routes = Routes(self.links)
        self._servers: dict[Address, SimulatedServer] = {}
        self._transports: dict[SimulationLoop, dict[SimulatedTransport, None]] = {}
        self._killed: dict[SimulationLoop, None] = {}
        self._free_ports: dict[str, count[int]] = {}
        kernel.network = self

    def latency_between(self, a: str, b: str) -> float:
        """Seconds over the wire from host ``a`` to host ``b``; a connection asks once for each direction it makes."""
        return 0.0 if a == b else self.latency

    def path(self, a: str, b: str) -> Path:
        """The links from host ``a`` to host ``b``, or the wire. Raises OSError (ENETUNREACH) if no links lead there."""
        if a != b and self._routes.knows(a) and self._routes.knows(b):
            return self._routes.path(a, b)
        return Path(self.latency_between(a, b))

    # Names --------------------------------------------------------------------------------------------------------

    def addresses(self, loop: SimulationLoop, host: Any, port: Any) -> list[Any]:
        """The address of a host name, as ``getaddrinfo`` gives it. Raises socket.gaierror for an unknown name."""
        address = (self._resolve(loop, host), _port_number(port))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)]

    def _resolve(self, loop: SimulationLoop, host: Any) -> str:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in LOOPBACK or name in ANY_ADDRESS:
            return loop.name
        if name not in self.kernel.hosts:
            known = ", ".join(self.kernel.hosts)
            raise socket.gaierror(socket.EAI_NONAME, f"no simulated host is named {name!r}; there are: {known}")
        return str(name)

    def is_up(self, name: str) -> bool:
        """Whether the present incarnation of a host runs, or is paused: its system answers then."""
        return self.kernel.hosts[name].state != "shut"

    # Connecting ---------------------------------------------------------------------------------------------------

    async def connect(
        self, loop: SimulationLoop, protocol_factory: Callable[[], Any], host: Any, port: Any, options: dict[str, Any]
    ) -> tuple[SimulatedTransport, Any]:
        """Connect, as ``loop.create_connection`` does: one round trip of the latency.

        Raises:
            OSError: ENETUNREACH, no links lead there; ECONNREFUSED; ETIMEDOUT, there is no answer.
        """
        _check_options("create_connection", options)
        if host is None and port is None:
            raise ValueError("host and port was not specified and no sock specified")
        address = (self._resolve(loop, host), _port_number(port))
        answer: asyncio.Future[SimulatedTransport] = loop.create_future()
        attempt = _Attempt(loop, address, self.kernel.new_context(), answer)
        self._after(self.path(loop.name, address[0]).delay(), self._knock, attempt, 0)
        transport = await answer
        made: asyncio.Future[None] = loop.create_future()
        try:
            protocol = protocol_factory()
            loop.call_soon(_open, transport, protocol, made, context=transport.context)
            await made
        except BaseException:
            transport.abort()
            raise
        return transport, protocol

    def _after(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        self.kernel.call_at(self.kernel.now + delay, callback, *args)

    def _knock(self, attempt: _Attempt, repeated: int) -> None:
        """The request to connect arrives, or is lost; it is repeated until a host that is up can answer."""
        name = attempt.address[0]
        if attempt.given_up():
            return
        there, back = self.path(attempt.loop.name, name), self.path(name, attempt.loop.name)
        if there.up and back.up and (self.is_up(name) or self.kernel.hosts[name] in self._killed):
            self._after(back.delay(), self._answer, attempt, self._listener(attempt))
        elif repeated < SYN_RETRIES:
            self._after(2.0**repeated, self._knock, attempt, repeated + 1)
        else:
            text = f"Connect call failed {attempt.address}: the host does not answer"
            attempt.answer.set_exception(TimeoutError(errno.ETIMEDOUT, text))

    def _listener(self, attempt: _Attempt) -> SimulatedServer | None:
        server = self._servers.get(attempt.address)
        if server is None or not server.is_serving():
            return None
        return None if server.local_only and attempt.loop.name != attempt.address[0] else server

    def _answer(self, attempt: _Attempt, server: SimulatedServer | None) -> None:
        if attempt.given_up():
            return
        if server is None:
            text = f"Connect call failed {attempt.address}"
            attempt.answer.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, text))
        else:
            attempt.answer.set_result(self._join(attempt, server))

    def _join(self, attempt: _Attempt, server: SimulatedServer) -> SimulatedTransport:
        loop = attempt.loop
        here, there = (loop.name, self._free_port(loop.name)), server.address
        client = self._transport(loop, attempt.context, here, there, None)
        served = self._transport(server.get_loop(), server.context.copy(), there, here, server)
        out, back = self.path(loop.name, there[0]), self.path(there[0], loop.name)
        client.outbound = served.inbound = Line(client, served, out, back)
        served.outbound = client.inbound = Line(served, client, back, out)
        if served.loop.state == "shut":
            served.die("closed" if served.loop in self._killed else "crashed")
        else:
            served.loop.deliver_at(self.kernel.now + out.delay(), served.open_on_server, served.context)
        return client

    def _transport(
        self, loop: SimulationLoop, context: Context, here: Address, there: Address, server: SimulatedServer | None
    ) -> SimulatedTransport:
        extra = {"sockname": here, "peername": there, "socket": SimulatedSocket(here, there)}
        transport = SimulatedTransport(self, loop, context, extra, server)
        self._transports.setdefault(loop, {})[transport] = None
        return transport

    def forget(self, transport: SimulatedTransport) -> None:
        """A connection has ended at this end."""
        self._transports[transport.loop].pop(transport, None)

    # Listening ----------------------------------------------------------------------------------------------------

    async def listen(
        self, loop: SimulationLoop, protocol_factory: Callable[[], Any], host: Any, port: Any, options: dict[str, Any]
    ) -> SimulatedServer:
        """Listen, as ``loop.create_server`` does. Raises OSError if the port is taken or the address another host's."""
        _check_options("create_server", options)
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        for name in hosts:
            if self._resolve(loop, name) != loop.name:
                raise OSError(errno.EADDRNOTAVAIL, f"host '{loop.name}' cannot listen on the address {name!r}")
        number = _port_number(port) or self._free_port(loop.name)
        address = (loop.name, number)
        if address in self._servers:
            raise OSError(errno.EADDRINUSE, f"port {number} of host '{loop.name}' is in use already")
        local_only = all(name in LOOPBACK for name in hosts)
        server = SimulatedServer(self, loop, address, protocol_factory, local_only=local_only)
        self._servers[address] = server
        if options.get("start_serving", True):
            server.serve()
        return server

    def free(self, server: SimulatedServer) -> None:
        """A server has given its port back."""
        if self._servers.get(server.address) is server:
            del self._servers[server.address]

    def _free_port(self, name: str) -> int:
        ports = self._free_ports.setdefault(name, count(FIRST_FREE_PORT))
        return next(port for port in ports if (name, port) not in self._servers)

    # Hosts that end -----------------------------------------------------------------------------------------------

    def crash(self, loop: SimulationLoop) -> None:
        """The power of a host fails: its peers hear nothing.

        What they send is repeated, as TCP does: reset once the host is up again, given up after about 15 minutes. What
        others send through it gets no further.
        """
        self._end(loop, "crashed")
        self._routes.darken(loop.name)

    def restart(self, name: str) -> None:
        """A host has power again, and forwards what others send through it."""
        self._routes.lighten(name)

    def kill(self, loop: SimulationLoop) -> None:
        """The process of a host is killed: its system ends all its streams at once, and refuses connections."""
        self._killed[loop] = None
        self._end(loop, "closed")

    def _end(self, loop: SimulationLoop, how: Literal["closed", "crashed"]) -> None:
        for server in [server for server in self._servers.values() if server.get_loop() is loop]:
            self.free(server)
        for transport in self._transports.get(loop, ()):
            transport.die(how)

    def reset(self, link: Link) -> None:
        """Reset every connection that crosses a link, at both of its ends."""
        lines = {
            line: None for direction in link.directions.values() for path in direction.paths for line in path.lines
        }
        for line in lines:
            line.sender.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def close(self) -> None:
        """Seal all transports: the simulation ends, and nothing that is still written goes anywhere."""
        for transports in self._transports.values():
            for transport in transports:
                transport.leave("closed")
        self._servers.clear()


def _open(transport: SimulatedTransport, protocol: Any, made: asyncio.Future[None]) -> None:
    try:
        transport.open(protocol)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if not made.done():
            made.set_exception(error)
    else:
        if not made.done():
            made.set_result(None)


def _port_number(port: Any) -> int:
    try:
        return int(port or 0)
    except ValueError:
        raise socket.gaierror(socket.EAI_SERVICE, f"port {port!r} must be a number") from None


def _check_options(method: str, options: dict[str, Any]) -> None:
    for name, instead in (("ssl", "bytes on it need no encryption"), ("sock", "connect by host name and port")):
        if options.get(name) is not None:
            raise NotImplementedError(f"loop.{method}({name}=...) is not available on the simulated network: {instead}")
