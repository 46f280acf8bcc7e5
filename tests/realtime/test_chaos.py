"""The loopback proxy: what passes, what waits, and what breaks, over real connections."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edri_sim.errors import DeclarationError
from edri_sim.realtime.chaos import BACK, LOOPBACK, OUT, Proxy
from edri_sim.realtime.line import HELD
from tests.worlds import until

CHUNK = 1 << 18
"""Bytes that asyncio reads at once, at most: what may come on top of what is held when reading stops."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """A proxy, the server behind it, and the two ends of each connection that came through."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.port = port
        self.arrived: list[Streams] = []
        self.opened: list[asyncio.StreamWriter] = []

    async def connect(self) -> Streams:
        """A connection to the proxy."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        self.opened.append(writer)
        return reader, writer

    async def pair(self) -> tuple[Streams, Streams]:
        """Both ends of a new connection: the client's, then the server's."""
        before = len(self.arrived)
        client = await self.connect()
        await until(lambda: len(self.arrived) > before, "the connection to the target")
        return client, self.arrived[before]

    async def send_into(self, writer: asyncio.StreamWriter, data: bytes, direction: str) -> None:
        """Send bytes that cannot pass, and wait until the proxy has them."""
        before = self.proxy.held[direction]
        writer.write(data)
        await until(lambda: self.proxy.held[direction] == before + len(data), "the proxy to hold what was sent")


@asynccontextmanager
async def link(**options: Any) -> AsyncIterator[Link]:
    server = await asyncio.start_server(lambda *streams: made.arrived.append(streams), LOOPBACK, 0)
    proxy = Proxy(server.sockets[0].getsockname()[:2], **options)
    made = Link(proxy, await proxy.start())
    try:
        async with asyncio.timeout(20):
            yield made
    finally:
        await proxy.close()
        server.close()
        for writer in [*made.opened, *(writer for _, writer in made.arrived)]:
            writer.transport.abort()
        await server.wait_closed()


async def silence(reader: asyncio.StreamReader) -> None:
    """Give what must not come a moment to come."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await reader.read(1)


