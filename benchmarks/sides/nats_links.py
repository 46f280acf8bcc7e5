"""NATS: nats-py and its server. Requests by core request and reply, notifications through a JetStream stream in memory.

JetStream acknowledges hop by hop. A publishes asynchronously, with at most nats-py's default of 4,000 publications that
the server has not confirmed. B acknowledges to the server every 100th delivery, which confirms all before it, and tells
A on a core subject how many it has received: the server would tell A only if it asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
from msgspec import msgpack
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, PubAck, StorageType, StreamConfig

from benchmarks.sides import links
from benchmarks.sides.payload import Payload, payload

TIMEOUT = 5.0
"""Of a request, in seconds."""
ACK_EVERY = 100
UNDER_WAY = 8_000
"""Notifications that A publishes beyond those that B has said that it received."""
STREAM = StreamConfig(name="ticks", subjects=["tick"], storage=StorageType.MEMORY)
CONSUMER = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=UNDER_WAY)

encode = msgpack.Encoder().encode
decode = msgpack.Decoder(Payload).decode


async def _connect(place: links.Place) -> Client:
    await links.listening(place)
    return await nats.connect(f"nats://{links.HOST}:{place.port}")


class Requester:
    """A's end."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stream = client.jetstream()
        self.under_way = links.UnderWay(UNDER_WAY)
        self.failed: list[BaseException] = []

    async def request(self) -> Payload:
        """One round trip of a new payload."""
        while True:
            try:
                return decode((await self.client.request("echo", encode(payload()), timeout=TIMEOUT)).data)
            except NoRespondersError:
                await asyncio.sleep(links.RETRY)

    async def publish(self) -> None:
        """One notification."""
        await self.under_way.room()
        self.under_way.sent += 1
        confirmed = await self.stream.publish_async("tick", encode(payload()))
        confirmed.add_done_callback(self._confirmed)

    def _confirmed(self, confirmed: asyncio.Future[PubAck]) -> None:
        if failure := confirmed.exception():
            self.failed.append(failure)

    async def settled(self) -> None:
        """Wait until the server has confirmed all notifications, and B has received them."""
        await self.stream.publish_async_completed()
        if self.failed:
            raise self.failed[0]
        await self.under_way.settled()

    async def on_received(self, message: Msg) -> None:
        self.under_way.acknowledge(int(message.data))


class Responder:
    """B's end."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.received = 0

    async def echo(self, message: Msg) -> None:
        await message.respond(encode(decode(message.data)))

    async def on_tick(self, message: Msg) -> None:
        decode(message.data)
        self.received += 1
        if self.received % ACK_EVERY == 0:
            await message.ack()
            await self.client.publish("received", b"%d" % self.received)


@contextlib.asynccontextmanager
async def link(place: links.Place) -> AsyncIterator[Requester]:
    """A's end, connected to the server."""
    client = await _connect(place)
    requester = Requester(client)
    await client.subscribe("received", cb=requester.on_received)
    yield requester
    await client.close()


async def respond(place: links.Place) -> None:
    """Be B. It takes requests last, so that a reply tells A that the stream is there too."""
    client = await _connect(place)
    responder = Responder(client)
    if place.case == "link-notify":
        stream = client.jetstream()
        await stream.add_stream(STREAM)
        await stream.subscribe("tick", cb=responder.on_tick, config=CONSUMER, manual_ack=True)
    await client.subscribe("echo", cb=responder.echo)


def server(port: int, folder: Path) -> list[str]:
    """The command line of the server; it logs into the folder, and not where the harness looks for the reason."""
    program = Path(sys.executable).with_name("nats-server")
    return [str(program), "--addr", links.HOST, "--port", str(port), "--jetstream",
            "--store_dir", str(folder), "--log", str(folder / "log")]  # fmt: skip


if __name__ == "__main__":
    links.main(links.Side(a=links.driver(link), b=links.forever(respond), program=server))
