"""Faults of links between real programs: a proxy on this machine that can be cut, slowed down and broken."""

from __future__ import annotations

import asyncio
import random

from edri_sim.errors import DeclarationError
from edri_sim.realtime.line import Line
from edri_sim.realtime.relay import End, Relay

OUT, BACK = "out", "back"
"""The directions: from those who connect to the target, and from the target to them."""

LOOPBACK = "127.0.0.1"


class Proxy:
    """A link to ``target`` (host and port): who connects to the proxy's port is connected to it.

    Faults are of the whole link: all connections share its bandwidth, and are cut together. ``seed`` fixes the jitter.
    Use it inside a running loop, and close it.
    """

    def __init__(self, target: tuple[str, int], *, seed: object = None) -> None:
        self.target = target
        self._lines = {name: Line(random.Random(None if seed is None else f"{seed}/{name}")) for name in (OUT, BACK)}
        self._relays: dict[Relay, asyncio.Task[None]] = {}
        self._none_left = asyncio.Event()
        self._whole = asyncio.Event()
        self._whole.set()
        self._server: asyncio.Server | None = None
        self.port = 0
        """Where it listens, once it was started."""

    def __repr__(self) -> str:
        state = {name: "open" if line.open else "cut" for name, line in self._lines.items()}
        return f"<Proxy to {self.target[0]}:{self.target[1]}, {OUT} {state[OUT]}, {BACK} {state[BACK]}>"

    @property
    def passed(self) -> dict[str, int]:
        """The bytes that have passed so far, by direction."""
        return {name: line.passed for name, line in self._lines.items()}

    @property
    def held(self) -> dict[str, int]:
        """The bytes that are under way now, by direction: delayed, cut off, or more than their reader takes."""
        return {name: line.held for name, line in self._lines.items()}

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return len(self._relays)

    # Life

    async def start(self, port: int = 0) -> int:
        """Listen on ``port`` of the loopback interface, by default one that is free. Returns it."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, LOOPBACK, port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def close(self) -> None:
        """Take no more connections, and break those that there are."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()
        for line in self._lines.values():
            line.close()
        while self._relays:
            self._none_left.clear()
            await self._none_left.wait()
        if server is not None:
            await server.wait_closed()

    def _accept(self) -> End:
        relay = Relay(self._lines[OUT], self._lines[BACK], self._forget)
        self._relays[relay] = asyncio.get_running_loop().create_task(self._connect(relay))
        return relay.client

    async def _connect(self, relay: Relay) -> None:
        """Connect the target, once the link is whole: a connection needs both directions."""
        await self._whole.wait()
        relay.connecting = False
        try:
            await asyncio.get_running_loop().create_connection(lambda: relay.target, *self.target)
        except OSError:
            relay.reset()

    def _forget(self, relay: Relay) -> None:
        task = self._relays.pop(relay, None)
        if task is not None:
            task.cancel()
        if not self._relays:
            self._none_left.set()

    # Faults

    def cut(self) -> None:
        """Pull the cable: nothing passes, and nobody is told.

        Connections stay, and what was sent waits, as it would be sent again after the cut; then it passes in its order.
        New connections are taken, and are connected to the target after the cut, but for those that gave up before.
        """
        self.only()

    def one_way(self, direction: str) -> None:
        """Let bytes pass in ``direction`` (``out`` or ``back``) alone; new connections wait as in a cut."""
        self._check(direction)
        self.only(direction)

    def heal(self) -> None:
        """End a cut of either kind; latency and bandwidth stay as they are."""
        self.only(OUT, BACK)

    def only(self, *directions: str) -> None:
        """Let bytes pass in these directions, and in no other."""
        for name, line in self._lines.items():
            line.open = name in directions
        if len(directions) == len(self._lines):
            self._whole.set()
        else:
            self._whole.clear()
        for relay in list(self._relays):
            relay.deliver()

    def latency(self, seconds: float, jitter: float = 0.0) -> None:
        """Delay each direction by ``seconds``, and by up to ``jitter`` seconds more; 0 for as fast as it goes.

        Order is kept. What is under way keeps its delay.
        """
        if not (0 <= seconds < float("inf") and 0 <= jitter < float("inf")):
            raise DeclarationError(f"latency({seconds!r}, {jitter!r}): expected seconds, 0 or more")
        for line in self._lines.values():
            line.latency, line.jitter = seconds, jitter

    def bandwidth(self, bytes_per_second: float | None) -> None:
        """Limit each direction, for what waits already too; None for no limit."""
        if bytes_per_second is not None and not 0 < bytes_per_second < float("inf"):
            raise DeclarationError(f"bandwidth({bytes_per_second!r}): expected bytes per second above 0, or None")
        for line in self._lines.values():
            line.limit(bytes_per_second)

    def reset(self) -> None:
        """Break all connections: both ends get a reset (RST), and what was under way is lost."""
        for relay in list(self._relays):
            relay.reset()

    def _check(self, direction: str) -> None:
        if direction not in self._lines:
            raise DeclarationError(f"one_way({direction!r}): expected one of {', '.join(self._lines)}")
