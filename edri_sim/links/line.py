"""The line to one switch, kept up whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from edri_sim.links.address import Address
from edri_sim.links.alarm import Alarm
from edri_sim.links.frames import (
    ABSENT,
    HEADER,
    NOT_ALLOWED,
    RELAYED,
    STALE_INCARNATION,
    BadFrame,
    GoAway,
    Presence,
    RawFrame,
    Reject,
    Sought,
    Unroutable,
    Welcome,
    encode,
)
from edri_sim.links.stream import GREETING_WITHIN, FrameStream

if TYPE_CHECKING:
    from edri_sim.links.tcp import TcpFabric

FIRST_PAUSE, SOON_PAUSE, LATE_PAUSE = 0.1, 0.5, 10.0
"""Seconds between attempts to connect: at first, at most within the first minute, and at most after it."""
SOON = 60.0
"""Seconds without a line after which attempts become rare."""
GIVE_UP_HOPE = 600.0
"""Seconds without a line after which a simulation does not go on for its sake."""
STABLE = 1.0
"""Seconds that a line has to be up, or the pauses before the next attempts go on growing."""
FAREWELL = 1.0
"""Seconds that the switch has to take a goodbye."""
QUEUE = 4 << 20
"""Bytes that may wait for the network: what is more is dropped, as a switch does, and sent again by its flow."""
MOST_PRESENT = 50_000
"""Nodes that a switch may have; more are no more than names that it makes up."""
DOUBT = 1.0
"""Seconds of silence after which a line among several is asked whether it is there, and within which it has to answer:
else another is better."""

_PLAIN = ": this node has no certificates (tls_cert, tls_key, tls_ca), and a switch that has some speaks with no other"
"""What may be the matter where a plain line comes up and is not taken."""


class SwitchLine:
    """The line to one switch."""

    def __init__(self, fabric: TcpFabric, address: Address) -> None:
        self.address = address
        self.present: dict[str, int] = {}
        self.heard: dict[str, float] = {}
        """When something came this way from a router, on the loop's clock; kept where there are several lines."""
        self.up = False
        """Whether the switch has taken this node."""
        self.tried = False
        """Whether an attempt to connect has come to its end, either way."""
        self.sought = -1
        """How many of the types that this node sends the switch has introduced it for; -1: it has not said yet."""
        self.leaving = False
        """The switch is about to stop: another line is better."""
        self.switch = str(address)
        self._fabric = fabric
        self._loop = fabric.loop
        self._stream: FrameStream | None = None
        self._last: FrameStream | None = None
        self._greeted: asyncio.Future[Welcome] | None = None
        self._over: asyncio.Future[str] | None = None
        self._rejected = ""
        self._said = ""
        self._on: dict[int, Callable[[Any], None]] = {
            Welcome.number: self._on_welcome, Reject.number: self._on_reject, Presence.number: self._on_presence,
            Unroutable.number: self._on_unroutable, GoAway.number: self._on_go_away, Sought.number: self._on_sought,
        }  # fmt: skip

    @property
    def full(self) -> bool:
        """Whether the line is slower than frames come."""
        return self._stream is not None and self._stream.full

    @property
    def mute(self) -> bool:
        """Whether the switch was asked whether it is there, and has not answered in time."""
        return self._stream is None or self._stream.waiting >= DOUBT

    def doubt(self) -> None:
        """Something is about to be sent, and could be sent another way: see whether the switch is there."""
        if self._stream is not None:
            self._stream.prod(DOUBT)

    def send(self, frame: bytes) -> None:
        """Send a frame with the next :meth:`flush`, if the line is up, and not too much waits for it.

        One that is too large for the other end is dropped, too: it would end the line, again and again.
        """
        stream = self._stream
        if len(frame) > self._fabric.max_frame + HEADER.size:
            self._fabric.oversized(len(frame))
        elif stream is not None and not (stream.full and stream.buffered > QUEUE):
            stream.put(frame)

    def flush(self) -> None:
        """Write what was sent since the last time."""
        if self._stream is not None:
            self._stream.flush()

    # Staying connected

    async def run(self) -> None:
        """Connect, and connect again whenever the line is lost, until cancelled."""
        down_since, pause = self._loop.time(), FIRST_PAUSE
        try:
            while True:
                over: asyncio.Future[str] = self._loop.create_future()
                reason = await self._attempt(over)
                self.tried = True
                if not reason:
                    began = self._loop.time()
                    reason = await self._serve(over)
                    if self._loop.time() - began >= STABLE:
                        down_since, pause, self._said = self._loop.time(), FIRST_PAUSE, ""
                self._hang_up()
                self._say(reason)
                longest = SOON_PAUSE if self._loop.time() - down_since < SOON and not self._rejected else LATE_PAUSE
                await self._pause(min(pause, longest), down_since)
                pause = min(pause * 2, longest)
        finally:
            self._hang_up()

    async def _serve(self, over: asyncio.Future[str]) -> str:
        """Be up until the line is lost; returns why it was."""
        self.up = True
        self._fabric.line_up(self)
        try:
            return await over
        finally:
            self.up = False
            self._fabric.line_down(self)

    async def _attempt(self, over: asyncio.Future[str]) -> str:
        """Connect and say hello; returns why that failed. ``over`` is told when the line is lost."""
        self._rejected = ""
        loop, fabric = self._loop, self._fabric
        self._over = over
        self._greeted = loop.create_future()
        options: dict[str, Any] = {} if fabric.credentials.tls is None else {"ssl": fabric.credentials.tls}
        try:
            async with asyncio.timeout(GREETING_WITHIN):
                _, self._stream = await loop.create_connection(
                    self._new_stream, self.address.host, self.address.port, **options
                )
                self._stream.send(encode(fabric.hello()))
                await self._greeted
        except TimeoutError:
            return f"it does not answer{self._doubt_plain()}"
        except (OSError, UnicodeError) as error:  # The latter for a name that can't be one.
            return str(error) or type(error).__name__
        except ConnectionAbortedByPeer as error:
            return f"{error}{self._doubt_plain()}"
        return ""

    def _doubt_plain(self) -> str:
        """A guess, for a line that came up and was not taken without a word."""
        silent = self._stream is not None and not self._rejected
        return _PLAIN if silent and self._fabric.credentials.tls is None else ""

    def _new_stream(self) -> FrameStream:
        return FrameStream(
            self._loop, self._received, self._lost, drained=self._fabric.drained, max_frame=self._fabric.max_frame
        )

    async def _pause(self, seconds: float, down_since: float) -> None:
        wake: asyncio.Future[None] = self._loop.create_future()
        fabric = self._fabric

        def idle() -> bool:
            return not fabric.needed() or fabric.loop.time() - down_since > GIVE_UP_HOPE

        timer = self._loop.call_later(fabric.stream.uniform(0, seconds), Alarm(partial(_let_go, wake), idle))
        try:
            await wake
        finally:
            timer.cancel()

    def _say(self, reason: str) -> None:
        """Log a trouble once, however often it comes in a row."""
        if reason != self._said:
            self._said = reason
            log = self._fabric.log
            (log.error if self._rejected else log.warning)("the line to switch %s is down: %s", self.address, reason)

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        self.leaving = False
        if stream is not None:
            stream.close()
            self._last = stream

    async def leave(self) -> None:
        """After :meth:`run` has ended: return once the switch has taken what was sent, or has had time to."""
        last, self._last = self._last, None
        if last is not None:
            await last.leave(FAREWELL)

    def _lost(self, why: str, _: str) -> None:
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(ConnectionAbortedByPeer(why))
        if self._over is not None and not self._over.done():
            self._over.set_result(why)

    # What the switch says

    def _received(self, raw: RawFrame) -> None:
        if raw.number in RELAYED:
            self._fabric.on_frame(self, raw)
            return
        handler = self._on.get(raw.number)
        if handler is None:
            raise BadFrame("unexpected", f"a {type(raw.open()).__name__} frame from a switch")
        handler(raw.open())

    def _on_welcome(self, welcome: Welcome) -> None:
        if self._greeted is None or self._greeted.done():
            raise BadFrame("unexpected", "a second Welcome")
        if welcome.max_frame < self._fabric.max_frame:
            self._refuse(welcome)
            return
        self.switch = welcome.switch
        self.sought = -1
        self._greeted.set_result(welcome)

    def _refuse(self, welcome: Welcome) -> None:
        """Leave a switch that would hang up on the first large frame, again and again."""
        self._rejected = "max_frame"
        if self._stream is not None:
            takes, sends = welcome.max_frame, self._fabric.max_frame
            self._stream.abort(
                f"it takes frames of {takes} bytes, and this node sends up to {sends}: raise its max_frame"
            )

    def _on_reject(self, reject: Reject) -> None:
        self._rejected = reject.code
        why = f"it rejects this node: {reject.code}: {reject.message}"
        if reject.code == STALE_INCARNATION:
            if self._fabric.on_stale(reject.seen):
                self._rejected, why = "", f"{why}; trying again as a newer life"
            else:
                why = f"{why}; this one can't go on"
        if self._stream is not None:
            self._stream.abort(why)

    def _on_presence(self, presence: Presence) -> None:
        if len(self.present) >= MOST_PRESENT and presence.node not in self.present:
            raise BadFrame("too_many_nodes", f"node {presence.node!r} is present, after {MOST_PRESENT} others")
        if presence.up:
            self.present[presence.node] = presence.incarnation
            self._fabric.node_up(presence.node, presence.incarnation)
        elif self.present.get(presence.node) == presence.incarnation:
            del self.present[presence.node]
            self.heard.pop(presence.node, None)
            self._fabric.node_down(presence.node, left=presence.left)

    def _on_unroutable(self, unroutable: Unroutable) -> None:
        if unroutable.reason == NOT_ALLOWED:
            self._fabric.barred(unroutable.node, unroutable.type)
        elif unroutable.reason == ABSENT and self.present.pop(unroutable.node, None) is not None:
            self._fabric.node_down(unroutable.node, left=False)

    def _on_sought(self, sought: Sought) -> None:
        self.sought = sought.sends
        self._fabric.on_sought()

    def _on_go_away(self, _: GoAway) -> None:
        self.leaving = True


class ConnectionAbortedByPeer(Exception):
    """The connection ended before the switch had taken this node."""


def _let_go(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
