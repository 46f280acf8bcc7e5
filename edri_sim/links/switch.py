"""The switch: forwards frames between the nodes that are connected to it, and remembers nothing that matters."""

from __future__ import annotations

import asyncio
import hmac
import ssl
from dataclasses import dataclass, field, replace
from typing import Any, Self

from edri_sim.errors import SettingsError
from edri_sim.host import Host, current_host
from edri_sim.links import guard
from edri_sim.links.address import Address
from edri_sim.links.frames import (
    ABSENT,
    DUPLICATE_NODE,
    FULL,
    LARGEST_INCARNATION,
    MAX_FRAME,
    MAX_FRAME_CAP,
    NOT_ALLOWED,
    NOTIFY,
    OPEN,
    RELAYED,
    REQUEST,
    STALE_INCARNATION,
    UNAUTHORISED,
    UNSUPPORTED_VERSION,
    VERSION,
    BadFrame,
    Bye,
    Data,
    GoAway,
    Hello,
    RawFrame,
    Reject,
    Seek,
    Unroutable,
    Watch,
    Welcome,
    encode,
)
from edri_sim.links.introductions import Guest, Introductions
from edri_sim.links.permissions import Permissions
from edri_sim.links.stream import GREETING_WITHIN, FrameStream
from edri_sim.logs import NodeLog
from edri_sim.names import NAME
from edri_sim.settings import Settings, SwitchSettings

