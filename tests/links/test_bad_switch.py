"""What listens where a switch should: whatever it says, its nodes go on over the other one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edri_sim import Node
from edri_sim.links import line as lines
from edri_sim.links.frames import (
    VERSION,
    Digest,
    GoAway,
    Hello,
    Ping,
    Presence,
    Reject,
    Unroutable,
    Welcome,
    encode,
)
from edri_sim.links.stream import FrameStream
from tests.links.cluster import connector_of, line_of
from tests.links.siege import DEEP, HTTP, PICKLE, TLS_HELLO, Siege, framed, shorter
from tests.runtime.cast import Ask
from tests.worlds import Records, until

WELCOME = encode(Welcome(VERSION, "liar"))
MEBIBYTE = 1 << 20


@asynccontextmanager
async def listening(says: bytes, *, hangs_up: bool) -> AsyncIterator[str]:
    """Something that says ``says`` to whoever connects, and then hangs up, or reads on for ever; its address."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(says)
        while not hangs_up and await reader.read(MEBIBYTE):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "127.0.0.1:%d" % server.sockets[0].getsockname()[1]  # noqa: UP031 - it reads as what it is
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await until(lambda: all(writer.transport.is_closing() for writer in writers))


SAID: dict[str, tuple[bytes, bool, str]] = {
    "nothing": (b"", False, "it does not answer"),
    "the end": (b"", True, "the other end closed it"),
    "half a welcome": (WELCOME[:9], True, "the other end closed it"),
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "bad_length"),
    "http, asked": (HTTP, False, "bad_length"),
    "tls": (TLS_HELLO, False, "bad_length"),
    "pickle": (PICKLE, False, "bad_length"),
    "a length of 0": (shorter(0), False, "bad_length"),
    "a length of 2^32-1": (shorter(2**32 - 1), False, "bad_length"),
    "a bad checksum": (WELCOME[:-1] + b"\x7f", False, "bad_crc"),
    "an unknown frame": (framed(b"\x90", 99), False, "unknown_type"),
    "a hello": (encode(Hello(1, 1, "a", 1)), False, "unexpected: a Hello frame"),
    "wrong types": (framed(b"\x93\xc0\xc0\xc0", Welcome.number), False, "bad_body"),
    "5,000 deep": (framed(b"\x93\x01\xa1x" + DEEP, Welcome.number), False, "bad_body"),
    "a rejection for no reason": (encode(Reject("?", "")), False, "it rejects this node: ?:"),
    "a life that no other can follow": (encode(Reject("STALE_INCARNATION", "", (1 << 64) - 1)), False, "can't go on"),
    "two welcomes": (WELCOME + WELCOME, False, "a second Welcome"),
    "a welcome, then noise": (WELCOME + b"\xff" * 100, False, "bad_length"),
    "a welcome, then the end": (WELCOME, True, "is down: "),  # Why depends on what was written by then.
}


@asynccontextmanager
async def joined(siege: Siege, address: str) -> AsyncIterator[Node]:
    """A node that is joined to the switch that is well, and to what listens at ``address``."""
    async with Node("c", switches=[address, str(siege.switch.address)], route_grace=0.2) as node:
        yield node


def troubles(log: Records, address: str) -> list[str]:
    said = [record.getMessage() for record in [*log.at("WARNING"), *log.at("ERROR")]]
    return [text for text in said if address in text]


@pytest.mark.parametrize("attack", SAID)
async def test_what_is_no_switch_is_told_once_and_tried_again(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    says, hangs_up, problem = SAID[attack]
    monkeypatch.setattr(lines, "GREETING_WITHIN", 0.2)
    attempts: list[FrameStream] = []
    new_stream = lines.SwitchLine._new_stream
    async with Siege() as siege, listening(says, hangs_up=hangs_up) as address:

        def counted(line: lines.SwitchLine) -> FrameStream:
            if str(line.address) == address:
                attempts.append(new_stream(line))
                return attempts[-1]
            return new_stream(line)

        monkeypatch.setattr(lines.SwitchLine, "_new_stream", counted)
        async with joined(siege, address) as node:
            await until(lambda: len(attempts) >= 3, "it to be tried again")
            assert await node.request(Ask("x"), timeout=5) == "x"
            (told,) = troubles(siege.log, address)
            assert problem in told
        assert all(attempt._transport is None for attempt in attempts)


FRAMES: dict[str, Callable[[Siege], bytes]] = {
    "goodbye": lambda _: encode(GoAway("soon")),
    "pings": lambda _: encode(Ping(1)) * 1_000,
    "nobody is there": lambda _: b"".join(encode(Unroutable(name, "absent")) for name in ("a", "b", "x")),
    "nothing is allowed": lambda _: b"".join(encode(Unroutable(name, "not allowed", "Ask")) for name in ("a", "x")),
    "all are here in a former life": lambda _: encode(Presence("b", 1, True)),
    "all have left": lambda siege: (
        encode(Presence("a", siege.switch.seen["a"], True)) + encode(Presence("a", siege.switch.seen["a"], False, True))
    ),
    "frames of others": lambda _: encode(Digest("somebody", "else", 0, "", 1, 1, 1, 1)) * 100,
}


@pytest.mark.parametrize("attack", FRAMES)
async def test_what_one_switch_says_does_not_cut_what_another_carries(attack: str) -> None:
    async with (
        Siege() as siege,
        listening(WELCOME + FRAMES[attack](siege), hangs_up=False) as address,
        joined(siege, address) as node,
    ):
        await until(lambda: line_of(node, 1).up)
        for number in range(5):
            assert await node.request(Ask(str(number)), timeout=5) == str(number)
            await asyncio.sleep(0.02)


async def test_a_switch_that_makes_nodes_up_is_believed_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_PRESENT", 500)
    made_up = b"".join(encode(Presence(f"ghost{number}", 1, True)) for number in range(1_000))
    async with (
        Siege() as siege,
        listening(WELCOME + made_up, hangs_up=False) as address,
        joined(siege, address) as node,
    ):
        await until(lambda: troubles(siege.log, address))
        assert "too_many_nodes" in troubles(siege.log, address)[0]
        assert await node.request(Ask("x"), timeout=5) == "x"
        assert len(connector_of(node).exchange.peers) <= 504
