"""A machine of a run, a node or a switch, as a child process: how the run sees it."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edri_sim.errors import DeclarationError, EdriError
from edri_sim.events import event_type
from edri_sim.realtime import signals
from edri_sim.realtime.asking import Ask, Boot, FromMachine, Raised, Told
from edri_sim.realtime.machine_child import Role
from edri_sim.realtime.messages import MessageStream
from edri_sim.realtime.sending import dumps

_PACKAGE_HOME = str(Path(__file__).resolve().parents[2])

LAST_ROWS = 0.2
"""Seconds that a machine gets to write its last rows before it is killed without them: it may be busy, or paused."""

LAST_WORDS = 1.0
"""Seconds that the end of a killed machine's stream may take: what its node has forked may hold it open."""


def packed_role(role: Role) -> bytes:
    """What a child is told to be. Raises DeclarationError where that cannot be sent to a process."""
    try:
        return dumps((sys.path, dumps(role)))
    except Exception as error:
        raise DeclarationError(
            f"{role.name}: what it needs of the scenario cannot be sent to a process: {error}; expected what pickle"
            " takes, or run_real(..., in_process=True)"
        ) from error


class Machine:
    """One life of a machine. It ends when this process does, however that comes, a pause included.

    ``failed`` is told when it ends by itself. For a node it is a :class:`~edri_sim.driving.Place`.
    """

    def __init__(self, role: Role, failed: Callable[[EdriError], None]) -> None:
        self.role = role
        self._part = packed_role(role)
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._last = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._stream: MessageStream | None = None
        self._gone = asyncio.Event()
        self._ending = False
        self._paused = False
        self.died = False
        """Whether it was killed on purpose."""

    def __repr__(self) -> str:
        return f"<Machine {self.role.name}, {'running' if self.runs else 'ended'}>"

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and not self._gone.is_set()

    async def start(self) -> None:
        """Return once the node or switch runs. Raises what its start raises, and OSError for a process that cannot."""
        near, far = socket.socketpair()
        self._lifeline, theirs = socket.socketpair()
        with far, theirs:
            try:
                self._spawn(far.fileno(), theirs.fileno())
            except BaseException:
                near.close()
                self._lifeline.close()
                raise
        _, self._stream = await self._loop.create_unix_connection(
            lambda: MessageStream(FromMachine, self._received, self._lost), sock=near
        )
        future = self._expect()
        self._stream.send(Boot(self._part))
        await future

    def _spawn(self, *passed: int) -> None:
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([_PACKAGE_HOME, *([inherited] if inherited else [])])
        command = [sys.executable, "-m", "edri_sim.realtime.machine_child", *map(str, passed)]
        # A group of its own: Ctrl-C passes it by, and if we die while it is paused, the system wakes and ends it.
        self._process = subprocess.Popen(
            command, pass_fds=passed, stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
            process_group=0,
        )  # fmt: skip

    def _expect(self) -> asyncio.Future[Any]:
        self._last += 1
        future = self._asked[self._last] = self._loop.create_future()
        return future

    def ask(self, what: str, *arguments: Any) -> asyncio.Future[Any]:
        """Have it do something; what comes of that, or the exception that it raised. Raises EdriError if it is gone."""
        if not self.runs or self._stream is None:
            raise EdriError(f"{self.role.name} does not run")
        future = self._expect()
        self._stream.send(Ask(self._last, what, list(arguments)))
        return future

    def _received(self, message: Told | Raised) -> None:
        future = self._asked.pop(message.number)
        if future.done():
            return
        if isinstance(message, Told):
            future.set_result(message.value)
        else:
            error = pickle.loads(message.error)
            error.add_note(f"in the process of {self.role.name}")
            future.set_exception(error)

    def _lost(self) -> None:
        """The stream ended: the process is gone, or as good as gone."""
        words = signals.describe_exit(self._reap())
        self._gone.set()
        error = EdriError(f"{self.role.name}: its process {words}")
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # Nobody may be there to look at it.
        self._asked.clear()
        if not self._ending:
            self._failed(error)

    def _reap(self) -> int:
        """End the process if it is still there, and collect it. Returns its exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.kill()
        if self._lifeline is not None:
            self._lifeline.close()
        return process.wait()

    # Its end, and what else can befall it

    async def die(self) -> None:
        """End as by SIGKILL; its rows are kept."""
        self._ending = self.died = True
        if self.runs and not self._paused:
            self.ask("die")
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_ROWS):
                    await self._gone.wait()
        await self.end()

    async def end(self) -> None:
        """End it at once, whatever it does."""
        self._ending = True
        if self._process is None:
            return
        if not self._gone.is_set():
            self._process.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS if self._stream is not None else 0):
                    await self._gone.wait()
            if not self._gone.is_set():
                self._lost()
        if self._stream is not None:
            self._stream.close()

    async def finish(self, patience: float) -> None:
        """Stop it in good order, and kill it after ``patience`` seconds."""
        self._ending = True
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.ask("finish")
                await self._gone.wait()
        await self.end()

    async def pause(self) -> None:
        """Hold it where it is: SIGSTOP, once its rows are written."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_ROWS):
                await self.ask("flush")
        assert self._process is not None
        signals.pause(self._process.pid)
        self._paused = True

    def resume(self) -> None:
        """Let it go on after a pause; nothing is done to one that has died in it."""
        if self._paused and self.runs and self._process is not None:
            self._paused = False
            signals.resume(self._process.pid)

    # See Place; requests and notifications are published by the child itself

    async def takes(self, event: type[Any]) -> bool:
        """See :class:`~edri_sim.driving.Place`."""
        found: bool = await self.ask("takes", event_type(event).name)
        return found

    async def subscribed(self, event: type[Any], count: int = 1, *, timeout: float | None = None) -> None:
        """See :class:`~edri_sim.driving.Place`."""
        await self.ask("subscribed", event_type(event).name, count, timeout)

    async def settled(self) -> None:
        """See :class:`~edri_sim.driving.Place`."""
        await self.ask("settled")
