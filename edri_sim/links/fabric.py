"""What carries frames between routers: it may drop, duplicate, reorder and forget them; the flows make up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import RawFrame
from edri_sim.routing.context import NodeContext


class Endpoint(Protocol):
    """A router's connector, as the fabric sees it. All calls come on the router's loop."""

    def on_frame(self, raw: RawFrame) -> None:
        """A frame came for this router."""

    def on_up(self, node: str, incarnation: int) -> None:
        """A router can be reached, in this life."""

    def on_down(self, node: str, left: bool) -> None:
        """A router can't be reached any more; ``left``: it said goodbye, and is not expected back."""

    def on_room(self) -> None:
        """The fabric takes frames again, after ``full``."""

    def on_barred(self, node: str, type_: str) -> None:
        """The fabric does not let events of this type pass to a router: what was sent of it has not arrived."""

    def on_sought(self) -> None:
        """Those who want what this router sends are introduced: see :meth:`Fabric.seek`."""

    def acquaintances(self) -> Iterable[str]:
        """The routers that this one has to do with, and so has to hear of as they come and go."""

    def on_stale(self, seen: int) -> int:
        """The fabric has seen the life ``seen`` of this node; returns the incarnation to go on with, 0 to give up."""


class Fabric(Protocol):
    """The line of one router to all others."""

    @property
    def full(self) -> bool:
        """Whether frames had better wait: the line is slower than they come."""

    @property
    def sought(self) -> bool:
        """Whether all who can be reached and want what :meth:`seek` said last are introduced by now."""

    async def start(self, node: str, incarnation: int, endpoint: Endpoint) -> None:
        """Begin to carry frames; connecting goes on behind the scenes."""

    def send(self, dst: str, frame: bytes) -> None:
        """Carry a frame to one router, if that can be done."""

    def seek(self, sends: Sequence[str], wants: Sequence[str]) -> None:
        """Introduce this router to those who want what it sends or send what it wants: ``on_up`` tells of each.

        Both are in full, and a type that was sent once is always among them. Others may be introduced, too.
        """

    def excuse(self) -> None:
        """Wait no longer for what has not answered the last :meth:`seek`."""

    def flush(self) -> None:
        """Nothing more is sent for now: let it go."""

    def leave(self) -> None:
        """Say goodbye: this router is not expected back in this life."""

    async def stop(self) -> None:
        """Leave nothing behind."""


FabricOf = Callable[[NodeContext, Callable[[], bool]], Fabric]
"""Makes the fabric of a node; the second argument says whether anything waits for it."""


class Hub:
    """Joins routers of one process on one loop, and remembers nothing: for tests, and to look at flows alone."""

    def __init__(self) -> None:
        self.ports: dict[str, HubPort] = {}

    def port(self) -> HubPort:
        """A new fabric that is joined to all others of this hub."""
        return HubPort(self)


class HubPort:
    """One router's line to a hub; ``plugged`` is False while it is cut.

    ``passes(dst, frame)`` may be set to drop frames.
    """

    full = False
    sought = True

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reader = FrameReader()
        self._loop = asyncio.get_running_loop()
        self.passes: Callable[[str, bytes], bool] = lambda _dst, _frame: True
        self.plugged = True
        self.node = ""
        self.incarnation = 0
        self.endpoint: Endpoint | None = None

    async def start(self, node: str, incarnation: int, endpoint: Endpoint) -> None:
        """See :class:`Fabric`."""
        self.node, self.incarnation, self.endpoint = node, incarnation, endpoint
        self._hub.ports[node] = self
        self._appear()

    def _others(self) -> list[HubPort]:
        return [port for port in self._hub.ports.values() if port is not self and port.plugged]

    def _appear(self) -> None:
        for port in self._others():
            self._loop.call_soon(_tell_up, port, self)
            self._loop.call_soon(_tell_up, self, port)

    def plug(self) -> None:
        """Heal the line."""
        self.plugged = True
        self._appear()

    def unplug(self) -> None:
        """Cut the line: what is on its way is lost."""
        for port in self._others():
            _tell_down(port, self, left=False)
            _tell_down(self, port, left=False)
        self.plugged = False

    def send(self, dst: str, frame: bytes) -> None:
        """See :class:`Fabric`."""
        if self.plugged and self.passes(dst, frame):
            self._loop.call_soon(self._carry, dst, frame)

    def seek(self, sends: Sequence[str], wants: Sequence[str]) -> None:
        """See :class:`Fabric`: here, everybody is introduced to everybody."""

    def excuse(self) -> None:
        """See :class:`Fabric`."""

    def _carry(self, dst: str, frame: bytes) -> None:
        port = self._hub.ports.get(dst)
        if port is not None and port.plugged and self.plugged and port.endpoint is not None:
            for raw in port._reader.feed(frame):
                port.endpoint.on_frame(raw)

    def flush(self) -> None:
        """See :class:`Fabric`."""

    def leave(self) -> None:
        """See :class:`Fabric`."""
        for port in self._others():
            self._loop.call_soon(partial(_tell_down, port, self, left=True))  # After what was sent before it.

    async def stop(self) -> None:
        """See :class:`Fabric`."""
        if self._hub.ports.get(self.node) is self:
            del self._hub.ports[self.node]
        for port in self._others():
            self._loop.call_soon(partial(_tell_down, port, self, left=False))
        self.endpoint = None


def _tell_up(port: HubPort, other: HubPort) -> None:
    if port.endpoint is not None and other.endpoint is not None and port.plugged and other.plugged:
        port.endpoint.on_up(other.node, other.incarnation)


def _tell_down(port: HubPort, other: HubPort, *, left: bool) -> None:
    if port.endpoint is not None:
        port.endpoint.on_down(other.node, left)
