"""What a node and the child processes of its pools say to each other, and how it is framed.

Frame = u32 big-endian length, then one MessagePack array whose first item names the message. Nothing here is open to
a network: the two ends of a socket pair are all there is.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

import msgspec

from edri_sim.routing.retrying import Retry


class Message(msgspec.Struct, array_like=True, tag_field="what", tag=True):
    """The base of all messages. Numbers name jobs and calls; ``remaining`` is seconds until the deadline."""


class Boot(Message):
    """To the child, first: ``plan`` is a cloudpickle of the import path and of what makes the worker."""

    plan: bytes


class Learn(Message):
    """To the child: the class of an event that is on its way, by cloudpickle."""

    cls: bytes


class Begin(Message):
    """To the child: handle this event, whose id is ``node``, ``incarnation`` and ``event``.

    ``trace`` is its traceparent, if it did not begin its trace. Where the event opens a tunnel, ``window`` is the
    handler's first credit, and ``largest`` the bytes that its items may have.
    """

    job: int
    type: str
    payload: bytes
    node: str
    incarnation: int
    event: int
    remaining: float
    redelivered: bool
    trace: str
    window: int
    largest: float


class Cancel(Message):
    """To the child: nobody waits for this job any more."""

    job: int


class Answered(Message):
    """To the child: the reply to a call, or an empty payload for a notification that was taken."""

    call: int
    payload: bytes


class Refused(Message):
    """To the child: the call ended with an error."""

    call: int
    code: str
    message: str
    details: dict[str, str]


class Stop(Message):
    """To the child: stop the worker and end."""


class Ready(Message):
    """From the child: the worker has started."""


class Done(Message):
    """From the child: the job's reply, or an empty payload after a notification."""

    job: int
    payload: bytes


class Failed(Message):
    """From the child: the job's handler raised, or its reply cannot travel; job 0 is the worker's ``start``."""

    job: int
    code: str
    message: str
    details: dict[str, str]


class Broken(Message):
    """From the child: the worker says that it is of no more use."""

    reason: str


class Call(Message):
    """From the child: a handler publishes. ``timeout`` is in seconds, None the node's default.

    ``trace`` is the traceparent that it continues in place of its event's, empty for none, and None if it does not.
    """

    call: int
    job: int
    type: str
    payload: bytes
    timeout: float | None
    trace: str | None
    retry: Retry | None = None


class Hangup(Message):
    """From the child: nobody waits for this call any more."""

    call: int


class OpenCall(Message):
    """From the child: a handler opens a tunnel; it ends with Answered or Refused. ``timeout`` is for the opening.

    ``trace`` is as in :class:`Call`.
    """

    call: int
    job: int
    type: str
    payload: bytes
    timeout: float | None
    trace: str | None
    window: int


class TunnelLimit(Message):
    """To the child: an item of the tunnel that it opens by this call may have so many bytes."""

    call: int
    largest: float


class TunnelItem(Message):
    """Either way: an item. ``tunnel`` is the number of the job that serves it, or that of the call, below 0."""

    tunnel: int
    payload: bytes


class TunnelCredit(Message):
    """Either way: so many more items may come; from the side that serves, the first says that its handler has begun."""

    tunnel: int
    count: int


class TunnelEnded(Message):
    """Either way: no more items come; ``how`` is as in :mod:`edri_sim.routing.tunnel`."""

    tunnel: int
    how: int


ToChild = (
    Boot | Learn | Begin | Cancel | Answered | Refused | Stop | TunnelLimit | TunnelItem | TunnelCredit | TunnelEnded
)
FromChild = Ready | Done | Failed | Broken | Call | Hangup | OpenCall | TunnelItem | TunnelCredit | TunnelEnded

_encode = msgspec.msgpack.Encoder().encode
_LENGTH = struct.Struct("!I")


class MessageStream(asyncio.Protocol):
    """Messages over one stream: the first of a turn is written at once, the others of that turn together."""

    def __init__(self, kinds: Any, received: Callable[[Any], None], lost: Callable[[], None]) -> None:
        self._decode = msgspec.msgpack.Decoder(kinds).decode
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._corked: list[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        self._lost()

    def send(self, message: Message) -> None:
        """Send a message; after the stream is lost, nothing."""
        transport = self._transport
        if transport is None:
            return
        body = _encode(message)
        frame = _LENGTH.pack(len(body)) + body
        if self._corked is None:
            self._corked = []
            self._loop.call_soon(self._uncork)
            transport.write(frame)
        else:
            self._corked.append(frame)

    def _uncork(self) -> None:
        frames, self._corked = self._corked, None
        if frames and self._transport is not None:
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        """End the stream; what was sent still goes out."""
        if self._transport is not None:
            self._uncork()
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: take out every message that is whole."""
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= 4:
            end = start + 4 + _LENGTH.unpack_from(buffer, start)[0]
            if end > size:
                break
            message = self._decode(memoryview(buffer)[start + 4 : end])
            start = end
            self._received(message)
        if start:
            del buffer[:start]
