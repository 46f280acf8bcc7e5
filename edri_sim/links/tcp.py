"""The fabric over TCP: lines to one switch or several, kept up whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from edri_sim import trace
from edri_sim.host import RandomStream
from edri_sim.links.addresses import Address, Credentials
from edri_sim.links.fabric import Endpoint
from edri_sim.links.frames import (
    MAX_FRAME,
    RELAYED,
    STALE_INCARNATION,
    VERSION,
    BadFrame,
    Bye,
    Frame,
    GoAway,
    Hello,
    Presence,
    RawFrame,
    Reject,
    Unroutable,
    Welcome,
    encode,
)
from edri_sim.links.stream import GREETING_WITHIN, FrameStream
from edri_sim.logs import NodeLog
from edri_sim.routing.context import NodeContext

FIRST_PAUSE, SOON_PAUSE, LATE_PAUSE = 0.1, 0.5, 10.0
"""Seconds between attempts to connect: at first, at most within the first minute, and at most after it."""
SOON = 60.0
"""Seconds without a line after which attempts become rare."""
GIVE_UP_HOPE = 600.0
"""Seconds without a line after which a simulation does not go on for its sake."""


def switch_lines(
    addresses: Sequence[str], credentials: Credentials | None = None, *, max_frame: int = MAX_FRAME
) -> Any:
    """What makes the fabric of a node that is joined to the switches at these addresses (``host:port``).

    Raises:
        SettingsError: an address is malformed.
    """
    parsed = [Address.parse(address) for address in addresses]

    def make(node: NodeContext, needed: Callable[[], bool]) -> TcpFabric:
        log_ = node.log.of("connector")
        fabric = TcpFabric(
            parsed, credentials=credentials or Credentials(), stream=node.host.random("reconnect"), log=log_,
            needed=needed, max_frame=max_frame,
        )  # fmt: skip
        trace_ = node.host.trace
        component = trace_.component(f"{node.name}/connector")
        fabric.on_line = lambda line, up: trace_.mark(trace.LINK_UP if up else trace.LINK_DOWN, component, line.switch)
        return fabric

    return make


class _Wake:
    """The timer before the next attempt; in a simulation it counts only while somebody waits for the line."""

    def __init__(self, future: asyncio.Future[None], idle: Callable[[], bool]) -> None:
        self._future = future
        self._idle = idle

    def idle(self) -> bool:
        """Whether nobody waits for the line."""
        return self._idle()

    def __call__(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class SwitchLine:
    """The line to one switch."""

    def __init__(self, fabric: TcpFabric, address: Address) -> None:
        self.address = address
        self.present: dict[str, int] = {}
        self.up = False
        """Whether the switch has taken this node."""
        self.tried = False
        """Whether an attempt to connect has come to its end, either way."""
        self.leaving = False
        """The switch is about to stop: another line is better."""
        self.switch = str(address)
        self._fabric = fabric
        self._loop = fabric.loop
        self._stream: FrameStream | None = None
        self._greeted: asyncio.Future[Welcome] | None = None
        self._over: asyncio.Future[str] | None = None
        self._rejected = ""
        self._said = ""
        self._on: dict[int, Callable[[Any], None]] = {
            Welcome.number: self._on_welcome, Reject.number: self._on_reject, Presence.number: self._on_presence,
            Unroutable.number: self._on_unroutable, GoAway.number: self._on_go_away,
        }  # fmt: skip

    @property
    def full(self) -> bool:
        """Whether the line is slower than frames come."""
        return self._stream is not None and self._stream.full

    def send(self, frame: bytes) -> None:
        """Send a frame with the next :meth:`flush`, if the line is up."""
        if self._stream is not None:
            self._stream.put(frame)

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
                    reason = await self._serve(over)
                    down_since, pause = self._loop.time(), FIRST_PAUSE
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
        self._said = ""
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
            return "it does not answer"
        except OSError as error:
            return str(error) or type(error).__name__
        except ConnectionAbortedByPeer as error:
            return str(error)
        return ""

    def _new_stream(self) -> FrameStream:
        return FrameStream(
            self._loop, self._received, self._lost, drained=self._fabric.drained, max_frame=self._fabric.max_frame
        )

    async def _pause(self, seconds: float, down_since: float) -> None:
        wake: asyncio.Future[None] = self._loop.create_future()
        fabric = self._fabric

        def idle() -> bool:
            return not fabric.needed() or fabric.loop.time() - down_since > GIVE_UP_HOPE

        timer = self._loop.call_later(fabric.stream.uniform(0, seconds), _Wake(wake, idle))
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

    def _lost(self, why: str, _: str) -> None:
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(ConnectionAbortedByPeer(why))
        if self._over is not None and not self._over.done():
            self._over.set_result(why)

    # What the switch says

    def _received(self, raw: RawFrame) -> None:
        if raw.number in RELAYED:
            self._fabric.on_frame(raw)
            return
        handler = self._on.get(raw.number)
        if handler is None:
            raise BadFrame("unexpected", f"a {type(raw.open()).__name__} frame from a switch")
        handler(raw.open())

    def _on_welcome(self, welcome: Welcome) -> None:
        if self._greeted is None or self._greeted.done():
            raise BadFrame("unexpected", "a second Welcome")
        self.switch = welcome.switch
        self.present = dict(welcome.present)
        self._greeted.set_result(welcome)

    def _on_reject(self, reject: Reject) -> None:
        self._rejected = reject.code
        why = f"it rejects this node: {reject.code}: {reject.message}"
        if reject.code == STALE_INCARNATION and self._fabric.on_stale(reject.seen):
            self._rejected, why = "", f"{why}; trying again as a newer life"
        if self._stream is not None:
            self._stream.abort(why)

    def _on_presence(self, presence: Presence) -> None:
        if presence.up:
            self.present[presence.node] = presence.incarnation
            self._fabric.node_up(presence.node, presence.incarnation)
        elif self.present.get(presence.node) == presence.incarnation:
            del self.present[presence.node]
            self._fabric.node_down(presence.node, left=presence.left)

    def _on_unroutable(self, unroutable: Unroutable) -> None:
        if unroutable.reason == "absent" and self.present.pop(unroutable.node, None) is not None:
            self._fabric.node_down(unroutable.node, left=False)

    def _on_go_away(self, _: GoAway) -> None:
        self.leaving = True


class ConnectionAbortedByPeer(Exception):
    """The connection ended before the switch had taken this node."""


class TcpFabric:
    """See :class:`~edri_sim.links.fabric.Fabric`. ``needed`` says whether anything waits for a line."""

    def __init__(
        self, addresses: Sequence[Address], *, credentials: Credentials, stream: RandomStream, log: NodeLog,
        needed: Callable[[], bool], max_frame: int = MAX_FRAME,
    ) -> None:  # fmt: skip
        self.loop = asyncio.get_running_loop()
        self.credentials = credentials
        self.stream = stream
        self.log = log
        self.needed = needed
        self.max_frame = max_frame
        self.on_line: Callable[[SwitchLine, bool], None] = lambda _line, _up: None
        """Told of each line that comes up or goes down."""
        self.lines = [SwitchLine(self, address) for address in addresses]
        self._node = ""
        self._incarnation = 0
        self._endpoint: Endpoint | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def full(self) -> bool:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        return any(line.up and line.full for line in self.lines)

    @property
    def joined(self) -> bool:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        return all(line.tried for line in self.lines)

    async def start(self, node: str, incarnation: int, endpoint: Endpoint) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._node, self._incarnation, self._endpoint = node, incarnation, endpoint
        self._tasks = [self.loop.create_task(line.run(), name=f"line to {line.address}") for line in self.lines]

    def hello(self) -> Frame:
        """What this node says of itself."""
        return Hello(VERSION, VERSION, self._node, self._incarnation, self.credentials.token)

    def send(self, dst: str, frame: bytes) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`: over a line to a switch where the router is present."""
        best: SwitchLine | None = None
        for line in self.lines:
            if line.up and dst in line.present and (best is None or best.leaving):
                best = line
        if best is not None:
            best.send(frame)

    def broadcast(self, frame: bytes) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`: a router on two switches gets it twice."""
        for line in self.lines:
            if line.up:
                line.send(frame)

    def flush(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        for line in self.lines:
            line.flush()

    def leave(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self.broadcast(encode(Bye()))

    async def stop(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._endpoint = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # From the lines

    def on_frame(self, raw: RawFrame) -> None:
        """A frame for this router."""
        if self._endpoint is not None:
            self._endpoint.on_frame(raw)

    def drained(self) -> None:
        """A line takes frames again."""
        if self._endpoint is not None and not self.full:
            self._endpoint.on_room()

    def on_stale(self, seen: int) -> bool:
        """A switch knows a later life of this node; whether to try again."""
        chosen = self._endpoint.on_stale(seen) if self._endpoint is not None else 0
        self._incarnation = chosen or self._incarnation
        return chosen > 0

    def line_up(self, line: SwitchLine) -> None:
        """A switch has taken this node."""
        self.log.info("joined switch %s at %s", line.switch, line.address)
        self.on_line(line, True)
        for node, incarnation in line.present.items():
            self.node_up(node, incarnation)

    def line_down(self, line: SwitchLine) -> None:
        """A line is lost: nobody can be reached over it."""
        present, line.present = line.present, {}
        self.on_line(line, False)
        for node in present:
            self.node_down(node, left=False)

    def node_up(self, node: str, incarnation: int) -> None:
        """A router is present at a switch."""
        if self._endpoint is not None and node != self._node:
            self._endpoint.on_up(node, incarnation)

    def node_down(self, node: str, *, left: bool) -> None:
        """A router is not present at a switch any more; it may still be at another."""
        if self._endpoint is not None and not any(node in line.present for line in self.lines):
            self._endpoint.on_down(node, left)
