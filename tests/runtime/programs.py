"""Running whole programs, as a user would, and looking at what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30.0
"""Seconds after which a program is taken to hang."""

PRELUDE = """
import asyncio, os, sys, time
from edri_sim import Manager, Node, Notification, Pool, Request, Worker, event, handles, serve, sleep
"""


@contextmanager
def program(source: str, folder: Path, *, name: str = "program.py") -> Iterator[subprocess.Popen[str]]:
    """A running Python program; killed at the end of the block if it has not ended."""
    script = folder / name
    script.write_text(PRELUDE + source)
    # Unbuffered output is written in two parts, a line and its end, which other processes could come between.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def run_program(source: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program that ends by itself."""
    with program(source, folder) as process:
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err


def line(process: subprocess.Popen[str]) -> str:
    """The next line that the program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def stop_program(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; exit code, stdout and stderr of what then ends."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.send_signal(number)
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    try:
        # Not communicate(): it would miss what readline() has read ahead.
        out, err = process.stdout.read(), process.stderr.read()
        return process.wait(), out, err
    finally:
        watchdog.cancel()
        watchdog.join()


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], object]) -> bool:
    """Whether the condition comes true within the limit."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
