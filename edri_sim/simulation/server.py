"""A listening port of a simulated host, and what stands in for sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edri_sim.simulation.loop import SimulationLoop
    from edri_sim.simulation.network import Network
    from edri_sim.simulation.transport import SimulatedTransport

Address = tuple[str, int]
"""A host name and a port."""


class SimulatedSocket:
    """As much of a socket as libraries ask a transport or a server for: its addresses; options are ignored."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, sockname: Address, peername: Address | None = None) -> None:
        self._sockname = sockname
        self._peername = peername

    def __repr__(self) -> str:
        return f"<SimulatedSocket {self._sockname[0]}:{self._sockname[1]}>"

    def getsockname(self) -> Address:
        """This end's host name and port."""
        return self._sockname

    def getpeername(self) -> Address:
        """The other end's host name and port. Raises OSError on a listening socket."""
        if self._peername is None:
            raise OSError("a listening socket has no peer")
        return self._peername

    def fileno(self) -> int:
        """-1: there is no file descriptor."""
        return -1

    def setsockopt(self, *args: object) -> None:
        """Do nothing: simulated connections have no options."""

    def getsockopt(self, *args: object) -> int:
        """0: simulated connections have no options."""
        return 0


class SimulatedServer(asyncio.AbstractServer):
    """Listens on one port of one incarnation of a host."""

    def __init__(
        self, network: Network, loop: SimulationLoop, address: Address, factory: Callable[[], Any], *, local_only: bool
    ) -> None:
        self.address = address
        self.local_only = local_only
        self.protocol_factory = factory
        self.context: Context = loop.kernel.new_context()
        self._network = network
        self._loop = loop
        self._clients: dict[SimulatedTransport, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._serving = False
        self._closed = False
        self._forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<SimulatedServer {self.address[0]}:{self.address[1]}>"

    @property
    def sockets(self) -> tuple[SimulatedSocket, ...]:
        """The listening socket; none once closed."""
        return () if self._closed else (SimulatedSocket(self.address),)

    def get_loop(self) -> SimulationLoop:
        """The loop that serves."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether connections are taken."""
        return self._serving

    def attach(self, transport: SimulatedTransport) -> None:
        """Count a connection in."""
        self._clients[transport] = None

    def detach(self, transport: SimulatedTransport) -> None:
        """Count a connection out."""
        self._clients.pop(transport, None)
        self._wake_waiters()

    def serve(self) -> None:
        """Take connections from now on."""
        self._serving = True

    async def start_serving(self) -> None:
        """Take connections from now on."""
        self._check_open()
        self.serve()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Take connections until cancelled, which closes the server."""
        self._check_open()
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        self.serve()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        """Free the port; open connections stay."""
        if self._closed:
            return
        self._closed = True
        self._serving = False
        self._network.free(self)
        if self._forever is not None:
            self._forever.cancel()
        self._wake_waiters()

    def close_clients(self) -> None:
        """Close all open connections."""
        for transport in list(self._clients):
            transport.close()

    def abort_clients(self) -> None:
        """Abort all open connections."""
        for transport in list(self._clients):
            transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the server is closed and its last connection gone: CPython 3.12.1's rule, on every version."""
        if self._closed and not self._clients:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake_waiters(self) -> None:
        if not self._closed or self._clients:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"server {self!r} is closed")
