"""Byte streams between simulated hosts, with asyncio's streams and protocols as they are."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from edri_sim.errors import SimulationQuiet
from edri_sim.host import BACKGROUND
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.network import FIRST_FREE_PORT, WINDOW, Network
from tests.simulation.connections import LATENCY, Pair, serve

# Streams --------------------------------------------------------------------------------------------------------------


def test_streams_between_two_hosts_work_unmodified(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    serve(kernel, mail)

    async def main() -> list[tuple[float, bytes]]:
        reader, writer = await asyncio.open_connection("mail", 25)
        seen = [(round(kernel.now, 9), b"connected")]
        for word in (b"one", b"two"):
            writer.write(word)
            seen.append((await reader.readexactly(3), round(kernel.now, 9))[::-1])
        writer.write_eof()
        seen.append((await reader.read(), round(kernel.now, 9))[::-1])
        writer.close()
        await writer.wait_closed()
        return seen

    assert kernel.run(main(), loop) == [(0.02, b"connected"), (0.04, b"one"), (0.06, b"two"), (0.08, b"")]


def test_both_ends_know_their_addresses(kernel: Kernel, loop: SimulationLoop, pair: Pair) -> None:
    client, server = pair.client.transport, pair.server.transport
    assert client.get_extra_info("sockname") == ("web", FIRST_FREE_PORT) == server.get_extra_info("peername")
    assert client.get_extra_info("peername") == ("mail", 25) == server.get_extra_info("sockname")
    stand_in = client.get_extra_info("socket")
    assert (stand_in.family, stand_in.type) == (socket.AF_INET, socket.SOCK_STREAM)
    assert (stand_in.getsockname(), stand_in.getpeername()) == (("web", FIRST_FREE_PORT), ("mail", 25))
    stand_in.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert (stand_in.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), stand_in.fileno()) == (0, -1)
    assert repr(client) == f"<SimulatedTransport web:{FIRST_FREE_PORT} to mail:25>"


def test_a_host_reaches_itself_without_latency(kernel: Kernel, loop: SimulationLoop, network: Network) -> None:
    serve(kernel, loop, host="127.0.0.1")

    async def main() -> list[bytes]:
        answers = []
        for name in ("localhost", "127.0.0.1", "web"):
            reader, writer = await asyncio.open_connection(name, 25)
            writer.write(b"hello")
            answers.append(await reader.readexactly(5))
            writer.close()
        return answers

    assert kernel.run(main(), loop) == [b"hello"] * 3
    assert kernel.now == 0


def test_a_server_on_the_loopback_is_not_seen_from_outside(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    serve(kernel, mail, host="127.0.0.1")
    with pytest.raises(ConnectionRefusedError):
        kernel.run(asyncio.open_connection("mail", 25), loop)


def test_names_resolve(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    async def main() -> tuple[Any, Any]:
        return await loop.getaddrinfo("mail", "25"), await loop.getnameinfo(("mail", 25))

    found, named = kernel.run(main(), loop)
    assert found == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("mail", 25))]
    assert named == ("mail", "25")


@pytest.mark.parametrize(
    ("host", "port", "message"), [("nobody", 25, "'nobody'; there are: web, mail"), ("mail", "smtp", "'smtp'")]
)
def test_unknown_names_and_ports_are_told(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop, host: str, port: Any, message: str
) -> None:
    with pytest.raises(socket.gaierror, match=message):
        kernel.run(asyncio.open_connection(host, port), loop)


def test_nobody_listens_nobody_answers(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    with pytest.raises(ConnectionRefusedError, match=r"Connect call failed \('mail', 26\)"):
        kernel.run(asyncio.open_connection("mail", 26), loop)
    assert round(kernel.now, 9) == 2 * LATENCY


def test_connecting_needs_a_place_and_no_ssl(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    with pytest.raises(ValueError, match="no sock specified"):
        kernel.run(asyncio.open_connection(), loop)
    for options in ({"ssl": True}, {"sock": object()}):
        with pytest.raises(NotImplementedError, match="is not available on the simulated network"):
            kernel.run(asyncio.open_connection("mail", 25, **options), loop)


# Delivery -------------------------------------------------------------------------------------------------------------


def test_writes_at_one_instant_travel_together_and_in_order(pair: Pair) -> None:
    pair.at(1, pair.client.transport.write, b"a")
    pair.at(1, pair.client.transport.writelines, [b"b", bytearray(b"c"), memoryview(b"d")])
    pair.at(1.001, pair.client.transport.write, b"e")
    assert pair.ran(pair.server) == [(1 + LATENCY, b"abcd"), (1.001 + LATENCY, b"e")]


def test_what_is_written_is_copied(pair: Pair) -> None:
    data = bytearray(b"before")
    pair.client.transport.write(data)
    data[:] = b"after!"
    assert pair.ran(pair.server) == [(LATENCY, b"before")]


def test_a_connection_asks_for_its_latency_once_for_each_direction(kernel: Kernel, loop: SimulationLoop) -> None:
    class OneWay(Network):
        def latency_between(self, a: str, b: str) -> float:
            return {("web", "mail"): 0.3, ("mail", "web"): 0.1}[a, b]

    OneWay(kernel)
    pair = Pair(kernel, loop, kernel.loop("mail"))
    pair.at(0, pair.client.transport.write, b"there")
    pair.at(0, pair.server.transport.write, b"back")
    assert pair.ran(pair.server) == [(0.3, b"there")]
    assert pair.ran(pair.client) == [(0.1, b"back")]


def test_nothing_overtakes_what_was_sent_before_it(pair: Pair) -> None:
    def faster() -> None:
        pair.client.transport.outbound.latency = 0.0

    pair.at(0, pair.client.transport.write, b"slow")
    pair.at(LATENCY / 4, faster)
    pair.at(LATENCY / 2, pair.client.transport.write, b"fast")
    pair.at(1, pair.client.transport.write, b"alone")
    assert pair.ran(pair.server) == [(LATENCY, b"slowfast"), (1, b"alone")]


def test_only_bytes_can_be_written(pair: Pair) -> None:
    with pytest.raises(TypeError, match="must be a bytes-like object, not 'str'"):
        pair.client.transport.write("text")
    pair.client.transport.write_eof()
    with pytest.raises(RuntimeError, match="after write_eof"):
        pair.client.transport.write(b"late")


def test_bytes_in_flight_are_work_whoever_sent_them(kernel: Kernel, loop: SimulationLoop, pair: Pair) -> None:
    async def main() -> None:
        BACKGROUND.set(True)
        pair.client.transport.write(b"heartbeat")
        await loop.create_future()

    with pytest.raises(SimulationQuiet):
        kernel.run(main(), loop)
    assert [what for _, what in pair.server.log] == [b"heartbeat"]


def test_a_buffered_protocol_gets_its_bytes_piecemeal(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = bytearray(4)
            self.pieces: list[bytes] = []

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.pieces.append(bytes(self.buffer[:nbytes]))

    served = Buffered()

    async def listen() -> None:
        await mail.create_server(lambda: served, port=25)

    async def main() -> None:
        transport, _ = await loop.create_connection(asyncio.Protocol, "mail", 25)
        transport.write(b"0123456789")

    kernel.run(listen(), mail)
    kernel.run(main(), loop)
    kernel.run()
    assert served.pieces == [b"0123", b"4567", b"89"]


# Flow control ---------------------------------------------------------------------------------------------------------


def test_a_reader_that_pauses_fills_the_window_and_then_stops_the_writer(pair: Pair) -> None:
    transport = pair.client.transport
    pair.server.transport.pause_reading()
    assert not pair.server.transport.is_reading()
    low, high = transport.get_write_buffer_limits()
    pair.at(0, transport.write, bytes(WINDOW))
    pair.at(1, transport.write, bytes(high))
    pair.at(2, transport.write, b"!")
    assert pair.ran(pair.client) == [(2, "pause")]
    assert transport.get_write_buffer_size() == high + 1
    assert pair.server.log == []
    pair.begin = pair.kernel.now
    pair.server.transport.resume_reading()
    assert [what for _, what in pair.ran(pair.client)] == ["pause", "resume"]
    assert transport.get_write_buffer_size() <= low
    assert sum(len(what) for _, what in pair.server.log if isinstance(what, bytes)) == WINDOW + high + 1


def test_drain_waits_for_a_slow_reader(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(2**16):  # noqa: ASYNC110 -- a slow reader
            await asyncio.sleep(0.1)
        writer.close()

    serve(kernel, mail, slow)

    async def main() -> float:
        _, writer = await asyncio.open_connection("mail", 25)
        begin = kernel.now
        for _ in range(64):
            writer.write(bytes(2**16))
            await writer.drain()
        writer.close()
        return kernel.now - begin

    assert kernel.run(main(), loop) > 4


def test_limits_of_the_write_buffer(pair: Pair) -> None:
    transport = pair.client.transport
    transport.set_write_buffer_limits(high=100)
    assert transport.get_write_buffer_limits() == (25, 100)
    transport.set_write_buffer_limits(low=10)
    assert transport.get_write_buffer_limits() == (10, 40)
    with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\)"):
        transport.set_write_buffer_limits(high=1, low=2)
