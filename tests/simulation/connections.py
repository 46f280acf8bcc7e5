"""What the tests of the network share: servers, a protocol that takes notes, and two of them joined."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop

LATENCY = 0.01
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def forget(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Keep the connection open, and never read from it."""
    await asyncio.get_running_loop().create_future()
    writer.close()


def serve(
    kernel: Kernel, loop: SimulationLoop, handler: Serve = echo, port: int = 25, **options: Any
) -> asyncio.Server:
    async def start() -> asyncio.Server:
        return await asyncio.start_server(handler, port=port, **options)

    return kernel.run(start(), loop)


class Recorder(asyncio.Protocol):
    """Notes what its transport tells it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.log: list[tuple[float, object]] = []
        self.transport: Any = None

    def note(self, what: object) -> None:
        self.log.append((round(self.kernel.now, 9), what))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.note(data)

    def eof_received(self) -> bool:
        self.note("eof")
        return True

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note(type(exc).__name__ if exc else "lost")


class Pair:
    """Two protocols joined by a connection from web to mail."""

    def __init__(self, kernel: Kernel, web: SimulationLoop, mail: SimulationLoop) -> None:
        self.kernel = kernel
        self.client, self.server = Recorder(kernel), Recorder(kernel)

        async def listen() -> asyncio.Server:
            return await mail.create_server(lambda: self.server, port=25)

        async def connect() -> None:
            await web.create_connection(lambda: self.client, "mail", 25)

        self.listening = kernel.run(listen(), mail)
        kernel.run(connect(), web)
        kernel.run()
        self.begin = kernel.now
        self.client.log.clear()
        self.server.log.clear()

    def at(self, delay: float, call: Callable[..., object], *args: object) -> None:
        self.kernel.call_at(self.begin + delay, call, *args)

    def ran(self, of: Recorder) -> list[tuple[float, object]]:
        self.kernel.run()
        return [(round(when - self.begin, 9), what) for when, what in of.log]
