"""One end of an open tunnel: what it may send, what has come, and how it is over. No I/O: it tells the far side."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar

from edri_sim.codec import Codec
from edri_sim.errors import CodecError, EventTooLarge, RequestError, TunnelClosed, TunnelLost

Out = TypeVar("Out", contravariant=True)
In = TypeVar("In", covariant=True)

WINDOW = 64
"""Items that one side may send before the other has taken some of them out."""
FLYING = 4 << 20
"""Bytes of encoded items after which a side waits, whatever its credit in items."""

HALF_CLOSED, FAILED, LEFT, LOST = range(4)
"""How a side sends no more: it may still read; its handler raised; its block was left, so that it reads no more; or
it is gone for good, or what it sent is."""


class _Unreadable(CodecError):
    """Takes the place of an item that cannot be read."""


class Far(Protocol):
    """The other side of a tunnel, as this one tells it things. All is told in order."""

    encoded: bool
    """Whether it wants items as MessagePack, even from an end on the same loop."""
    largest: float
    """The bytes that an encoded item may have."""

    def payload(self, data: bytes) -> None:
        """An item, encoded."""

    def credit(self, count: int) -> None:
        """So many more items may be sent."""

    def ended(self, how: int) -> None:
        """No more items come: see ``HALF_CLOSED``."""


class Entrance(Protocol):
    """The opener's side of a tunnel, as whoever serves the tunnel meets it in the envelope.

    ``window`` is the credit that the server begins with, ``largest`` the bytes that its items may have.
    """

    window: int

    @property
    def largest(self) -> float:
        """See :class:`Far`."""

    def accept(self, near: Far, window: int) -> Far:
        """A handler has begun, and is told what comes by ``near``; the opener may send it ``window`` items."""


class Received(ABC, Generic[In]):
    """What can be iterated over until the other side has ended."""

    @abstractmethod
    async def receive(self) -> In:
        """The next item; raises TunnelClosed once there is none."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> In:
        try:
            return await self.receive()
        except TunnelClosed:
            raise StopAsyncIteration from None


class CrossedEnd(Received[Any]):
    """The end of a tunnel as it is seen from another loop than the one that it lives on."""

    def __init__(self, end: Any) -> None:
        self._end = end

    def __repr__(self) -> str:
        return repr(self._end)

    @property
    def left(self) -> bool:
        """See :class:`TunnelEnd`."""
        left: bool = self._end.left
        return left


