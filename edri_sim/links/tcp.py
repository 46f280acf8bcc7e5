"""The fabric over TCP: lines to one switch or several, kept up whatever happens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from edri_sim import trace
from edri_sim.host import RandomStream
from edri_sim.links import guard
from edri_sim.links.address import Address
from edri_sim.links.choice import Choice
from edri_sim.links.fabric import Endpoint
from edri_sim.links.frames import MAX_FRAME, VERSION, Bye, Frame, Hello, RawFrame, Seek, Watch, encode
from edri_sim.links.line import SwitchLine
from edri_sim.logs import NodeLog
from edri_sim.routing.context import NodeContext
from edri_sim.settings import Settings

WATCHED_AT_ONCE = 1_000
"""Names in one Watch."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a node shows to a switch: a shared token, and certificates where the line is encrypted."""

    token: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those that settings name. Raises SettingsError for a file that will not do."""
        return cls(settings.token, guard.client_tls(settings))

    def __repr__(self) -> str:
        return f"Credentials(token={'set' if self.token else 'none'}, tls={'on' if self.tls else 'off'})"


def switch_lines(
    addresses: Sequence[str], credentials: Credentials | None = None, *, max_frame: int = MAX_FRAME
) -> Any:
    """What makes the fabric of a node that is joined to the switches at these addresses (``host:port``).

    Without ``credentials``, the node shows those of its settings.

    Raises:
        SettingsError: an address is malformed. What is made raises it for files of the settings that will not do, and
            for an address of another machine where there are no certificates and ``insecure`` is not set.
    """
    parsed = [Address.parse(address) for address in addresses]

    def make(node: NodeContext, needed: Callable[[], bool]) -> TcpFabric:
        log_ = node.log.of("connector")
        shown = credentials or Credentials.of(node.settings)
        for address in parsed:
            guard.check_line(
                address, node.host, f"node {node.name!r}: switch address",
                encrypted=shown.tls is not None, insecure=node.settings.insecure,
            )  # fmt: skip
        fabric = TcpFabric(
            parsed, credentials=shown, stream=node.host.random("reconnect"), log=log_, needed=needed,
            max_frame=max_frame,
        )  # fmt: skip
        trace_ = node.host.trace
        component = trace_.component(f"{node.name}/connector")
        fabric.on_line = lambda line, up: trace_.mark(trace.LINK_UP if up else trace.LINK_DOWN, component, line.switch)
        return fabric

    return make


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
        self._choice = Choice(self.lines, self.loop.time)
        self._node = ""
        self._sends: Sequence[str] = ()
        self._wants: Sequence[str] = ()
        self._oversized = 0
        self._incarnation = 0
        self._endpoint: Endpoint | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def full(self) -> bool:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        up = [line for line in self.lines if line.up]
        return bool(up) and all(line.full for line in up)

    @property
    def sought(self) -> bool:
        """See :class:`~edri_sim.links.fabric.Fabric`: without a line, once every one has failed to come up."""
        up = [line for line in self.lines if line.up]
        return all(line.sought >= len(self._sends) for line in up) if up else all(line.tried for line in self.lines)

    async def start(self, node: str, incarnation: int, endpoint: Endpoint) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._node, self._incarnation, self._endpoint = node, incarnation, endpoint
        self._tasks = [self.loop.create_task(line.run(), name=f"line to {line.address}") for line in self.lines]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def hello(self) -> Frame:
        """What this node says of itself."""
        return Hello(VERSION, VERSION, self._node, self._incarnation, self.credentials.token)

    def send(self, dst: str, frame: bytes) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`: over the best line to a switch where the router is present."""
        line = self._choice.best(dst)
        if line is not None:
            line.send(frame)

    def seek(self, sends: Sequence[str], wants: Sequence[str]) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        if (sends, wants) != (self._sends, self._wants):
            self._sends, self._wants = sends, wants
            self._to_all(encode(Seek(list(sends), list(wants))))

    def excuse(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        for line in self.lines:
            line.sought = len(self._sends)

    def _to_all(self, frame: bytes) -> None:
        for line in self.lines:
            if line.up:
                line.send(frame)

    def flush(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._choice.forget()
        for line in self.lines:
            line.flush()

    def leave(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._to_all(encode(Bye()))

    async def stop(self) -> None:
        """See :class:`~edri_sim.links.fabric.Fabric`."""
        self._endpoint = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*[line.leave() for line in self.lines])

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A line ends when it is cancelled: nobody awaits it before that, and nobody would hear of anything else."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("%s has failed, and is not tried again", task.get_name(), exc_info=error)

    # From the lines

    def barred(self, node: str, type_: str) -> None:
        """A switch does not let events of this type pass to a router."""
        if self._endpoint is not None:
            self._endpoint.on_barred(node, type_)

    def oversized(self, size: int) -> None:
        """A frame was dropped: it is larger than the switches take."""
        if not self._oversized:
            self.log.error("dropped a frame of %d bytes: %d may be (others are not logged)", size, self.max_frame)
        self._oversized += 1

    def on_frame(self, line: SwitchLine, raw: RawFrame) -> None:
        """A frame for this router. Raises BadFrame."""
        if len(self.lines) > 1:
            line.heard[raw.address().src] = self.loop.time()
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
        if self._endpoint is None:
            return
        known = list(self._endpoint.acquaintances())
        for start in range(0, len(known), WATCHED_AT_ONCE):
            line.send(encode(Watch(known[start : start + WATCHED_AT_ONCE])))
        line.send(encode(Seek(list(self._sends), list(self._wants))))
        line.flush()

    def on_sought(self) -> None:
        """A switch has introduced this router."""
        if self._endpoint is not None:
            self._endpoint.on_sought()

    def line_down(self, line: SwitchLine) -> None:
        """A line is lost: nobody can be reached over it."""
        present, line.present, line.heard = line.present, {}, {}
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
