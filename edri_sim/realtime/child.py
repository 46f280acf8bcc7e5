"""A child process that runs ``edri-sim`` with other arguments: its words, its readiness and its end."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, cast

from edri_sim.realtime.lifeline import READY
from edri_sim.realtime.signals import describe_exit

LAST_WORDS = 1.0
"""Seconds that what a dead child has written may take to arrive: its own children may hold the pipe open."""
LONGEST_LINE = 65_536
"""Bytes after which a line is broken, so that a child which writes no line ends fills no memory."""


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """What a child is called, and the arguments and environment variables that it gets besides our own."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class ChildOwner(Protocol):
    """Who started children. All calls come on its loop."""

    def said(self, child: Child, line: str) -> None:
        """The child has printed or logged a line."""

    def is_ready(self, child: Child) -> None:
        """The child does its work from now on."""

    def has_ended(self, child: Child) -> None:
        """The child's process is gone, and everything that it has printed has been said."""


class Child(asyncio.SubprocessProtocol):
    """One child. It gets no Ctrl-C of the terminal, and ends when this process does, however that comes."""

    def __init__(self, plan: ChildPlan, owner: ChildOwner) -> None:
        self.name = plan.name
        self.ready = False
        self.code: int | None = None
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        self._plan = plan
        self._owner = owner
        self._rest = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self._lifeline: asyncio.Transport | None = None
        self._silent = asyncio.get_running_loop().create_future()
        self._burial: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether it is started, and its end not known yet."""
        return self._transport is not None and self.code is None

    @property
    def end(self) -> str:
        """How it ended, such as "ended with exit code 2"."""
        assert self.code is not None
        return describe_exit(self.code)

    async def start(self) -> None:
        """Start the process; that it is ready is told later. Raises OSError."""
        near, far = socket.socketpair()
        try:
            with far:
                await self._spawn(far.fileno())
        except BaseException:
            near.close()
            raise
        self._lifeline, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: _Listener(self._heard), near
        )

    async def _spawn(self, lifeline: int) -> None:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: self, sys.executable, "-m", "edri_sim", *self._plan.arguments, "--lifeline", str(lifeline),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.STDOUT, pass_fds=(lifeline,),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self._plan.environment}, process_group=0,
        )  # fmt: skip

    def terminate(self) -> None:
        """Ask it to end."""
        if self._transport is not None and self.runs:
            with suppress(ProcessLookupError):  # It has ended, and is about to say so.
                self._transport.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._transport is not None and self.runs:
            with suppress(ProcessLookupError):
                self._transport.kill()

    def _heard(self, data: bytes) -> None:
        if data == READY:
            self.ready = True
            self._owner.is_ready(self)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - there is one pipe
        """Called by the loop."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._rest) > LONGEST_LINE:
            self._flush()

    def pipe_connection_lost(self, fd: int, error: Exception | None) -> None:  # noqa: ARG002 - as above
        """Called by the loop."""
        self._flush()
        if not self._silent.done():
            self._silent.set_result(None)

    def process_exited(self) -> None:
        """Called by the loop."""
        self._burial = asyncio.get_running_loop().create_task(self._bury(), name=f"the end of {self.name}")

    async def _bury(self) -> None:
        assert self._transport is not None
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._silent
        except TimeoutError:
            self._flush()
        self.code = self._transport.get_returncode()
        self._transport.close()
        if self._lifeline is not None:
            self._lifeline.close()
        self._owner.has_ended(self)

    def _flush(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._say(rest)

    def _say(self, line: bytes) -> None:
        self._owner.said(self, line.decode(errors="replace").rstrip("\r"))


class _Listener(asyncio.Protocol):
    """Hears what a child says on its lifeline."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._heard(data)