class TunnelEnd(Received[In], Generic[Out, In]):
    """One end of an open tunnel: send items, iterate over what comes, and end one's own half.

    The handler of a ``Tunnel[Up, Down]`` gets a ``TunnelEnd[Down, Up]``; who opens it, a ``TunnelEnd[Up, Down]``.
    Items arrive in order and once. At most 64 of them, or 4 MiB, are on their way or wait to be read: who sends more
    waits until the other side has read some.
    """

    def __init__(self, subject: str, sends: Codec[Any], receives: Codec[Any], *, encoded: bool = False) -> None:
        self.encoded = encoded
        self.largest = math.inf
        self.window = WINDOW
        self._subject = subject
        self._sends = sends
        self._receives = receives
        self._loop = asyncio.get_running_loop()
        self._far: Far | None = None
        self._put: Callable[[Any], None] = self.payload
        self._packs = False
        self._credit = 0
        self._flying: deque[int] = deque()
        self._flying_bytes = 0
        self._senders: deque[asyncio.Future[None]] = deque()
        self._queue: deque[tuple[Any, int]] = deque()
        self._room = WINDOW
        self._taken = 0
        self._taken_bytes = 0
        self._readers: deque[asyncio.Future[None]] = deque()
        self._ended: int | None = None
        self._far_ended: int | None = None
        self._over = False
        self._error: RequestError | None = None
        self._lost: TunnelLost | None = None

    def __repr__(self) -> str:
        return f"<TunnelEnd {self._subject} {'closed' if self._over else 'open'}>"

    # What its holder does

    async def send(self, item: Out) -> None:
        """Send an item; waits while the other side is a window behind.

        Raises:
            CodecError: the item is not of the declared type. The tunnel goes on.
            EventTooLarge: the item is larger than what travels between routers. The tunnel goes on.
            TunnelClosed: this half was ended, or the other side has left.
            RequestError: the tunnel is broken: TunnelLost, ProviderLost, HandlerError, NodeStopped.
        """
        packed, size = self._pack(item)
        self._check_sends()
        if self._credit <= 0 or self._flying_bytes >= FLYING or self._senders:
            await self._turn(self._senders, self._return_credit)
            self._check_sends()
        else:
            self._credit -= 1
        if size:
            self._flying.append(size)
            self._flying_bytes += size
        self._put(packed)
        if self._senders:
            self._let_send()

    async def receive(self) -> In:
        """The next item; waits for it.

        Raises:
            CodecError: an item came that is not of the declared type. The tunnel goes on.
            TunnelClosed: the other side has ended its half, and all that it had sent was received.
            RequestError: the tunnel is broken, and what had come before was received.
        """
        queue = self._queue
        while not queue:
            self._check_receives()
            await self._turn(self._readers, self._pass_on)
        item, size = queue.popleft()
        self._note_taken(size)
        if type(item) is _Unreadable:
            raise item
        found: In = item
        return found

    def end(self) -> None:
        """Send no more: the other side's iteration ends once it has read what was sent. Reading goes on."""
        self._end(HALF_CLOSED)

    @property
    def left(self) -> bool:
        """Whether the other side has left the tunnel: nobody reads what is sent."""
        return self._far_ended == LEFT

    def check_lost(self) -> None:
        """Raise TunnelLost if this handler is cancelled because the opener is gone for good."""
        if self._lost is not None:
            raise self._lost from None

    # Sending

    def _pack(self, item: Any) -> tuple[Any, int]:
        try:
            if not self._packs:
                self._sends.validate(item)
                return item, 0
            data = self._sends.encode(item)
        except CodecError as error:
            raise CodecError(f"{self._subject}: an item cannot be sent: {error}") from None
        if self._far is not None and len(data) > self._far.largest:
            raise EventTooLarge(
                f"{self._subject}: an item of {len(data)} bytes, and at most {self._far.largest:g} travel between "
                "routers: send it in pieces"
            )
        return data, len(data)

    def _check_sends(self) -> None:
        if self._ended is not None:
            raise TunnelClosed(f"{self._subject}: this side has ended its half, and can send no more")
        if self.left:
            raise TunnelClosed(f"{self._subject}: the other side has left, and reads no more")
        if self._over:
            raise self._error or TunnelClosed(f"{self._subject}: its handler has returned, and reads no more")

    async def _turn(self, waiting: deque[asyncio.Future[None]], unused: Callable[[], None]) -> None:
        """Wait in the order of those who do; ``unused`` is called if the turn comes to one that is cancelled.

        A handler that is cancelled because its tunnel is lost is told so where it waits for that tunnel.
        """
        turn = self._loop.create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                unused()
            self.check_lost()
            raise
        finally:
            if turn in waiting:
                waiting.remove(turn)

    def _return_credit(self) -> None:
        self._credit += 1
        self._let_send()

    def _pass_on(self) -> None:
        self._wake_one(self._readers)

    def _let_send(self) -> None:
        """Wake the next that may send, with its credit taken: who comes later must not have it. It wakes the next."""
        if self._credit > 0 and self._flying_bytes < FLYING and self._wake_one(self._senders):
            self._credit -= 1

    def _end(self, how: int) -> None:
        if self._ended in (None, HALF_CLOSED) and self._ended != how:
            self._ended = how
            self._wake(self._senders)
            if self._far is not None:
                self._far.ended(how)

    # Receiving

    def _check_receives(self) -> None:
        """Raise what says that nothing more will come, if that is so."""
        how = self._far_ended
        if how is None or (how == FAILED and not self._over):
            return  # What was sent, or word of what the handler raised, is on its way.
        if how == FAILED and self._error is not None:
            raise self._error
        raise TunnelClosed(f"{self._subject}: the other side has ended, and all that it sent was received")

    def _note_taken(self, size: int) -> None:
        """Give credit for what was read: for half a window at a time."""
        self._taken += 1
        self._taken_bytes += size
        if self._far is not None and (2 * self._taken >= self.window or 2 * self._taken_bytes >= FLYING):
            count, self._taken, self._taken_bytes = self._taken, 0, 0
            self._room += count
            self._far.credit(count)

    # What it is told

    def join(self, far: Far, credit: int) -> None:
        """The other side is there, and takes ``credit`` items."""
        self._far = far
        self._credit = credit
        if isinstance(far, TunnelEnd) and not (self.encoded or far.encoded):
            self._put = far.take
        else:
            self._packs, self._put = True, far.payload
        if self._ended is not None:
            far.ended(self._ended)

    def take(self, item: Any, size: int = 0) -> None:
        """An item came from the other side."""
        if self._room <= 0:
            raise TunnelLost(f"{self._subject}: the other side sent more than its credit of {self.window} items")
        self._room -= 1
        if self._ended == LEFT or self._over:
            self._note_taken(size)  # Nobody reads it: the other side must not wait for that.
            return
        self._queue.append((item, size))
        self._wake_one(self._readers)

    def payload(self, data: bytes) -> None:
        """An encoded item came; who receives one that does not fit its type is told so. Raises TunnelLost."""
        try:
            item = self._receives.decode(data)
        except Exception as error:  # A class of the user's may raise anything while it is made.
            item = _Unreadable(f"{self._subject}: an item that came cannot be read: {error}")
        self.take(item, len(data))

    def credit(self, count: int) -> None:
        """See :class:`Far`."""
        self._credit += count
        for _ in range(min(count, len(self._flying))):
            self._flying_bytes -= self._flying.popleft()
        if self._senders:
            self._let_send()

    def ended(self, how: int) -> None:
        """See :class:`Far`."""
        if how == LOST:
            self._lost = TunnelLost(f"{self._subject}: the other side is gone for good, or what it sent is")
            self.over(self._lost)
            return
        self._far_ended = how
        self._wake(self._readers)
        if how == LEFT:
            self._wake(self._senders)

    def leave(self) -> None:
        """Neither send nor read any more; what was sent still goes through."""
        self._end(LEFT)
        for _, size in self._queue:
            self._note_taken(size)
        self._queue.clear()

    def finish(self, *, failed: bool) -> None:
        """Its handler has returned, or has raised: nothing more is sent or read here."""
        self._end(FAILED if failed else LEFT)
        self.over(None)

    def over(self, error: RequestError | None, *, all_came: bool = True) -> None:
        """The tunnel is over, with ``error`` for that reason. What has come can still be read.

        Unless ``all_came``, more is on its way, with word of the other side's end behind it.
        """
        if self._over:
            return
        self._over = True
        self._error = error
        if all_came and self._far_ended is None:
            self._far_ended = LEFT if error is None else FAILED
        self._wake(self._senders)
        self._wake(self._readers)

    def _wake(self, waiting: deque[asyncio.Future[None]]) -> None:
        while waiting:
            self._wake_one(waiting)

    def _wake_one(self, waiting: deque[asyncio.Future[None]]) -> bool:
        """Wake who has waited longest; False if nobody waits."""
        while waiting:
            future = waiting.popleft()
            if not future.done():
                future.set_result(None)
                return True
        return False
