"""The line between a program and those that it started: ready goes up it, and its end ends them, whatever they do."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from edri_sim.errors import SettingsError

READY = b"ready\n"


class Lifeline:
    """The child's end: a connected socket, by its file descriptor.

    When the other end is closed, be it by SIGKILL, this process ends at once: nobody is left who could stop it.

    Raises:
        SettingsError: the descriptor is no socket.
    """

    def __init__(self, descriptor: int) -> None:
        try:
            self._socket = socket.socket(fileno=descriptor)
        except OSError as error:
            raise SettingsError(f"--lifeline {descriptor}: expected the descriptor of a socket") from error
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        try:
            self._socket.recv(1)
        finally:
            os._exit(1)

    def ready(self) -> None:
        """Say that this program does its work from now on."""
        self._socket.sendall(READY)


def run_child(
    arguments: Sequence[str], serve: Callable[[socket.socket], Coroutine[Any, Any, None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> NoReturn:  # fmt: skip
    """Run the program of a child process, and end the process with it.

    The ``arguments`` are two file descriptors that its parent has passed on: of the socket over which they talk, which
    ``serve`` gets, and of a socket or pipe whose end ends the child at once.
    """
    connection = socket.socket(fileno=int(arguments[0]))
    # The parent takes the end of the stream for the end of the process, and kills what is left of it: this keeps the
    # stream open until the process has ended, with all that it had to flush.
    os.dup(connection.fileno())
    threading.Thread(target=_end_with, args=(int(arguments[1]),), name="lifeline", daemon=True).start()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(serve(connection))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: threads that a worker left behind must not hold the process back.
    os._exit(0)


def _end_with(lifeline: int) -> None:
    with suppress(OSError):
        os.read(lifeline, 1)
    os._exit(1)
