"""One end of a simulated connection: an asyncio transport."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Literal

from edri_sim.simulation.flights import Ending, Flight

if TYPE_CHECKING:
    from edri_sim.simulation.lines import Line
    from edri_sim.simulation.loop import SimulationLoop
    from edri_sim.simulation.network import Network
    from edri_sim.simulation.server import SimulatedServer

HIGH_WATER = 64 * 1024
"""Bytes in the write buffer above which a protocol is asked to pause, unless it sets other limits (asyncio's own)."""

LOW_WATER_SHARE = 4
"""A paused protocol goes on once the buffer is down to this part of the high-water mark (asyncio's own)."""


class SimulatedTransport(asyncio.Transport):
    """Writes to ``outbound`` and reads from ``inbound``; its protocol is called on the loop of its host.

    ``gone`` says who answers for this end: None, it does itself; ``closed``, the host's system, with a reset;
    ``crashed``, nobody until the host is up again.
    """

    __slots__ = (
        "_backlog",
        "_backlog_size",
        "_closing",
        "_eof_sent",
        "_eof_written",
        "_flushing",
        "_high_water",
        "_lost",
        "_low_water",
        "_protocol",
        "_reading",
        "_server",
        "_unread",
        "_writing_paused",
        "context",
        "gone",
        "inbound",
        "loop",
        "network",
        "outbound",
    )

    def __init__(
        self,
        network: Network,
        loop: SimulationLoop,
        context: Context,
        extra: dict[str, Any],
        server: SimulatedServer | None = None,
    ) -> None:
        super().__init__(extra)
        self.network = network
        self.loop = loop
        self.context = context
        self.gone: Literal["closed", "crashed"] | None = None
        self.inbound: Line
        self.outbound: Line
        self._server = server
        self._protocol: Any = None
        self._unread: deque[Flight] = deque()
        self._reading = False
        self._backlog: deque[bytes] = deque()
        self._backlog_size = 0
        self._writing_paused = False
        self._flushing = False
        self._eof_written = False
        self._eof_sent = False
        self._closing = False
        self._lost = False
        self._high_water = HIGH_WATER
        self._low_water = HIGH_WATER // LOW_WATER_SHARE

    def __repr__(self) -> str:
        here, there = self.get_extra_info("sockname"), self.get_extra_info("peername")
        state = " closing" if self._closing else ""
        return f"<SimulatedTransport {here[0]}:{here[1]} to {there[0]}:{there[1]}{state}>"

    def open(self, protocol: Any) -> None:
        """Make the connection known to its protocol, and start to read."""
        self._protocol = protocol
        protocol.connection_made(self)
        if not self._closing:
            self._reading = True
            self._deliver()

    def open_on_server(self) -> None:
        """Take a connection that a client made; reset it if the server has closed meanwhile."""
        server = self._server
        if server is None or not server.is_serving():
            self._server = None
            self.outbound.end(Ending.RESET)
            self._force_close(ConnectionAbortedError(errno.ECONNABORTED, "the server closed before it took this"))
            return
        server.attach(self)
        self.open(server.protocol_factory())

    # Reading ------------------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """Take the next flight; called when it is due."""
        if self.gone is not None:
            self.inbound.arrive_nowhere()
            return
        flights = self.inbound.flights
        if not flights:
            return
        flight = flights.popleft()
        if flight.ending is Ending.RESET:
            self._force_close(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        self._unread.append(flight)
        if self._reading:
            self._deliver()

    def _deliver(self) -> None:
        unread = self._unread
        while unread and self._reading:
            flight = unread.popleft()
            if flight.ending is not None:
                self._guarded("eof_received", self._eof_received)
                continue
            parts = flight.parts
            self.inbound.read(flight.size)
            self._guarded("data_received", self._feed, parts[0] if len(parts) == 1 else b"".join(parts))

    def _feed(self, data: bytes) -> None:
        protocol = self._protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            protocol.data_received(data)
            return
        rest = memoryview(data)
        while rest and not self._lost:
            buffer = memoryview(protocol.get_buffer(len(rest)))
            size = min(len(buffer), len(rest))
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            buffer[:size] = rest[:size]
            protocol.buffer_updated(size)
            rest = rest[size:]

    def _eof_received(self) -> None:
        if not self._protocol.eof_received():
            self.close()

    def _guarded(self, name: str, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            context = {"message": f"Fatal error: protocol.{name}() call failed.", "exception": error}
            self.loop.call_exception_handler({**context, "transport": self, "protocol": self._protocol})
            self._force_close(error)

    def is_reading(self) -> bool:
        """Whether the protocol is given what arrives."""
        return self._reading

    def pause_reading(self) -> None:
        """Leave what arrives in the window, which fills, so that the sender has to wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Give the protocol what waits, and what arrives."""
        if self._closing or self._reading or self._protocol is None:
            return
        self._reading = True
        self.loop.call_soon(self._deliver, context=self.context)

    # Writing ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; what exceeds the receiver's window waits in the write buffer."""
        if type(data) is not bytes:
            data = _checked(data)
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        if not self._backlog and len(data) <= self.outbound.room:
            self.outbound.send(data)
            return
        self._backlog.append(data)
        self._backlog_size += len(data)
        self._send_backlog()
        self._pause_writing_if_full()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several pieces."""
        self.write(b"".join(list_of_data))

    def room_made(self) -> None:
        """Go on with the write buffer, on this end's own loop: a host that is paused sends nothing."""
        if self._backlog and not self._flushing and self.gone is None:
            self._flushing = True
            self.loop.call_soon(self._flush, context=self.context)

    def _flush(self) -> None:
        self._flushing = False
        if self._lost:
            return
        self._send_backlog()
        if self._writing_paused and self._backlog_size <= self._low_water:
            self._writing_paused = False
            self._guarded("resume_writing", self._protocol.resume_writing)
        if not self._backlog:
            if self._closing:
                self._finish(None)
            elif self._eof_written:
                self._send_eof()

    def _send_backlog(self) -> None:
        line, backlog = self.outbound, self._backlog
        while backlog and line.room > 0:
            data = backlog.popleft()
            if len(data) > line.room:
                backlog.appendleft(data[line.room :])
                data = data[: line.room]
            self._backlog_size -= len(data)
            line.send(data)
        if backlog:
            line.starve()

    def _pause_writing_if_full(self) -> None:
        if self._backlog_size > self._high_water and not self._writing_paused:
            self._writing_paused = True
            self._guarded("pause_writing", self._protocol.pause_writing)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for room in the receiver's window."""
        return self._backlog_size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low- and the high-water mark, in bytes."""
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the high- and the low-water mark, in bytes. Raises ValueError unless high >= low >= 0."""
        if high is None:
            high = HIGH_WATER if low is None else LOW_WATER_SHARE * low
        if low is None:
            low = high // LOW_WATER_SHARE
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high_water, self._low_water = high, low
        self._pause_writing_if_full()

    def can_write_eof(self) -> bool:
        """True: a direction can end while the other goes on."""
        return True

    def write_eof(self) -> None:
        """End this direction, once the write buffer is empty."""
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        if not self._backlog:
            self._send_eof()

    def _send_eof(self) -> None:
        self._eof_sent = True
        self.outbound.end(Ending.EOF)

    # Ending -------------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close the connection once the write buffer is empty; what arrives from now on is not read."""
        if self._closing:
            return
        self._closing = True
        self._reading = False
        if not self._backlog:
            self._finish(None)

    def abort(self) -> None:
        """Close the connection at once; the write buffer is lost."""
        self._force_close(None)

    def lose(self, error: OSError) -> None:
        """End the connection, as the system does that gives it up: the protocol is told on its own loop."""
        self.loop.call_soon(self._force_close, error, context=self.context)

    def _force_close(self, error: BaseException | None) -> None:
        if self._lost or self.gone is not None:
            return
        self._drop_backlog()
        self._closing = True
        self._reading = False
        self._finish(error)

    def _drop_backlog(self) -> None:
        self._backlog.clear()
        self._backlog_size = 0

    def _finish(self, error: BaseException | None) -> None:
        self._lost = True
        if isinstance(error, OSError):
            self.outbound.abandon()
        else:
            self._tell_peer()
        self.loop.call_soon(self._connection_lost, error, context=self.context)

    def _tell_peer(self) -> None:
        # As TCP: a connection that is closed before all that arrived was read is reset.
        if any(flight.ending is None for flight in self._unread):
            self.outbound.end(Ending.RESET)
        elif not self._eof_sent:
            self._send_eof()

    def _connection_lost(self, error: BaseException | None) -> None:
        self.leave("closed")
        self.network.forget(self)
        protocol, server = self._protocol, self._server
        self._protocol = self._server = None
        try:
            if protocol is not None:
                protocol.connection_lost(error)
        finally:
            if server is not None:
                server.detach(self)

    def leave(self, how: Literal["closed", "crashed"]) -> None:
        """From now on the host's system, or nobody, answers for this end."""
        self.gone = how
        self._closing = self._lost = True
        self._reading = False
        if self.outbound.receiver.gone is not None:
            self.outbound.detach()
            self.inbound.detach()

    def die(self, how: Literal["closed", "crashed"]) -> None:
        """The host's process is killed, or the host crashes: the protocol hears nothing of it."""
        if self.gone is None:
            if how == "closed" and not self._lost:
                self._tell_peer()
            self.leave(how)
            self.inbound.redirect()
            if how == "crashed":
                self.outbound.abandon()

    # Protocol -----------------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """The present protocol."""
        return self._protocol


def _checked(data: Any) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
    return bytes(data)
