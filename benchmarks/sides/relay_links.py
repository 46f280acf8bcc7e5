"""The bare limit of a link: asyncio and msgspec, and a switch that reads the destination of each frame and no more.

A frame is the length of its body, destination, kind and reference, then a msgpack body. Writes are joined once a loop
turn. TCP_NODELAY is on: asyncio and uvloop set it on every TCP connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from struct import Struct
from typing import cast

from msgspec import msgpack

from benchmarks.sides import links
from benchmarks.sides.payload import Payload, payload

HEADER = Struct(">IBBI")
HELLO, REQUEST, REPLY, NOTIFY, RECEIVED = range(5)
TO_A, TO_B = range(2)
UNDER_WAY = 8_000
"""Notifications that A sends beyond those that B has said that it received."""
TURN = 50
"""Notifications that A sends in one turn of its loop, so that B and the switch work while A does."""

encode = msgpack.Encoder().encode
decode = msgpack.Decoder(Payload).decode


class Frames(asyncio.Protocol):
    """One end of a connection: splits what comes into frames, joins what goes within one turn of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()
        self.rest = b""
        self.parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        start, body, size = 0, HEADER.size, len(data)
        while body <= size:
            length, destination, kind, reference = HEADER.unpack_from(data, start)
            end = body + length
            if end > size:
                break
            self.on_frame(destination, kind, reference, data[start:end])
            start, body = end, end + HEADER.size
        self.rest = data[start:]

    def on_frame(self, destination: int, kind: int, reference: int, frame: bytes) -> None:
        """Called with each whole frame, header included."""
        raise NotImplementedError

    def send(self, frame: bytes) -> None:
        """Write a frame, header included, at the end of this turn of the loop."""
        if not self.parts:
            self.loop.call_soon(self._flush)
        self.parts.append(frame)

    def _flush(self) -> None:
        self.transport.write(b"".join(self.parts))
        self.parts.clear()


def packed(destination: int, kind: int, reference: int, body: bytes = b"") -> bytes:
    """One frame as it goes over the wire."""
    return HEADER.pack(len(body), destination, kind, reference) + body


def content(whole: bytes) -> Payload:
    """The payload of a frame."""
    return decode(memoryview(whole)[HEADER.size :])


class Port(Frames):
    """The switch's end of a connection. What comes for a peer that is not there yet waits for it."""

    def __init__(self, peers: dict[int, Port], waiting: dict[int, list[bytes]]) -> None:
        self.peers = peers
        self.waiting = waiting

    def on_frame(self, destination: int, kind: int, reference: int, frame: bytes) -> None:  # noqa: ARG002
        if kind == HELLO:
            self.peers[destination] = self
            for kept in self.waiting.pop(destination, ()):
                self.send(kept)
        elif peer := self.peers.get(destination):
            peer.send(frame)
        else:
            self.waiting.setdefault(destination, []).append(frame)


class Requester(Frames):
    """A's end."""

    def __init__(self) -> None:
        self.replies: dict[int, asyncio.Future[Payload]] = {}
        self.requests = 0
        self.under_way = links.UnderWay(UNDER_WAY)

    def on_frame(self, destination: int, kind: int, reference: int, frame: bytes) -> None:  # noqa: ARG002
        if kind == REPLY:
            self.replies.pop(reference).set_result(content(frame))
        else:
            self.under_way.acknowledge(reference)

    async def request(self) -> Payload:
        """One round trip of a new payload."""
        self.requests += 1
        reply = self.replies[self.requests] = self.loop.create_future()
        self.send(packed(TO_B, REQUEST, self.requests, encode(payload())))
        return await reply

    async def publish(self) -> None:
        """One notification."""
        await self.under_way.room()
        self.under_way.sent += 1
        self.send(packed(TO_B, NOTIFY, 0, encode(payload())))
        if self.under_way.sent % TURN == 0:
            await asyncio.sleep(0)

    async def settled(self) -> None:
        """Wait until B has said that it received all notifications."""
        await self.under_way.settled()


class Responder(Frames):
    """B's end: replies at once, and says once for each piece of the stream how many notifications it has received."""

    def __init__(self) -> None:
        self.received = 0

    def data_received(self, data: bytes) -> None:
        before = self.received
        super().data_received(data)
        if self.received > before:
            self.send(packed(TO_A, RECEIVED, self.received))

    def on_frame(self, destination: int, kind: int, reference: int, frame: bytes) -> None:  # noqa: ARG002
        message = content(frame)
        if kind == REQUEST:
            self.send(packed(TO_A, REPLY, reference, encode(message)))
        else:
            self.received += 1


async def _connect(place: links.Place, end: Frames, own: int) -> None:
    await links.listening(place)
    await asyncio.get_running_loop().create_connection(lambda: end, links.HOST, place.port)
    end.send(packed(own, HELLO, 0))


@contextlib.asynccontextmanager
async def link(place: links.Place) -> AsyncIterator[Requester]:
    """A's end, connected to the switch."""
    requester = Requester()
    await _connect(place, requester, TO_A)
    yield requester
    requester.transport.close()


async def switch(place: links.Place) -> None:
    """Forward between all that connect."""
    peers: dict[int, Port] = {}
    waiting: dict[int, list[bytes]] = {}
    await asyncio.get_running_loop().create_server(lambda: Port(peers, waiting), links.HOST, place.port)


async def respond(place: links.Place) -> None:
    """Be B."""
    await _connect(place, Responder(), TO_B)


if __name__ == "__main__":
    links.main(links.Side(a=links.driver(link), b=links.forever(respond), switch=links.forever(switch)))
