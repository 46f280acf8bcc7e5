"""A status over HTTP: ``GET /status`` is answered with JSON, and anything else with an error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from edri_sim.links.address import Address

PATHS = ("/", "/status")
LONGEST = 8_192
"""Bytes of a request's head; a longer one is refused."""
WITHIN = 5.0
"""Seconds that a connection may take from its first byte to its last."""
AT_ONCE = 64
"""Connections at a time; more are refused."""


class StatusServer:
    """Answers at ``address`` with what ``report`` returns at that moment: ``async with StatusServer(...)``."""

    def __init__(self, address: Address, report: Callable[[], Any]) -> None:
        self.address = address
        self.report = report
        self.open: dict[_Visit, None] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> StatusServer:
        """Listen. Raises OSError, such as for a port that is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Visit(self, loop), self.address.host, self.address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for visit in list(self.open):
            visit.hang_up()
        await self._server.wait_closed()


class _Visit(asyncio.Protocol):
    """One connection: one request, one answer, and then only the other end's goodbye is awaited."""

    def __init__(self, server: StatusServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._head = bytearray()
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline = loop.call_later(WITHIN, self.hang_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        self._server.open[self] = None
        if len(self._server.open) > AT_ONCE:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"more than {AT_ONCE} connections at a time")

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._answered:
            return  # Whoever is refused early may still be sending; a reset would cost it the answer.
        self._head += data
        head, end, _ = self._head[: LONGEST + 4].partition(b"\r\n\r\n")
        if end:
            self._answer(bytes(head.partition(b"\r\n")[0]))
        elif len(self._head) > LONGEST:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {LONGEST} bytes of headers")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        """Called by the loop."""
        self._deadline.cancel()
        self._server.open.pop(self, None)

    def hang_up(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, line: bytes) -> None:
        method, target, version = (*line.split(b" "), b"", b"", b"")[:3]
        if line.count(b" ") != 2 or not version.startswith(b"HTTP/1.") or not method.isalpha() or target[:1] != b"/":
            self._refuse(HTTPStatus.BAD_REQUEST, "expected a request such as GET /status HTTP/1.1")
        elif method != b"GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET", "Allow: GET")
        elif target.partition(b"?")[0].decode("latin-1") not in PATHS:
            self._refuse(HTTPStatus.NOT_FOUND, "expected /status")
        else:
            self._send(HTTPStatus.OK, self._server.report())

    def _refuse(self, status: HTTPStatus, words: str, *headers: str) -> None:
        self._send(status, {"error": words}, *headers)

    def _send(self, status: HTTPStatus, content: Any, *headers: str) -> None:
        assert self._transport is not None
        body = json.dumps(content, indent=2).encode() + b"\n"
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json",
            f"Content-Length: {len(body)}", "Cache-Control: no-store", "Connection: close", *headers, "", "",
        )  # fmt: skip
        self._answered = True
        self._transport.write("\r\n".join(lines).encode("ascii") + body)
        self._transport.write_eof()
