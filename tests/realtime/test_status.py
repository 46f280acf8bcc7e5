"""The status over HTTP: what is answered, and what a bad client gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edri_sim.links.address import Address
from edri_sim.realtime import status
from edri_sim.realtime.status import AT_ONCE, LONGEST, StatusServer
from tests.realtime.programs import free_address
from tests.worlds import until

REPORT = {"switch": "hub", "nodes": {}}


@asynccontextmanager
async def served() -> AsyncIterator[StatusServer]:
    async with StatusServer(Address.parse(free_address()), lambda: REPORT) as server:
        yield server


async def exchange(server: StatusServer, *pieces: bytes) -> tuple[str, dict[str, str], bytes]:
    """Send a request, in these pieces, and return the status line, the headers and the body of the answer."""
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in headers), body


@pytest.mark.parametrize("path", ["/", "/status", "/status?pretty"])
async def test_the_status_is_json(path: str) -> None:
    async with served() as server:
        first, headers, body = await exchange(server, f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
    assert first == "HTTP/1.1 200 OK"
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    assert int(headers["Content-Length"]) == len(body)
    assert json.loads(body) == REPORT


async def test_a_request_may_come_byte_by_byte() -> None:
    async with served() as server:
        request = b"GET / HTTP/1.0\r\n\r\n"
        first, _, _ = await exchange(server, *(request[place : place + 1] for place in range(len(request))))
    assert first == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("request_", "answer", "words"),
    [
        (b"GET /secrets HTTP/1.1\r\n\r\n", "404 Not Found", "expected /status"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", "404 Not Found", "expected /status"),
        (b"POST /status HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed", "expected GET"),
        (b"HEAD / HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "expected GET"),
        (b"hello\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (b"\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (b"GET / HTTP/2\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (b"GET  / HTTP/1.1\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "400 Bad Request", "expected a request such as GET /status HTTP/1.1"),
        (
            b"GET / HTTP/1.1\r\nX: " + b"x" * LONGEST, "431 Request Header Fields Too Large",
            f"more than {LONGEST} bytes of headers",
        ),
        (
            b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", "431 Request Header Fields Too Large",
            f"more than {LONGEST} bytes of headers",
        ),
    ],
)  # fmt: skip
async def test_what_is_no_such_request_is_told_so(request_: bytes, answer: str, words: str) -> None:
    async with served() as server:
        first, headers, body = await exchange(server, request_)
        assert first == f"HTTP/1.1 {answer}"
        assert json.loads(body) == {"error": words}
        assert headers.get("Allow") == ("GET" if "405" in answer else None)
        await until(lambda: not server.open)


async def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "WITHIN", 0.1)
    async with served() as server:
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await reader.read() == b""
        writer.close()
        assert not server.open


async def test_who_reads_the_answer_and_stays_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "WITHIN", 0.1)
    async with served() as server:
        reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        await until(lambda: not server.open)
        writer.close()


async def test_a_crowd_is_sent_away_and_the_next_is_served() -> None:
    async with served() as server:
        crowd = [await asyncio.open_connection(server.address.host, server.address.port) for _ in range(AT_ONCE)]
        await until(lambda: len(server.open) == AT_ONCE)
        first, _, body = await exchange(server, b"")
        assert first == "HTTP/1.1 503 Service Unavailable"
        assert json.loads(body) == {"error": f"more than {AT_ONCE} connections at a time"}
        for _, writer in crowd:
            writer.close()
        await until(lambda: not server.open)
        assert (await exchange(server, b"GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 200 OK"


async def test_a_stop_waits_for_nobody() -> None:
    async with asyncio.timeout(10):
        async with served() as server:
            reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
            await until(lambda: server.open)
        assert await reader.read() == b""
        writer.close()
