"""Frames over one TCP connection: what is sent in a turn of the loop is written at its end, in one piece."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import copy_context
from typing import cast

from edri_sim.host import BACKGROUND
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import MAX_FRAME, BadFrame, Ping, Pong, RawFrame, encode

PING_EVERY, DEAD_AFTER = 5.0, 15.0
"""Seconds between pings, and of silence after which the other end is taken for dead."""

GREETING_WITHIN = 5.0
"""Seconds within which both ends have to introduce themselves."""

BACKLOG = 16 << 20
"""Bytes that may wait for the network, unless its owner says otherwise: an end that takes less is given up."""

Received = Callable[[RawFrame], None]
Lost = Callable[[str, str], None]
"""Told once that the connection ended: why, and a code if the other end broke the rules."""


class FrameStream(asyncio.Protocol):
    """One end. ``received`` gets every frame but pings; if it raises BadFrame, or bytes are no frames, that ends it.

    ``taken`` is called when all that came in one piece was passed on, ``drained`` when the transport takes writes
    again. ``backlog`` is the bytes that may wait for the network before the other end is given up.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, received: Received, lost: Lost, *,
        drained: Callable[[], None] | None = None, taken: Callable[[], None] | None = None, max_frame: int = MAX_FRAME,
        backlog: int = BACKLOG,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._received = received
        self._lost: Lost | None = lost
        self._drained = drained
        self._taken = taken
        self._backlog = backlog
        self._reader = FrameReader(max_frame)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._pings = 0
        self._asked: dict[asyncio.Future[bool], int] = {}
        self._heard = 0.0
        self._unanswered = math.inf
        self._beating: asyncio.TimerHandle | None = None
        self._closing = False
        self._ended = asyncio.Event()
        self.full = False
        """Whether the transport holds more than it can send for now."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        if self._lost is None or self._closing:  # It was given up before it was there.
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)
        self._heard = self._loop.time()
        background = copy_context()
        background.run(BACKGROUND.set, True)
        background.run(self._beat)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        self._ended.set()
        self._end(str(error) or type(error).__name__ if error else "the other end closed it", "")

    def pause_writing(self) -> None:
        """Called by the loop."""
        self.full = True

    def resume_writing(self) -> None:
        """Called by the loop."""
        self.full = False
        if self._drained is not None:
            self._drained()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: pass on every frame that is whole."""
        self._heard = self._loop.time()
        self._unanswered = math.inf
        ping: Ping | None = None
        try:
            for raw in self._reader.feed(data):
                if raw.number == Ping.number:
                    ping = raw.open()
                elif raw.number == Pong.number:
                    self._answered(raw.open())
                else:
                    self._received(raw)
                if self._transport is None or self._closing:
                    break
        except BadFrame as error:
            self.abort(str(error), error.code)
        if ping is not None:
            self._echo(ping)
        if self._taken is not None:
            self._taken()

    # Sending

    @property
    def buffered(self) -> int:
        """Bytes that wait for the network."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def waiting(self) -> float:
        """Seconds since a ping was sent after which nothing was heard; 0 if all is well."""
        return max(self._loop.time() - self._unanswered, 0.0)

    @property
    def peername(self) -> str:
        """The address of the other end."""
        address = self._transport.get_extra_info("peername") if self._transport is not None else None
        return ":".join(str(part) for part in address[:2]) if address else "a closed connection"

    @property
    def certified(self) -> tuple[str, ...]:
        """The names that the other end's certificate is for: its common name. None where nothing is encrypted."""
        certificate = self._transport.get_extra_info("peercert") if self._transport is not None else None
        parts = [pair for group in (certificate or {}).get("subject", ()) for pair in group]
        return tuple(value for key, value in parts if key == "commonName")

    def send(self, frame: bytes) -> None:
        """Send a frame at the end of this turn; after the connection is lost, nothing."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(frame)

    def put(self, frame: bytes) -> None:
        """Send a frame with the next :meth:`flush`, which is the caller's business."""
        self._out.append(frame)

    def flush(self) -> None:
        """Write what was sent since the last time, in one piece."""
        if not self._out:
            return
        out, self._out = self._out, []
        if self._transport is None or self._closing:
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self.full and self.buffered > self._backlog:
            self.abort(f"it has not taken {self.buffered} bytes that were sent to it", "slow")

    def allow(self, max_frame: int) -> None:
        """Take frames of up to so many bytes from now on."""
        self._reader.max_frame = max_frame

    # Whether the other end is there

    async def answers(self, within: float) -> bool:
        """Whether the other end answers a ping within so many seconds."""
        answer: asyncio.Future[bool] = self._loop.create_future()
        self._asked[answer] = self._ping()
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            return False
        finally:
            self._asked.pop(answer, None)

    def prod(self, after: float) -> None:
        """See whether the other end is there, if nothing was heard of it for so many seconds."""
        if self._unanswered == math.inf and self._loop.time() - self._heard >= after:
            self._ping()

    def _ping(self) -> int:
        self._pings += 1
        self._unanswered = min(self._unanswered, self._loop.time())
        self.send(encode(Ping(self._pings)))
        return self._pings

    def _echo(self, ping: Ping) -> None:
        """Answer the last of the pings that came in one piece, and so all of them."""
        if not self.full:  # Else it reads too little: what it has still to read tells it that this end is there.
            self.send(encode(Pong(ping.count)))

    def _answered(self, pong: Pong) -> None:
        for answer, count in self._asked.items():
            if count <= pong.count and not answer.done():
                answer.set_result(True)

    def _beat(self) -> None:
        """Housekeeping, in a context whose timers keep no simulation running."""
        if self._transport is None:
            return
        if self._pings and self._loop.time() - self._heard >= DEAD_AFTER:
            self.abort(f"nothing was heard for {DEAD_AFTER:g} s")
            return
        if self._beating is not None:
            self._ping()
        self._beating = self._loop.call_later(PING_EVERY, self._beat)

    # Ending

    def close(self) -> None:
        """End the connection; what was sent still goes out, and what comes or is sent from now on is dropped."""
        if not self._closing:
            self.flush()
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    async def leave(self, within: float) -> None:
        """End the connection, and return once what was sent is out; after so many seconds it is dropped."""
        self.close()
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(within):
                await self._ended.wait()
        except TimeoutError:
            self.abort("it does not take the goodbye")
            await self._ended.wait()

    def abort(self, why: str, code: str = "") -> None:
        """End the connection at once, and say why; ``code`` if the other end broke the rules.

        One that is still to be made, as while both ends agree on a cipher, ends as soon as it is.
        """
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._end(why, code)

    def _end(self, why: str, code: str) -> None:
        if self._beating is not None:
            self._beating.cancel()
        for answer in self._asked:
            if not answer.done():
                answer.set_result(False)
        lost, self._lost = self._lost, None
        if lost is not None:
            lost(why, code)