def break_off(writer: asyncio.StreamWriter) -> None:
    """Close with a reset (RST) in place of the end of the stream."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_bytes_and_the_end_of_a_stream_pass_and_are_counted() -> None:
    async with link() as made:
        (reader, writer), (far_reader, far_writer) = await made.pair()
        writer.write(b"question")
        writer.write_eof()
        assert await far_reader.read() == b"question"
        far_writer.write(b"the answer")
        far_writer.close()
        assert await reader.read() == b"the answer"
        assert made.proxy.passed == {OUT: 8, BACK: 10}
        await until(lambda: made.proxy.connections == 0, "the connection to be let go of")


async def test_what_is_sent_in_a_cut_passes_after_it_in_order() -> None:
    async with link() as made:
        (reader, writer), (far_reader, far_writer) = await made.pair()
        made.proxy.cut()
        assert repr(made.proxy).endswith("out cut, back cut>")
        for number in range(5):
            await made.send_into(writer, b"%d" % number, OUT)
        await made.send_into(far_writer, b"back", BACK)
        writer.write_eof()
        assert made.proxy.passed == {OUT: 0, BACK: 0}
        await silence(far_reader)
        await silence(reader)
        made.proxy.heal()
        assert await far_reader.read() == b"01234"
        assert await reader.readexactly(4) == b"back"
        assert made.proxy.held == {OUT: 0, BACK: 0}
        assert made.proxy.passed == {OUT: 5, BACK: 4}


async def test_an_idle_connection_outlives_a_cut() -> None:
    async with link() as made:
        (reader, writer), (far_reader, far_writer) = await made.pair()
        made.proxy.cut()
        made.proxy.heal()
        writer.write(b"on")
        assert await far_reader.readexactly(2) == b"on"
        far_writer.write(b"we go")
        assert await reader.readexactly(5) == b"we go"


async def test_a_connection_that_comes_in_a_cut_reaches_the_target_after_it() -> None:
    async with link() as made:
        made.proxy.cut()
        _, writer = await made.connect()
        await made.send_into(writer, b"hello", OUT)
        assert made.arrived == []
        made.proxy.heal()
        await until(lambda: made.arrived, "the connection to the target")
        assert await made.arrived[0][0].readexactly(5) == b"hello"


@pytest.mark.parametrize("leave", [asyncio.StreamWriter.close, break_off])
async def test_who_gives_up_in_a_cut_never_reaches_the_target(leave: Callable[[asyncio.StreamWriter], None]) -> None:
    async with link() as made:
        made.proxy.cut()
        for _ in range(3):
            _, writer = await made.connect()
            await made.send_into(writer, b"hello", OUT)
            leave(writer)
            await until(lambda: made.proxy.connections == 0, "the proxy to see it")
        made.proxy.heal()
        await made.pair()
        assert len(made.arrived) == 1
        assert made.proxy.held == {OUT: 0, BACK: 0}


@pytest.mark.parametrize("passing", [OUT, BACK])
async def test_one_way_only_one_direction_passes(passing: str) -> None:
    async with link() as made:
        client, server = await made.pair()
        (_, sender), (receiver, _) = (client, server) if passing == OUT else (server, client)
        (_, silenced), (deaf, _) = (server, client) if passing == OUT else (client, server)
        made.proxy.one_way(passing)
        await made.send_into(silenced, b"lost?", BACK if passing == OUT else OUT)
        sender.write(b"through")
        assert await receiver.readexactly(7) == b"through"
        await silence(deaf)
        await made.connect()
        made.proxy.heal()
        assert await deaf.readexactly(5) == b"lost?"
        await until(lambda: len(made.arrived) == 2, "the connection that came meanwhile")


async def test_latency_delays_each_direction_and_keeps_the_order() -> None:
    async with link(seed=1) as made:
        (reader, writer), (far_reader, far_writer) = await made.pair()
        loop = asyncio.get_running_loop()
        made.proxy.latency(0.05, jitter=0.05)
        start = loop.time()
        for number in range(20):
            writer.write(b"%02d" % number)
            await until(
                lambda sent=2 * (number + 1): made.proxy.held[OUT] + made.proxy.passed[OUT] == sent, "the proxy"
            )
        assert await far_reader.readexactly(40) == b"".join(b"%02d" % number for number in range(20))
        assert loop.time() - start >= 0.05
        made.proxy.latency(0.05)
        start = loop.time()
        far_writer.write(b"x")
        await reader.readexactly(1)
        assert 0.05 <= loop.time() - start < 1
        made.proxy.latency(0)
        start = loop.time()
        far_writer.write(b"x")
        await reader.readexactly(1)
        assert loop.time() - start < 0.05


async def test_all_connections_share_the_bandwidth() -> None:
    async with link() as made:
        pairs = [await made.pair() for _ in range(2)]
        made.proxy.bandwidth(1_000_000)
        start = asyncio.get_running_loop().time()
        for (_, writer), _ in pairs:
            writer.write(b"x" * 100_000)
        await asyncio.gather(*[reader.readexactly(100_000) for _, (reader, _) in pairs])
        assert 0.19 < asyncio.get_running_loop().time() - start < 1


async def test_more_bandwidth_helps_what_waits_already() -> None:
    async with link() as made:
        (_, writer), (far_reader, _) = await made.pair()
        made.proxy.bandwidth(1_000)
        writer.write(b"y" * 100_000)
        assert await far_reader.readexactly(1) == b"y"
        made.proxy.bandwidth(None)
        assert await far_reader.readexactly(99_999) == b"y" * 99_999


@pytest.mark.parametrize("state", ["whole", "cut"])
async def test_a_reset_breaks_both_ends(state: str) -> None:
    async with link() as made:
        (reader, _), (far_reader, _) = await made.pair()
        if state == "cut":
            made.proxy.cut()
        made.proxy.reset()
        for end in (reader, far_reader):
            with pytest.raises(ConnectionResetError):
                await end.read()
        await until(lambda: made.proxy.connections == 0, "the connection to be gone")
        made.proxy.heal()
        (_, writer), (far_reader, _) = await made.pair()
        writer.write(b"again")
        assert await far_reader.readexactly(5) == b"again"


async def test_a_reset_of_one_end_comes_to_the_other_after_the_cut() -> None:
    async with link() as made:
        (reader, writer), (_, far_writer) = await made.pair()
        made.proxy.cut()
        await made.send_into(writer, b"last words", OUT)
        break_off(far_writer)
        await silence(reader)
        made.proxy.heal()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert made.proxy.passed == {OUT: 0, BACK: 0}


async def test_a_target_that_refuses_is_a_reset() -> None:
    async with link() as made:
        spare = await asyncio.start_server(lambda *_: None, LOOPBACK, 0)
        made.proxy.target = spare.sockets[0].getsockname()[:2]
        spare.close()
        await spare.wait_closed()
        reader, _ = await made.connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_a_long_cut_holds_back_the_sender_and_loses_nothing() -> None:
    size = 16 * HELD
    data = bytes(range(256)) * (size // 256)
    most = 0

    def full() -> bool:
        nonlocal most
        most = max(most, made.proxy.held[OUT])
        return most > HELD

    async with link() as made:
        (_, writer), (far_reader, _) = await made.pair()
        made.proxy.cut()
        writer.write(data)
        drained = asyncio.ensure_future(writer.drain())
        await until(full, "the proxy to be full")
        made.proxy.one_way(BACK)  # Another look at what is held, which must not start the reading again.
        await silence(far_reader)
        assert not drained.done()
        assert full()
        made.proxy.heal()
        received = hashlib.sha256()
        for _ in range(size // CHUNK):
            received.update(await far_reader.readexactly(CHUNK))
            full()
        await drained
        assert received.digest() == hashlib.sha256(data).digest()
        assert most <= HELD + CHUNK


async def test_a_reader_that_does_not_read_holds_back_the_sender() -> None:
    async with link() as made:
        (_, writer), _ = await made.pair()
        made.arrived[0][1].transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"x" * 32 * HELD)
        await until(lambda: made.proxy.held[OUT] > HELD, "the proxy to be full")
        assert made.proxy.held[OUT] <= HELD + CHUNK


async def test_closing_breaks_what_is_open_and_takes_no_more() -> None:
    async with link() as made:
        (reader, _), (far_reader, _) = await made.pair()
        made.proxy.cut()
        waiting, _ = await made.connect()
        await until(lambda: made.proxy.connections == 2, "the second connection")
        await made.proxy.close()
        for end in (reader, far_reader, waiting):
            with pytest.raises(ConnectionResetError):
                await end.read()
        assert made.proxy.connections == 0
        with pytest.raises(ConnectionRefusedError):
            await made.connect()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda proxy: proxy.one_way("up"), r"one_way\('up'\): expected one of out, back"),
        (lambda proxy: proxy.latency(-1), r"latency\(-1, 0.0\): expected seconds, 0 or more"),
        (lambda proxy: proxy.latency(0, float("nan")), r"latency\(0, nan\): expected seconds, 0 or more"),
        (lambda proxy: proxy.bandwidth(0), r"bandwidth\(0\): expected bytes per second above 0, or None"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused(fault: Callable[[Proxy], None], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        fault(Proxy((LOOPBACK, 1)))
