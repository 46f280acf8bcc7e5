"""The bare limit of a tunnel: an asyncio stream of pieces with their lengths, whose reader does nothing with them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from struct import Struct
from typing import Any

from benchmarks.sides import measure, pouring

LENGTH = Struct(">I")


async def read(reader: asyncio.StreamReader, _: object = None) -> None:
    """Read pieces until the end."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            await reader.readexactly(length)


def sender(writer: asyncio.StreamWriter) -> Callable[[bytes], Coroutine[Any, Any, None]]:
    """What sends one piece, and waits while too much is under way."""

    async def send(piece: bytes) -> None:
        writer.write(LENGTH.pack(len(piece)) + piece)
        await writer.drain()

    return send


async def here(kind: str) -> float:
    """Writer and reader on one loop."""
    near, far = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=near)
    reader, back = await asyncio.open_unix_connection(sock=far)
    reading = asyncio.create_task(read(reader))
    rate = await pouring.KINDS[kind](sender(writer))
    writer.close()
    await reading
    back.close()
    return rate


def serve(port: int) -> None:
    """The reader, in a process of its own."""

    async def main() -> float:
        server = await asyncio.start_server(read, pouring.HOST, port)
        await server.serve_forever()
        return 0.0

    measure.run_async(main)()


async def there(kind: str) -> float:
    """The reader in another process."""
    with pouring.children(serve) as port:
        while True:
            try:
                _, writer = await asyncio.open_connection(pouring.HOST, port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        rate = await pouring.KINDS[kind](sender(writer))
        writer.close()
        return rate


CASES: dict[str, measure.Measurement] = {
    "tunnel-items": measure.run_async(lambda: here("items")),
    "tunnel-bytes": measure.run_async(lambda: here("bytes")),
    "tunnel-process-items": measure.run_async(lambda: there("items")),
    "tunnel-process-bytes": measure.run_async(lambda: there("bytes")),
    "tunnel-link-items": measure.run_async(lambda: there("items")),
    "tunnel-link-bytes": measure.run_async(lambda: there("bytes")),
}

if __name__ == "__main__":
    measure.main(CASES)
