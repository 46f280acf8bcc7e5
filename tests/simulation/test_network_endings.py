"""How connections end: closed, aborted, reset; servers that close; hosts that pause, crash and die."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim.errors import SimulationError
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.network import FIRST_FREE_PORT, WINDOW, Network
from tests.simulation.connections import LATENCY, Pair, Recorder, echo, forget, serve

# Endings --------------------------------------------------------------------------------------------------------------


def test_one_direction_can_end_while_the_other_goes_on(pair: Pair) -> None:
    assert pair.client.transport.can_write_eof()
    pair.at(0, pair.client.transport.write_eof)
    pair.at(1, pair.server.transport.write, b"still here")
    pair.at(2, pair.server.transport.close)
    assert pair.ran(pair.server) == [(LATENCY, "eof"), (2, "lost")]
    assert pair.ran(pair.client) == [(1 + LATENCY, b"still here"), (2 + LATENCY, "eof")]


def test_closing_sends_what_waits_first(pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(3 * WINDOW))
    pair.client.transport.close()
    pair.client.transport.close()
    assert pair.client.transport.is_closing()
    pair.at(1, pair.server.transport.resume_reading)
    pair.kernel.run()
    assert sum(len(what) for _, what in pair.server.log if isinstance(what, bytes)) == 3 * WINDOW
    assert pair.server.log[-1][1] == "eof"
    assert pair.client.log[-1][1] == "lost"


def test_an_end_of_stream_behind_a_full_window_arrives_too(pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(2 * WINDOW))
    pair.client.transport.write_eof()
    pair.at(1, pair.client.transport.close)
    pair.at(2, pair.server.transport.resume_reading)
    pair.kernel.run()
    assert [what for _, what in pair.server.log].count("eof") == 1


def test_aborting_loses_what_waits(pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.client.transport.write(bytes(3 * WINDOW))
    pair.client.transport.write_eof()
    pair.client.transport.abort()
    pair.at(1, pair.server.transport.resume_reading)
    assert pair.ran(pair.client) == [(0, "pause"), (0, "lost")]
    assert sum(len(what) for _, what in pair.server.log if isinstance(what, bytes)) == WINDOW
    assert pair.server.log[-1][1] == "eof"


def test_writing_to_a_closed_peer_is_answered_with_a_reset(pair: Pair) -> None:
    pair.at(0, pair.server.transport.close)
    pair.at(1, pair.client.transport.write, b"too late")
    assert pair.ran(pair.client) == [(LATENCY, "eof"), (1 + 2 * LATENCY, "ConnectionResetError")]


def test_closing_before_all_was_read_resets_the_peer(pair: Pair) -> None:
    pair.server.transport.pause_reading()
    pair.at(0, pair.client.transport.write, b"unread")
    pair.at(1, pair.server.transport.close)
    assert pair.ran(pair.client) == [(1 + LATENCY, "ConnectionResetError")]


def test_a_protocol_that_fails_fails_the_run_and_loses_its_connection(pair: Pair) -> None:
    def fails(data: bytes) -> None:
        raise LookupError("in data_received")

    pair.server.data_received = fails  # type: ignore[method-assign]
    pair.client.transport.write(b"x")
    with pytest.raises(LookupError, match="in data_received"):
        pair.kernel.run()
    pair.kernel.run()
    assert [what for _, what in pair.server.log] == ["LookupError"]
    assert [what for _, what in pair.client.log] == ["eof"]


def test_a_connection_can_be_handed_to_another_protocol(pair: Pair) -> None:
    other = Recorder(pair.kernel)
    pair.server.transport.set_protocol(other)
    assert pair.server.transport.get_protocol() is other
    pair.client.transport.write(b"for the other")
    assert [what for _, what in pair.ran(other)] == [b"for the other"]


# Servers --------------------------------------------------------------------------------------------------------------


def test_a_port_is_taken_until_its_server_closes(kernel: Kernel, mail: SimulationLoop) -> None:
    server = serve(kernel, mail)
    assert [each.getsockname() for each in server.sockets] == [("mail", 25)]
    assert server.is_serving()
    assert server.get_loop() is mail
    with pytest.raises(OSError, match="port 25 of host 'mail' is in use already"):
        serve(kernel, mail)
    server.close()
    server.close()
    assert (server.sockets, server.is_serving()) == ((), False)
    serve(kernel, mail)


def test_a_server_may_ask_for_any_port_but_not_for_anothers_address(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    ports = [serve(kernel, mail, port=0).sockets[0].getsockname()[1] for _ in range(2)]
    assert ports == [FIRST_FREE_PORT, FIRST_FREE_PORT + 1]
    with pytest.raises(OSError, match="host 'mail' cannot listen on the address 'web'"):
        serve(kernel, mail, host="web")


def test_wait_closed_waits_for_the_last_connection(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    server = serve(kernel, mail)
    closed: list[float] = []

    async def waits() -> None:
        server.close()
        await server.wait_closed()
        closed.append(kernel.now)

    async def main() -> None:
        _, writer = await asyncio.open_connection("mail", 25)
        await asyncio.sleep(1)
        mail.create_task(waits())
        await asyncio.sleep(5)
        writer.close()
        await asyncio.sleep(1)

    kernel.run(main(), loop)
    assert len(closed) == 1
    assert closed[0] > 6


def test_serving_for_ever_ends_when_cancelled(kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop) -> None:
    server = serve(kernel, mail, start_serving=False)
    assert not server.is_serving()

    async def main() -> None:
        async with server, asyncio.timeout(3):
            await server.serve_forever()

    with pytest.raises(TimeoutError):
        kernel.run(main(), mail)
    with pytest.raises(RuntimeError, match="is closed"):
        kernel.run(server.start_serving(), mail)


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_a_server_ends_its_connections(pair: Pair, how: str) -> None:
    getattr(pair.listening, how)()
    assert [what for _, what in pair.ran(pair.client)] == ["eof"]


def test_a_server_that_closed_while_the_connection_came_resets_it(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    server = serve(kernel, mail)
    kernel.call_at(2.5 * LATENCY, server.close)

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("mail", 25)
        try:
            return await reader.read()
        finally:
            writer.close()

    with pytest.raises(ConnectionResetError):
        kernel.run(main(), loop)


# Hosts that pause, crash and die --------------------------------------------------------------------------------------


def test_peers_of_a_paused_host_connect_and_fill_its_window(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    serve(kernel, mail)
    mail.pause()

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("mail", 25)
        writer.write(b"x" * WINDOW)
        await writer.drain()
        assert writer.transport.get_write_buffer_size() == 0
        writer.write(b"y" * 100_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await writer.drain()
        mail.resume()
        await writer.drain()
        answer = await reader.readexactly(WINDOW + 100_000)
        writer.close()
        return answer

    assert kernel.run(main(), loop) == b"x" * WINDOW + b"y" * 100_000


def test_peers_of_a_killed_host_get_the_end_of_the_stream_at_once(
    kernel: Kernel, network: Network, mail: SimulationLoop, pair: Pair
) -> None:
    def kill() -> None:
        mail.shut()
        network.kill(mail)

    pair.at(0, pair.server.transport.write, b"sent before")
    pair.at(1, kill)
    pair.at(2, pair.client.transport.write, b"too late")
    assert pair.ran(pair.client) == [
        (LATENCY, b"sent before"),
        (1 + LATENCY, "eof"),
        (2 + 2 * LATENCY, "ConnectionResetError"),
    ]
    assert pair.server.log == []


def test_a_killed_host_refuses_connections(
    kernel: Kernel, network: Network, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    serve(kernel, mail)
    mail.shut()
    network.kill(mail)
    with pytest.raises(ConnectionRefusedError):
        kernel.run(asyncio.open_connection("mail", 25), loop)


def crash(network: Network, loop: SimulationLoop) -> None:
    loop.shut()
    network.crash(loop)


def test_peers_of_a_crashed_host_hear_nothing(network: Network, mail: SimulationLoop, pair: Pair) -> None:
    pair.at(1, crash, network, mail)
    assert pair.ran(pair.client) == []
    assert pair.server.log == []


@pytest.mark.parametrize("shut_first", [True, False])
def test_a_write_to_a_crashed_host_is_repeated_until_the_restarted_host_resets_it(
    kernel: Kernel, network: Network, mail: SimulationLoop, pair: Pair, shut_first: bool
) -> None:
    def crash_either_way() -> None:
        (mail.shut if shut_first else lambda: None)()
        network.crash(mail)
        mail.shut()

    # In flight at the crash, and written after it: both are lost.
    pair.at(1 - LATENCY / 2, pair.client.transport.write, b"in flight")
    pair.at(1, crash_either_way)
    pair.at(2, pair.client.transport.write, b"half open")
    pair.at(30, kernel.loop, "mail")
    log = pair.ran(pair.client)
    assert [what for _, what in log] == ["ConnectionResetError"]
    assert 30 < log[0][0] < 60
    assert pair.server.log == []


def test_what_was_in_flight_at_a_crash_is_repeated_too(
    kernel: Kernel, network: Network, mail: SimulationLoop, pair: Pair
) -> None:
    pair.at(1 - LATENCY / 2, pair.client.transport.write, b"in flight")
    pair.at(1, crash, network, mail)
    pair.at(30, kernel.loop, "mail")
    assert [what for _, what in pair.ran(pair.client)] == ["ConnectionResetError"]


def test_a_connection_that_is_closed_is_not_repeated_for(network: Network, mail: SimulationLoop, pair: Pair) -> None:
    pair.at(1, crash, network, mail)
    pair.at(2, pair.client.transport.write, b"half open")
    pair.at(3, pair.client.transport.close)
    assert pair.ran(pair.client) == [(3, "lost")]
    assert pair.kernel.now - pair.begin < 10


def test_a_write_to_a_host_that_stays_down_is_given_up_as_tcp_does(
    network: Network, mail: SimulationLoop, pair: Pair
) -> None:
    pair.at(1, crash, network, mail)
    pair.at(2, pair.client.transport.write, b"half open")
    log = pair.ran(pair.client)
    assert [what for _, what in log] == ["TimeoutError"]
    assert 900 < log[0][0] < 1000


def test_an_idle_connection_to_a_restarted_host_is_reset_when_it_is_used(
    kernel: Kernel, network: Network, mail: SimulationLoop, pair: Pair
) -> None:
    pair.at(1, crash, network, mail)
    pair.at(2, kernel.loop, "mail")
    pair.at(5, pair.client.transport.write, b"are you there")
    assert pair.ran(pair.client) == [(5 + 2 * LATENCY, "ConnectionResetError")]


def test_connecting_to_a_crashed_host_waits_for_its_restart(
    kernel: Kernel, network: Network, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    crash(network, mail)

    async def restarts() -> None:
        await asyncio.sleep(4)
        again = kernel.loop("mail")
        again.create_task(asyncio.start_server(echo, port=25))

    async def main() -> float:
        loop.create_task(restarts())
        _, writer = await asyncio.open_connection("mail", 25)
        writer.close()
        return kernel.now

    assert 4 < kernel.run(main(), loop) < 8


def test_connecting_to_a_host_that_stays_down_is_given_up(
    kernel: Kernel, network: Network, loop: SimulationLoop, mail: SimulationLoop
) -> None:
    crash(network, mail)
    with pytest.raises(TimeoutError, match="the host does not answer"):
        kernel.run(asyncio.open_connection("mail", 25), loop)
    assert 100 < kernel.now < 200


def test_closing_the_simulation_sends_nothing_and_warns_of_nothing(
    kernel: Kernel, loop: SimulationLoop, mail: SimulationLoop, recwarn: pytest.WarningsRecorder
) -> None:
    serve(kernel, mail, forget)

    async def main() -> None:
        _, writer = await asyncio.open_connection("mail", 25)
        try:
            writer.write(b"hello")
            await loop.create_future()
        finally:
            writer.write(b"goodbye")
            writer.close()

    kernel.run(main(), loop, until=1)
    kernel.close()
    assert list(recwarn) == []


@pytest.mark.parametrize(("options", "message"), [({"latency": -1}, "latency=-1"), ({"window": 0}, "window=0")])
def test_a_bad_network_is_refused(kernel: Kernel, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        Network(kernel, **options)
