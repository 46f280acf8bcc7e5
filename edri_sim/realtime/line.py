"""One direction of a link between real programs: it can be cut, and takes its time. All connections share it."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edri_sim.realtime.relay import End

HELD = 1 << 20
"""Bytes of one connection and direction that are under way before no more are read."""

PIECE = 0.01
"""Seconds that a piece takes at most where the bandwidth is limited: what comes behind it is smooth, not in bursts."""


class Parcel(NamedTuple):
    """What travels: bytes, or a connection's end. ``hand_over`` gives it to the end that it is for."""

    hand_over: Callable[[End, bytes], None]
    data: bytes = b""


class Line:
    """One direction of the link: first in, first out over all connections; delays are in seconds.

    ``rate`` is bytes per second, or None for no limit. ``held`` counts the bytes that are under way,
    and ``passed`` those that came out at the other end.
    """

    def __init__(self, stream: random.Random) -> None:
        self.open = True
        self.latency = 0.0
        self.jitter = 0.0
        self.rate: float | None = None
        self.passed = 0
        self.held = 0
        self._stream = stream
        self._queue: deque[tuple[Lane, Parcel]] = deque()
        self._free_at = 0.0
        self._next: asyncio.TimerHandle | None = None

    def put(self, lane: Lane, parcel: Parcel) -> None:
        """Take a parcel in, behind all that wait for the line."""
        self._queue.append((lane, parcel))
        if self._next is None:
            self._serve(asyncio.get_running_loop().time())

    def limit(self, rate: float | None) -> None:
        """Change the bandwidth, for what waits already too."""
        self.rate = rate
        self.close()
        self._serve(asyncio.get_running_loop().time())

    def close(self) -> None:
        """Stop the timer; what waits, waits for the next call."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _free(self) -> None:
        self._next = None
        # Not the present time: a timer is always late, and what it loses would be lost at every piece.
        self._serve(self._free_at)

    def _serve(self, start: float) -> None:
        """Send off what waits, until the line is taken for a while; ``start`` is when it became free."""
        while self._queue and self._next is None:
            lane, parcel = self._take()
            if lane.closed:
                continue
            if self.rate is not None and parcel.data:
                start = self._free_at = start + len(parcel.data) / self.rate
                self._next = asyncio.get_running_loop().call_at(start, self._free)
            lane.fly(parcel, start + self.latency + self._stream.uniform(0.0, self.jitter))

    def _take(self) -> tuple[Lane, Parcel]:
        """The first that waits, or a piece of it."""
        lane, parcel = self._queue.popleft()
        size = len(parcel.data) if self.rate is None else max(1, int(self.rate * PIECE))
        if len(parcel.data) > size:
            self._queue.appendleft((lane, parcel._replace(data=parcel.data[size:])))
            parcel = parcel._replace(data=parcel.data[:size])
        return lane, parcel


class Lane:
    """One connection's part of a line: what ``source`` has sent and ``sink`` has not been given yet, in order."""

    def __init__(self, line: Line, source: End, sink: End) -> None:
        self._line = line
        self._source = source
        self._sink = sink
        self._flying: deque[tuple[float, Parcel]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self.closed = False

    def send(self, parcel: Parcel) -> None:
        """Put a parcel on the line; reading stops while too much is under way."""
        if self.closed:
            return
        self._count(len(parcel.data))
        if self._held > HELD:
            self._source.pause()
        self._line.put(self, parcel)

    def fly(self, parcel: Parcel, due: float) -> None:
        """The line has sent a parcel off: it arrives when it is ``due``, behind all that were sent before."""
        self._flying.append((due, parcel))
        self.deliver()

    def deliver(self) -> None:
        """Hand over what has arrived, as far as the line is open and the sink has room."""
        loop = asyncio.get_running_loop()
        while self._flying and self._passable() and self._flying[0][0] <= loop.time():
            _, parcel = self._flying.popleft()
            self._count(-len(parcel.data))
            self._line.passed += len(parcel.data)
            parcel.hand_over(self._sink, parcel.data)
        if self._held <= HELD // 2:
            self._source.go_on()
        if self._flying and self._passable() and self._timer is None:
            self._timer = loop.call_at(self._flying[0][0], self._arrived)

    def _passable(self) -> bool:
        return self._line.open and self._sink.ready and not self.closed

    def _arrived(self) -> None:
        self._timer = None
        self.deliver()

    def _count(self, size: int) -> None:
        self._held += size
        self._line.held += size

    def close(self) -> None:
        """Drop what is under way, and all that may come."""
        self._count(-self._held)
        self.closed = True
        self._flying.clear()
        if self._timer is not None:
            self._timer.cancel()