PROBE = 1.0
"""Seconds that the present holder of a name has to show that it is alive, when another asks for it."""
FAREWELL = 1.0
"""Seconds that the nodes have to take the goodbye of a switch that stops."""
REMEMBERED = 100_000
"""Names whose last incarnation is kept."""
SHOWN = 100
"""Nodes that are not here any more, at most, in the status."""
AT_ONCE = 1_024
"""Connections that the system keeps until they are taken: all nodes come at once when a switch is back."""
LARGEST_HELLO = 4_096
"""Bytes of a frame before the Hello is taken: who is not known yet can't make the switch hold more."""
_CHECKED = (NOTIFY, REQUEST, OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchConfig:
    """``queue`` is the bytes that may wait for one node before frames for it are dropped, ``nodes`` the most at a time.

    ``greeting`` is the most connections that have not said hello yet. ``insecure``: listen without ``tls`` where other
    machines can connect, too.
    """

    token: str = ""
    tls: ssl.SSLContext | None = None
    insecure: bool = False
    permissions: Permissions = field(default_factory=Permissions)
    queue: int = 4 << 20
    nodes: int = 10_000
    greeting: int = 10_000
    max_frame: int = MAX_FRAME

    def __post_init__(self) -> None:
        if not 1 <= self.max_frame <= MAX_FRAME_CAP:
            raise SettingsError(f"max_frame={self.max_frame!r}: expected 1 to {MAX_FRAME_CAP} bytes")

    @classmethod
    def of(cls, settings: SwitchSettings) -> Self:
        """What settings say. Raises SettingsError for a file that will not do."""
        return cls(
            token=settings.token, tls=guard.server_tls(settings), insecure=settings.insecure,
            permissions=guard.read_permissions(settings),
        )  # fmt: skip


class Port:
    """One connection, from its hello on that of a node."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        config = switch.config
        self.stream = FrameStream(
            switch.loop, self._received, self._lost, taken=switch.flush,
            max_frame=min(LARGEST_HELLO, config.max_frame), backlog=config.queue + 4 * config.max_frame,
        )  # fmt: skip
        self.node = ""
        self.incarnation = 0
        self.guest = Guest()
        self.since = 0.0
        self.goodbye = False
        self.denied = False
        self.relayed = 0
        self.dropped = 0
        self._probing: asyncio.Task[None] | None = None
        self._deadline = switch.loop.call_later(GREETING_WITHIN, self._too_late)

    def _too_late(self) -> None:
        self.stream.abort(f"{GREETING_WITHIN:g} s without a Hello", "silence")

    def _received(self, raw: RawFrame) -> None:
        if self.node:
            if raw.number in RELAYED:
                self._switch.relay(self, raw)
            elif raw.number == Seek.number:
                self._switch.introductions.seek(self, raw.open())
            elif raw.number == Watch.number:
                self._switch.introductions.watch(self, raw.open())
            elif raw.number == Bye.number:
                self.goodbye = True
            else:
                raise BadFrame("unexpected", f"a {type(raw.open()).__name__} frame after the Hello")
            return
        if raw.number != Hello.number:
            raise BadFrame("no_hello", f"frame type {raw.number} before the Hello")
        if self._probing is not None:
            raise BadFrame("unexpected", "a second Hello")
        self._deadline.cancel()
        self._switch.greet(self, raw.open())

    def status(self, now: float) -> dict[str, Any]:
        """Of a node's connection: see :meth:`Switch.status`."""
        return {
            "incarnation": f"{self.incarnation:x}", "address": self.stream.peername,
            "seconds": round(now - self.since, 3), "relayed": self.relayed, "queue": self.stream.buffered,
            "dropped": self.dropped,
        }  # fmt: skip

    def reject(self, code: str, message: str, seen: int = 0) -> None:
        """Say why the node is not taken, and hang up."""
        self.denied = True
        self.stream.send(encode(Reject(code, message, seen)))
        self.stream.close()

    def probe(self, holder: Port, hello: Hello) -> None:
        """Take the name if its present holder does not answer in time."""
        self._probing = self._switch.loop.create_task(self._probe(holder, hello))

    async def _probe(self, holder: Port, hello: Hello) -> None:
        if await holder.stream.answers(PROBE):
            self._switch.deny(self, hello, DUPLICATE_NODE, "another node of this name is connected and alive")
        else:
            holder.stream.abort("the node has connected anew, and does not answer here")
            self._switch.greet(self, hello)  # Somebody else may have come meanwhile.

    def _lost(self, why: str, code: str) -> None:
        self._deadline.cancel()
        if self._probing is not None:
            self._probing.cancel()
        self._switch.gone(self, why, code)


class Switch:
    """Listens at ``address`` under ``name``: ``async with Switch("hub", "127.0.0.1:7400") as switch``.

    Port 0 stands for any that is free: once it listens, ``address`` says which. It is soft state: it may be restarted
    at any time, and the routers make up for what it forgets. Without a ``host`` it is on that of the running loop.
    """

    def __init__(self, name: str, address: str, host: Host | None = None, config: SwitchConfig | None = None) -> None:
        self.name = name
        self.address = Address.parse(address, lowest=0)
        self.config = config or SwitchConfig()
        self.ports: dict[str, Port] = {}
        self.introductions = Introductions(self.ports)
        self.seen: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        """How often each kind of thing happened: relayed, dropped, refused, by its code."""
        self._host = host
        self._log: NodeLog
        self._greeting: dict[Port, None] = {}
        self._touched: dict[Port, None] = {}
        self._server: asyncio.Server | None = None
        self._said: dict[str, None] = {}
        self._since = 0.0
        self.loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Switch:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            SettingsError: other machines could connect, in the clear, and ``insecure`` is not set.
            OSError: it can't, such as for a port that is taken.
        """
        self.loop = asyncio.get_running_loop()
        host = self._host or current_host(self.loop, Settings())
        encrypted, insecure = self.config.tls is not None, self.config.insecure
        guard.check_line(self.address, host, f"switch {self.name!r}: address", encrypted=encrypted, insecure=insecure)
        self._log = NodeLog("switch", self.name, host.now)
        self._since = self.loop.time()
        options: dict[str, Any] = {"backlog": AT_ONCE}
        if self.config.tls is not None:
            options |= {
                "ssl": self.config.tls, "ssl_handshake_timeout": GREETING_WITHIN, "ssl_shutdown_timeout": FAREWELL,
            }  # fmt: skip
        self._server = await self.loop.create_server(self._accept, self.address.host, self.address.port, **options)
        if not self.address.port:
            self.address = replace(self.address, port=self._server.sockets[0].getsockname()[1])
        self._log.info("switch %s listens at %s", self.name, self.address)

    async def stop(self) -> None:
        """Tell all nodes, and hang up; at once on those that have not taken it in a second."""
        if self._server is not None:
            self._server.close()
        ports = [*self.ports.values(), *self._greeting]
        for port in ports:
            port.stream.send(encode(GoAway("the switch stops")))
        await asyncio.gather(*[port.stream.leave(FAREWELL) for port in ports])
        self._log.info("switch %s stopped", self.name)

    def _accept(self) -> FrameStream:
        port = Port(self)
        if len(self._greeting) >= self.config.greeting:
            reason = f"more than {self.config.greeting} connections without a Hello"
            self.loop.call_soon(port.stream.abort, reason, "crowd")
        self._greeting[port] = None
        return port.stream

    # Greeting

    def greet(self, port: Port, hello: Hello) -> None:
        """Take a node, or reject it."""
        reason = self._against(hello, port.stream)
        holder = self.ports.get(hello.node)
        if reason is not None:
            self.deny(port, hello, *reason)
        elif holder is not None:
            port.probe(holder, hello)
        else:
            self.take(port, hello)

    def deny(self, port: Port, hello: Hello, code: str, message: str, seen: int = 0) -> None:
        """Reject a node."""
        self.refused(code, f"{hello.node!r} at {port.stream.peername}: {message}")
        port.reject(code, message, seen)

    def _against(self, hello: Hello, stream: FrameStream) -> tuple[str, str] | tuple[str, str, int] | None:
        if not hello.lowest <= VERSION <= hello.highest:
            return UNSUPPORTED_VERSION, f"versions {hello.lowest} to {hello.highest}: this switch speaks {VERSION}"
        if not NAME.fullmatch(hello.node):
            return UNAUTHORISED, "a node's name has 1 to 64 of a-z, 0-9, '.', '_' and '-'"
        if hello.incarnation > LARGEST_INCARNATION:
            return UNAUTHORISED, f"incarnation {hello.incarnation:x}: the highest is {LARGEST_INCARNATION:x}"
        if not hmac.compare_digest(hello.token.encode(), self.config.token.encode()):
            return UNAUTHORISED, "the token is wrong or missing" if self.config.token else "this switch takes no token"
        if self.config.tls is not None and hello.node not in stream.certified:
            return UNAUTHORISED, f"its certificate is not for {hello.node!r}, but for {', '.join(stream.certified)}"
        seen = self.seen.get(hello.node, 0)
        if hello.incarnation < seen:
            return STALE_INCARNATION, f"life {hello.incarnation:x} of {hello.node!r} came after {seen:x}", seen
        if len(self.ports) >= self.config.nodes and hello.node not in self.ports:
            return FULL, f"this switch takes {self.config.nodes} nodes"
        return None

    def take(self, port: Port, hello: Hello) -> None:
        """The node is present from now on."""
        del self._greeting[port]
        port.node, port.incarnation, port.since = hello.node, hello.incarnation, self.loop.time()
        port.stream.allow(self.config.max_frame)
        self.ports[hello.node] = port
        self.seen.pop(hello.node, None)
        self.seen[hello.node] = hello.incarnation
        if len(self.seen) > REMEMBERED:
            del self.seen[next(iter(self.seen))]
        port.stream.send(encode(Welcome(VERSION, self.name, self.config.max_frame)))
        self.introductions.came(port)
        self._log.info("node %s is present", port.node)

    def gone(self, port: Port, why: str, code: str) -> None:
        """A connection has ended; ``code`` says how the other end broke the rules, if it did."""
        stranger = port in self._greeting and not port.denied
        self._greeting.pop(port, None)
        if self.ports.get(port.node) is port:
            del self.ports[port.node]
            self.introductions.went(port, left=port.goodbye)
            self._log.info("node %s is gone: %s", port.node, why)
        if code or stranger:
            self.refused(code or "hung_up", f"{port.node or 'a connection without a name'}: {why}")

    # Relaying

    def relay(self, source: Port, raw: RawFrame) -> None:
        """Pass a frame on, or drop it."""
        to = raw.address()
        if to.src != source.node:
            raise BadFrame("forged", f"node {source.node!r} sent a frame in the name of {to.src[:64]!r}")
        if not to.dst:
            raise BadFrame("no_destination", f"a frame of type {raw.number} for nobody")
        port_ = self.ports.get(to.dst)
        if port_ is None:
            self._drop(source, to.dst, ABSENT)
        elif raw.number == Data.number and to.kind in _CHECKED and not self._allows(source.node, to.dst, to.type):
            self._drop(source, to.dst, NOT_ALLOWED, to.type)
            self.refused(NOT_ALLOWED, f"{to.type!r} from {source.node!r} to {to.dst!r}")
        else:
            self._pass(source, port_, raw)

    def _allows(self, source: str, target: str, type_: str) -> bool:
        permissions = self.config.permissions
        return permissions.allows(source, "publish", type_) and permissions.allows(target, "subscribe", type_)

    def _pass(self, source: Port, target: Port, raw: RawFrame) -> None:
        if target.stream.full and target.stream.buffered > self.config.queue:
            target.dropped += 1
            self.count("dropped, queue full")
            return
        if source.node not in target.guest.watches:
            self.introductions.acquaint(source, target)
        source.relayed += 1
        target.stream.put(raw.whole)
        self._touched[target] = None

    def flush(self) -> None:
        """Let go what one piece of input has brought for others."""
        touched, self._touched = self._touched, {}
        for port in touched:
            port.stream.flush()

    def _drop(self, source: Port, node: str, reason: str, type_: str = "") -> None:
        self.count(f"dropped, {reason}")
        source.stream.send(encode(Unroutable(node, reason, type_)))

    # Words

    def count(self, what: str) -> None:
        """One more of a kind of thing."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def refused(self, code: str, message: str) -> None:
        """Count what a peer did wrong, and log the first of a kind."""
        self.count(f"refused, {code}")
        if code not in self._said and len(self._said) < REMEMBERED:
            self._said[code] = None
            self._log.warning("refused, %s: %s (more of this kind are counted, not logged)", code, message)

    def status(self) -> dict[str, Any]:
        """What there is to know of the switch, as data that JSON can hold.

        An incarnation is in hexadecimal, as in the log, for it has more digits than a number of JSON can be sure of;
        ``queue`` is in bytes. ``absent`` are the nodes that were here last and are not now.
        """
        now = self.loop.time()
        absent = [name for name in self.seen if name not in self.ports][-SHOWN:]
        return {
            "switch": self.name,
            "address": str(self.address),
            "version": VERSION,
            "tls": self.config.tls is not None,
            "seconds": round(now - self._since, 3),
            "nodes": {name: port.status(now) for name, port in self.ports.items()},
            "absent": {name: f"{self.seen[name]:x}" for name in absent},
            "greeting": len(self._greeting),
            "counts": dict(sorted(self.counts.items())),
        }  # fmt: skip
