"""Workers that say which trace their event belongs to; light, for process workers import this module too."""

from __future__ import annotations

from edri_sim import Manager, Notification, Request, Tunnel, TunnelEnd, Worker, event, handles
from edri_sim.traceparent import continuing

OUTSIDE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
"""From the specification, but not sampled."""


@event(name="traces.Outer")
class Outer(Request[tuple[str, str]]):
    """Replies with its own traceparent, and that of the request that its handler makes."""


@event(name="traces.Inner")
class Inner(Request[str]):
    pass


@event(name="traces.Turn")
class Turn(Request[list[str]]):
    """As Outer; its handler asks in a trace from outside first, then in what is none, and then in its own."""


@event(name="traces.Passed")
class Passed(Notification):
    pass


@event(name="traces.Tell")
class Tell(Tunnel[None, str]):
    """Its own traceparent comes down."""


@event(name="traces.Dig")
class Dig(Request[tuple[str, str]]):
    """As Outer, of the tunnel that its handler opens."""


class Tracer(Worker):
    @handles
    async def outer(self, event: Outer) -> tuple[str, str]:
        await self.notify(Passed())
        return self.delivery.traceparent, await self.request(Inner())

    @handles
    async def turn(self, event: Turn) -> list[str]:
        found = [self.delivery.traceparent]
        for text in (OUTSIDE, "no trace"):
            with continuing(text):
                found.append(await self.request(Inner()))
        return [*found, await self.request(Inner())]

    @handles
    async def dig(self, event: Dig) -> tuple[str, str]:
        async with self.open(Tell()) as tunnel:
            return self.delivery.traceparent, await tunnel.receive()


class PlainTracer(Worker):
    """The same in plain functions."""

    @handles
    def outer(self, event: Outer) -> tuple[str, str]:
        self.blocking.notify(Passed())
        return self.delivery.traceparent, self.blocking.request(Inner())

    @handles
    def turn(self, event: Turn) -> list[str]:
        found = [self.delivery.traceparent]
        for text in (OUTSIDE, "no trace"):
            with continuing(text):
                found.append(self.blocking.request(Inner()))
        return [*found, self.blocking.request(Inner())]

    @handles
    def dig(self, event: Dig) -> tuple[str, str]:
        with self.blocking.open(Tell()) as tunnel:
            return self.delivery.traceparent, tunnel.receive()


class Insider(Worker):
    @handles
    async def inner(self, event: Inner) -> str:
        return self.delivery.traceparent

    @handles
    async def tell(self, event: Tell, tunnel: TunnelEnd[str, None]) -> None:
        await tunnel.send(self.delivery.traceparent)


class Witness(Manager):
    """Keeps the traceparents of notifications."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles
    async def passed(self, event: Passed) -> None:
        self.seen.append(self.delivery.traceparent)
