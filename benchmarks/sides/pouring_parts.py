"""Our event and components for the tunnel cases. A module of its own, so that children import it."""

from __future__ import annotations

from edri_sim import Manager, Pool, Tunnel, TunnelEnd, Worker, event, handles


@event
class Pour(Tunnel[bytes, int]):
    """What is sent up is counted."""


class Sink(Worker):
    """Reads, and does nothing with it."""

    @handles
    async def pour(self, event: Pour, tunnel: TunnelEnd[int, bytes]) -> None:  # noqa: ARG002 - it says what is handled
        count = 0
        async for _ in tunnel:
            count += 1
        await tunnel.send(count)


class Here(Manager):
    workers = Pool(Sink, mode="method")


class InAProcess(Manager):
    workers = Pool(Sink, mode="process")
