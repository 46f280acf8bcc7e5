"""An upload in pieces: a tunnel carries them to an archive on another node, and what it says of each back.

python examples/upload/simulate.py    # over a slow line that is cut for two seconds, in simulated time
python examples/upload/run.py         # the same archive in a process of its own, in real time
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from edri_sim import Manager, Pool, Topology, Tunnel, TunnelEnd, Worker, event, handles

PIECE = 16_384
"""Bytes."""


@dataclass(frozen=True)
class Progress:
    """How much has come, and once all has, its digest."""

    size: int
    digest: str = ""


@event
class Upload(Tunnel[bytes, Progress]):
    """The pieces of a file go up; how far it is comes down."""

    name: str


class Archive(Worker):
    """Keeps files; this one only digests them."""

    @handles
    async def upload(self, event: Upload, tunnel: TunnelEnd[Progress, bytes]) -> None:
        digest, size = sha256(), 0
        async for piece in tunnel:
            digest.update(piece)
            size += len(piece)
            if size % (16 * PIECE) == 0:
                await tunnel.send(Progress(size))
        await tunnel.send(Progress(size, digest.hexdigest()))


class Archives(Manager):
    """Each takes two files at a time, in a process of its own."""

    pool = Pool(Archive, mode="process", concurrency=2)


class Door(Protocol):
    """What one needs of a node."""

    def open(self, event: Tunnel[Any, Any], *, timeout: float | None = None) -> AbstractAsyncContextManager[Any]: ...


async def upload(door: Door, name: str, content: bytes, tell: Callable[[Progress], None]) -> str:
    """Send a file, tell how far it is, and return the digest that the archive has worked out."""
    progress = Progress(0)
    async with door.open(Upload(name)) as tunnel, asyncio.TaskGroup() as group:
        # Sending waits while the archive is behind: it has a task of its own, and what comes down is read meanwhile.
        group.create_task(send(tunnel, content))
        async for progress in tunnel:
            tell(progress)
    return progress.digest


async def send(tunnel: TunnelEnd[bytes, Progress], content: bytes) -> None:
    """All pieces, in order, and then the end."""
    for start in range(0, len(content), PIECE):
        await tunnel.send(content[start : start + PIECE])
    tunnel.end()


def office() -> Topology:
    """A camera and an archive, 20 ms apart, over a line of 2 MB a second."""
    topology = Topology("upload")
    topology.switch("hub")
    topology.node("camera", switch="hub")
    topology.node("archive", Archives, switch="hub")
    topology.link("camera", "hub", latency=0.01, bandwidth=2_000_000)
    topology.link("archive", "hub", latency=0.01, bandwidth=2_000_000)
    return topology
