"""A switch under attack, and two nodes that go on talking over it all the while."""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from edri_sim import Manager, Node, handles
from edri_sim.links.connector import Connector, RunningConnector
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import (
    HEADER,
    NOTIFY,
    VERSION,
    Data,
    Hello,
    Ping,
    Pong,
    Seek,
    Welcome,
    encode,
)
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.switch import Switch, SwitchConfig
from edri_sim.links.tcp import switch_lines
from edri_sim.node import PartFactory
from tests.links.cluster import connector_of
from tests.runtime.cast import Ask, Told
from tests.worlds import Records, records, until

TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + b"\x07" * 506
HTTP = b"GET /metrics HTTP/1.1\r\nHost: hub\r\nUser-Agent: curl/8\r\n\r\n"
PICKLE = pickle.dumps({"cmd": print})
SLOWEST = 2.0
"""Seconds that a request of the healthy pair may take, without those in which other programs had the cores."""
_SCHEDULED = Path("/proc/thread-self/schedstat")
DEEP = b"\x91" * 5_000 + b"\xc0"
"""5,000 arrays of one item, one in the other."""
DEEPER = b"\x91" * 100_000 + b"\xc0"
"""Too deep to be passed over, too, on every version of Python."""


def undisturbed() -> float:
    """A clock, in seconds, that stands still while this thread waits for a core: who runs beside it is not tested."""
    waited = int(_SCHEDULED.read_text(encoding="ascii").split()[1]) if _SCHEDULED.exists() else 0
    return time.perf_counter() - waited / 1e9


def framed(body: bytes, number: int = Hello.number, flags: int = 0) -> bytes:
    """A body of any bytes, in a frame that is in order."""
    return HEADER.pack(len(body), number, flags, zlib.crc32(body, number << 8 | flags)) + body


def hello(node: str = "eve", incarnation: int = 1, **changed: Any) -> bytes:
    fields = {"lowest": VERSION, "highest": VERSION, "node": node, "incarnation": incarnation, **changed}
    return encode(Hello(**fields))


class Eve:
    """A connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.reader = reader
        self._frames = FrameReader()
        self._read: list[Any] = []

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> Any:
        """The next frame but pings and their answers; None at the end."""
        while True:
            while self._read:
                frame = self._read.pop(0)
                if not isinstance(frame, Ping | Pong):
                    return frame
            with suppress(ConnectionError):
                if data := await self.reader.read(1 << 16):
                    self._read += [raw.open() for raw in self._frames.feed(data)]
                    continue
            return None

    async def expect(self, kind: type[Any]) -> Any:
        """The next frame of a kind; others are passed over."""
        while (frame := await self.frame()) is not None:
            if isinstance(frame, kind):
                return frame
        raise AssertionError(f"the connection ended without a {kind.__name__}")

    async def end(self) -> None:
        """Wait until the other end hangs up."""
        while await self.frame() is not None:
            pass

    def close(self) -> None:
        self.writer.close()


class Echoes(Manager):
    """The healthy one's other side; it also hears what anybody tells."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def ask(self, event: Ask) -> str:
        return event.text

    @handles
    async def told(self, event: Told) -> None:
        self.heard.append(event.number)


