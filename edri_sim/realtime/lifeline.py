"""The line between a program and those that it started: ready goes up it, and its end ends them, whatever they do."""

from __future__ import annotations

import os
import socket
import threading

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
