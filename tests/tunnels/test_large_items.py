"""An item that is too large to travel to another node is refused where it is sent, in every mode, and does no harm."""

from __future__ import annotations

import pytest

from edri_sim import BlockingTunnel, Request, Tunnel, TunnelEnd, Worker, event, handles
from edri_sim.errors import EventTooLarge
from tests.links.cluster import Cluster
from tests.tunnels.cast import Blobs, Serving
from tests.worlds import World, pool_of

LARGE, SMALL = b"x" * 2_000_000, b"x" * 1_000


@event(name="tunnels.Pour")
class Pour(Tunnel[None, bytes]):
    """A large item is tried, and then a small one comes down."""


@event(name="tunnels.Measure")
class Measure(Request[int]):
    """A large item is tried on a tunnel to another node, and a small one is measured there."""


class Pouring(Worker):
    @handles
    async def pour(self, event: Pour, tunnel: TunnelEnd[bytes, None]) -> None:
        with pytest.raises(EventTooLarge, match="send it in pieces"):
            await tunnel.send(LARGE)
        await tunnel.send(SMALL)

    @handles
    async def measure(self, event: Measure) -> int:
        async with self.open(Blobs()) as tunnel:
            with pytest.raises(EventTooLarge, match="send it in pieces"):
                await tunnel.send(LARGE)
            await tunnel.send(SMALL)
            return await tunnel.receive()


class PlainPouring(Worker):
    @handles
    def pour(self, event: Pour, tunnel: BlockingTunnel[bytes, None]) -> None:
        with pytest.raises(EventTooLarge, match="send it in pieces"):
            tunnel.send(LARGE)
        tunnel.send(SMALL)

    @handles
    def measure(self, event: Measure) -> int:
        with self.blocking.open(Blobs()) as tunnel:
            with pytest.raises(EventTooLarge, match="send it in pieces"):
                tunnel.send(LARGE)
            tunnel.send(SMALL)
            return tunnel.receive()


@pytest.mark.parametrize("worker", [Pouring, PlainPouring], ids=["async", "plain"])
def test_a_worker_is_refused_an_item_that_is_too_large_and_its_tunnel_goes_on(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        cluster = Cluster("memory")
        async with cluster, cluster.node("a", pool_of(Serving)) as a, cluster.node("b", pool_of(worker, mode)):
            async with a.open(Pour(), timeout=20) as tunnel:
                assert [len(item) async for item in tunnel] == [len(SMALL)]
            assert await a.request(Measure(), timeout=20) == len(SMALL)

    world.run(main)