class Siege:
    """``async with Siege() as siege``: a switch, and nodes ``a`` and ``b`` between which requests go on until the end.

    ``parts`` are others of b.

    On leaving, they must have gone on, and both nodes and the switch must be whole.
    """

    def __init__(self, *parts: PartFactory, **config: Any) -> None:
        self._parts = parts
        self._config = SwitchConfig(**config)
        self.echoes = Echoes()
        self._eves: list[Eve] = []
        self.rounds = 0
        self.slowest = 0.0
        self.switch: Switch
        self.log: Records

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.log = stack.enter_context(records("edri_sim"))
            self.switch = await stack.enter_async_context(Switch("hub", "127.0.0.1:0", config=self._config))
            joined: dict[str, Any] = {
                "uplink": self._uplink,
                "token": self._config.token,
                "route_grace": 0.2,
                "drain_timeout": 0.2,  # Eve acknowledges nothing: what is for her would be waited for.
            }
            self.a = await stack.enter_async_context(Node("a", **joined))
            await until(lambda: self.switch.ports, "a to be present before b")
            self.b = await stack.enter_async_context(Node("b", lambda: self.echoes, *self._parts, **joined))
            await self.a.subscribed(Ask)
            self._pair = asyncio.create_task(self._talk())
            stack.callback(self._pair.cancel)
            await self.goes_on()
            self._stack = stack.pop_all()
        return self

    def _uplink(self, outbox: DurableOutbox | None) -> Connector:
        largest = self._config.max_frame
        return Connector(switch_lines([str(self.switch.address)], max_frame=largest), outbox=outbox, max_frame=largest)

    async def _talk(self) -> None:
        while True:
            began = undisturbed()
            assert await self.a.request(Ask(str(self.rounds)), timeout=5) == str(self.rounds)
            self.slowest = max(self.slowest, undisturbed() - began)
            self.rounds += 1
            await asyncio.sleep(0.002)

    async def goes_on(self) -> None:
        """Wait until the two have talked once more from now on."""
        before = self.rounds
        await until(lambda: self.rounds >= before + 2 or self._pair.done(), "the pair to go on")
        if self._pair.done():
            self._pair.result()

    async def __aexit__(self, kind: object, *_: object) -> None:
        async with self._stack:
            try:
                if kind is None:
                    await self.goes_on()
                    assert list(self.switch.ports)[:2] == ["a", "b"], "the pair has kept its connections"
                    assert self.slowest < SLOWEST
            finally:
                for eve in self._eves:
                    eve.close()

    @property
    def at_b(self) -> RunningConnector:
        return connector_of(self.b)

    async def connect(self, *, deaf: bool = False) -> Eve:
        """A new connection; the system keeps little for one that is going to be ``deaf``."""
        address = self.switch.address
        end = socket.socket()
        end.setblocking(False)
        if deaf:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await asyncio.get_running_loop().sock_connect(end, (address.host, address.port))
        eve = Eve(*await asyncio.open_connection(sock=end))
        self._eves.append(eve)
        return eve

    @asynccontextmanager
    async def eve(
        self, node: str = "eve", incarnation: int = 1, *, deaf: bool = False, **changed: Any
    ) -> AsyncIterator[Eve]:
        """A connection that the switch has taken for a node; a ``deaf`` one reads nothing more."""
        eve = await self.connect(deaf=deaf)
        eve.say(hello(node, incarnation, **changed))
        try:
            await eve.expect(Welcome)
            eve.say(encode(Seek(["Ask", "Told"], ["Ask", "Told"])))
            await until(lambda: node in self.at_b.exchange.peers)
            if deaf:
                transport: Any = eve.writer.transport
                transport.pause_reading()
            yield eve
        finally:
            eve.close()

    async def refused(self, code: str, count: int = 1) -> None:
        """Wait until the switch has counted so many of a kind; it has logged the first, and no other line of it."""
        await until(lambda: self.switch.counts.get(f"refused, {code}", 0) >= count, f"{code} to be counted")
        assert self.switch.counts[f"refused, {code}"] == count
        lines = [record for record in self.log.at("WARNING") if record.getMessage().startswith(f"refused, {code}:")]
        assert len(lines) == 1

    async def dropped(self, code: str, count: int = 1) -> None:
        """As :meth:`refused`, of frames that have reached node b."""
        await until(lambda: self.at_b.bad.get(code, 0) >= count, f"{code} to be counted at b")
        assert self.at_b.bad == {code: count}
        lines = [record for record in self.log.at("WARNING") if f"dropped a frame: {code}:" in record.getMessage()]
        assert len(lines) == 1

    def flow(self, **changed: Any) -> dict[str, Any]:
        """The head of a frame from eve about her flow of events to b, but for what is changed."""
        return {
            "dst": "b", "src": "eve", "kind": 0, "type": "", "outbox": 1, "generation": 1,
            "incarnation": self.at_b.exchange.incarnation, "lane": 1, **changed,
        }  # fmt: skip

    def data(self, **changed: Any) -> bytes:
        """An event from eve to b that is in order, but for what is changed."""
        fields: dict[str, Any] = {
            "base": 1, "seq": 1, "origin": 1, "event": 1, "ref": 0, "schema": "", "remaining": -1.0, "trace": "",
            "hops": 1, "payload": msgspec.msgpack.encode({"number": 7}), "kind": NOTIFY, "type": "Told", **changed,
        }  # fmt: skip
        return encode(Data(**self.flow(**fields)))


def shorter(length: int) -> bytes:
    """A header that says a length, and a few bytes after it."""
    return struct.pack("!IBBI", length, Hello.number, 0, 0) + b"\x90"
