"""Signals of the operating system: no other module of real time knows them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable


def on_terminate(stop: Callable[[], None]) -> Callable[[], None]:
    """Call ``stop`` on the running loop at SIGTERM; what is returned undoes this.

    Does nothing off the main thread, in a notebook, and where the program has a handler for SIGTERM of its own.
    """
    loop = asyncio.get_running_loop()
    if (
        threading.current_thread() is not threading.main_thread()
        or _in_notebook()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return lambda: None
    loop.add_signal_handler(signal.SIGTERM, stop)
    return lambda: _forget(loop)


def _in_notebook() -> bool:
    """Whether this program is a notebook's kernel; that ipykernel is imported says little, for tools import it too."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    loop.remove_signal_handler(signal.SIGTERM)


def on_ending(stop: Callable[[int], None]) -> Callable[[], None]:
    """Call ``stop`` on the running loop at Ctrl-C, at SIGTERM, and when the terminal is closed; on the main thread.

    It gets the exit code that shells give to what such a signal ends, 130 for Ctrl-C; what is returned undoes this. A
    signal that this program was started to ignore stays ignored.
    """
    loop = asyncio.get_running_loop()
    endings = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    for number in endings:
        loop.add_signal_handler(number, stop, 128 + number)

    def undo() -> None:
        for number in endings:
            loop.remove_signal_handler(number)

    return undo


def ignore_interrupt() -> None:
    """Let Ctrl-C pass this process by."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def kill(pid: int) -> None:
    """End a process at once: nothing of it runs any more. Raises ProcessLookupError if there is none."""
    os.kill(pid, signal.SIGKILL)


def pause(pid: int) -> None:
    """Hold a process where it is, until :func:`resume`. Raises ProcessLookupError if there is none."""
    os.kill(pid, signal.SIGSTOP)


def resume(pid: int) -> None:
    """Let a paused process go on. Raises ProcessLookupError if there is none."""
    os.kill(pid, signal.SIGCONT)


def describe_exit(code: int) -> str:
    """How a child ended, from its return code, such as "was killed by SIGKILL"."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
