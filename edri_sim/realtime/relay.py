"""One connection through a proxy: two sockets, and what travels between them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from edri_sim.realtime.line import Lane, Line, Parcel

_NO_LINGER = struct.pack("ii", 1, 0)


class End(asyncio.Protocol):
    """The socket at one end of a relayed connection; ``lane`` carries what it sends to the other."""

    lane: Lane

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._room = True
        self.finished = False

    @property
    def connected(self) -> bool:
        """Whether it has a socket."""
        return self._transport is not None

    @property
    def ready(self) -> bool:
        """Whether it can be given something: it is connected, and its peer reads."""
        return self._transport is not None and self._room

    # What the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        if self._relay.ended:
            self.reset()
        self._relay.deliver()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self.lane.send(Parcel(End.write, data))

    def eof_received(self) -> bool:
        """See :class:`asyncio.Protocol`; the other direction stays open."""
        self._ended(Parcel(End.finish))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`; what the network did to one end is done to the other, in its turn."""
        self._transport = None
        if exc is not None:
            self._ended(Parcel(End.reset))
        self._relay.leave()

    def _ended(self, parcel: Parcel) -> None:
        if self._relay.connecting:
            # Who gave up before the link was whole never came through to the other side.
            self._relay.reset()
        else:
            self.lane.send(parcel)

    def pause_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._room = False

    def resume_writing(self) -> None:
        """See :class:`asyncio.BaseProtocol`."""
        self._room = True
        self._relay.deliver()

    # What it is told

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Give its peer bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def finish(self, _: bytes = b"") -> None:
        """Give its peer the end of the stream."""
        self.finished = True
        if self._transport is not None:
            self._transport.write_eof()
        self._relay.close_if_finished()

    def close(self) -> None:
        """Let go of a socket that both directions have ended on."""
        if self._transport is not None:
            self._transport.close()

    def reset(self, _: bytes = b"") -> None:
        """Break the connection: its peer gets a reset (RST)."""
        if self._transport is not None:
            link = cast(socket.socket, self._transport.get_extra_info("socket"))
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        self._relay.end()


class Relay:
    """A connection: ``client``, which came to the proxy, and ``target``, which the proxy connects for it.

    ``gone`` is called once neither has a socket any more.
    """

    def __init__(self, out: Line, back: Line, gone: Callable[[Relay], None]) -> None:
        self.client = End(self)
        self.target = End(self)
        self.connecting = True
        self.ended = False
        self._gone = gone
        self._lanes = (Lane(out, self.client, self.target), Lane(back, self.target, self.client))
        self.client.lane, self.target.lane = self._lanes

    def deliver(self) -> None:
        """Hand over what can pass now, in both directions."""
        for lane in self._lanes:
            lane.deliver()

    def reset(self) -> None:
        """Break the connection at both ends; what was under way is lost."""
        self.client.reset()
        self.target.reset()

    def close_if_finished(self) -> None:
        """Let go of both sockets once both directions have ended."""
        if self.client.finished and self.target.finished:
            self.client.close()
            self.target.close()
            self.end()

    def end(self) -> None:
        """Nothing passes any more."""
        self.ended = True
        for lane in self._lanes:
            lane.close()

    def leave(self) -> None:
        """One end has lost its socket."""
        if self.ended and not self.client.connected and not self.target.connected:
            self._gone(self)
