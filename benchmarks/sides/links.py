"""The link cases: three processes on loopback. A drives and measures, the switch forwards, B answers.

`python -m benchmarks.sides.relay_links CASE` starts the three and ends them when A is done; each runs the same module
again, as `... CASE ROLE PORT STARTED`. All share a process group, so that the harness ends whatever is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Protocol

from benchmarks.sides import measure
from benchmarks.sides.payload import OUTSTANDING

HOST = "127.0.0.1"
A, SWITCH, B = "a", "switch", "b"
GRACE = 20.0
"""Seconds that the processes have to end once they are told to: edri gives its own 15. The harness waits for none."""


RETRY = 0.005
"""Seconds between two attempts to reach who is not there yet."""


@dataclass(frozen=True)
class Place:
    """What one of the three processes is told: the case, the port of the switch, and when the three were started."""

    case: str
    port: int
    started: float

    def age(self) -> float:
        """Seconds since the first of the three processes was started; on Linux all of them read one clock."""
        return monotonic() - self.started


@dataclass(frozen=True)
class Side:
    """What the three processes of a side run.

    `a` returns its figure, or None where it reported that itself; the others serve until they are ended. A switch that
    is no Python is a `program` instead: its command line, made of its port and a folder that is removed afterwards.
    `environment` makes of the port what all three find in their environment.
    """

    a: Callable[[Place], float | None]
    b: Callable[[Place], None]
    switch: Callable[[Place], None] | None = None
    program: Callable[[int, Path], list[str]] | None = None
    environment: Callable[[int], Mapping[str, str]] = field(default=lambda _: {})


def main(side: Side) -> None:
    """Run the case named by the first argument, or one of its three processes where the others are given too."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in CASES:
        raise SystemExit(f"unknown case {name!r}; this side has: {', '.join(CASES)}")
    if len(sys.argv) == 2:
        raise SystemExit(_start(side, name))
    role, port, started = sys.argv[2:]
    run = {A: side.a, SWITCH: side.switch, B: side.b}[role]
    assert run is not None, "a program was started instead"
    value = run(Place(name, int(port), float(started)))
    if value is not None:
        measure.report(value)


def _start(side: Side, case: str) -> int:
    """Start the three, wait for A and end the others; returns A's exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place = Place(case, _free_port(), monotonic())
        processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for role in (SWITCH, B, A):
                processes[role] = subprocess.Popen(
                    _command(side, role, place, Path(folder)),
                    env={**os.environ, **side.environment(place.port)},
                    stdout=None if role == A else subprocess.DEVNULL,
                )
            return _first_to_end(processes)
        finally:
            _end(processes)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _command(side: Side, role: str, place: Place, folder: Path) -> list[str]:
    if role == SWITCH and side.program:
        return side.program(place.port, folder)
    module = sys.modules["__main__"].__spec__
    assert module is not None
    return [sys.executable, "-m", module.name, place.case, role, str(place.port), repr(place.started)]


def _first_to_end(processes: dict[str, subprocess.Popen[bytes]]) -> int:
    """Wait for A; raises SystemExit where one that A needs has ended before."""
    pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    role = next(role for role, process in processes.items() if process.pid == pid)
    processes.pop(role).returncode = code
    if role == A:
        return code
    raise SystemExit(f"{role} ended with exit code {code} before a was done")


def _end(processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in processes.values():
        process.terminate()
    deadline = monotonic() + GRACE
    for process in processes.values():
        try:
            process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def listening(place: Place) -> None:
    """Wait until the switch accepts connections."""
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, place.port)
        except ConnectionRefusedError:
            await asyncio.sleep(RETRY)
        else:
            writer.close()
            return


class Link(Protocol):
    """A's end of a link, as the asyncio sides offer it to the cases."""

    async def request(self) -> object:
        """Send a new payload to B and return B's reply; waits until B can be reached."""

    async def publish(self) -> object:
        """Send a new payload as a notification; waits while too many are under way."""

    async def settled(self) -> object:
        """Wait until this sender knows that B has received all that was published."""


class UnderWay:
    """How many notifications A has sent, and of how many it knows that B has received them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sent = 0
        self.received = 0
        self._progress = asyncio.Event()

    def acknowledge(self, received: int) -> None:
        """B has received so many in all."""
        self.received = received
        self._progress.set()

    async def room(self) -> None:
        """Wait while as many as the limit are under way."""
        await self._at_most(self.limit - 1)

    async def settled(self) -> None:
        """Wait until none is under way."""
        await self._at_most(0)

    async def _at_most(self, count: int) -> None:
        while self.sent - self.received > count:
            self._progress.clear()
            await self._progress.wait()


def driver(connect: Callable[[Place], AbstractAsyncContextManager[Link]]) -> Callable[[Place], float | None]:
    """A of an asyncio side: connects, gets a first reply from B, then measures."""

    async def drive(place: Place) -> float:
        async with connect(place) as link:
            await link.request()
            return await CASES[place.case](link, place)

    return lambda place: measure.run_async(lambda: drive(place))()


def forever(run: Callable[[Place], Awaitable[None]]) -> Callable[[Place], None]:
    """B or the switch of an asyncio side: `run` sets it up, and it serves until it is ended."""

    async def serve(place: Place) -> float:
        await run(place)
        return await asyncio.get_running_loop().create_future()

    def start(place: Place) -> None:
        measure.run_async(lambda: serve(place))()

    return start


async def _sequence(link: Link, _: Place) -> float:
    return await measure.sequence_async(link.request)


async def _outstanding(link: Link, _: Place) -> float:
    return await measure.outstanding_async(link.request, OUTSTANDING)


async def _notify(link: Link, _: Place) -> float:
    await measure.publish_for(link.publish, measure.WARM_UP)
    await link.settled()
    start = perf_counter()
    published = await measure.publish_for(link.publish, measure.WINDOW)
    await link.settled()
    return published / (perf_counter() - start)


async def _ready(_: Link, place: Place) -> float:
    return place.age()


CASES: dict[str, Callable[[Link, Place], Awaitable[float]]] = {
    "link-request-sequence": _sequence,
    "link-request-outstanding": _outstanding,
    "link-notify": _notify,
    "link-ready": _ready,
}
