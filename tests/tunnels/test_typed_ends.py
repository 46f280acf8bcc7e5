"""A handler whose opener is gone for good learns it as TunnelLost, in every mode, wherever it waits for its tunnel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edri_sim import BlockingTunnel, Tunnel, TunnelEnd, Worker, event, handles
from tests.links.cluster import Cluster, connector_of
from tests.worlds import World, pool_of, quick, until


@event(name="tunnels.Will")
class Will(Tunnel[int, int]):
    """How it ends is written to a file; ``full``: while it waits to send, and not to receive."""

    path: str
    full: bool


def write_down(event: Will, error: BaseException) -> None:
    Path(event.path).write_text(type(error).__name__)


class Heir(Worker):
    @handles
    async def will(self, event: Will, tunnel: TunnelEnd[int, int]) -> None:
        try:  # Also that it is told before it is back from its first send is right.
            await tunnel.send(0)
            while event.full:
                await tunnel.send(1)
            await tunnel.receive()
        except BaseException as error:
            write_down(event, error)
            raise


class PlainHeir(Worker):
    @handles
    def will(self, event: Will, tunnel: BlockingTunnel[int, int]) -> None:
        try:
            tunnel.send(0)
            while event.full:
                tunnel.send(1)
            tunnel.receive()
        except BaseException as error:
            write_down(event, error)
            raise


@pytest.mark.parametrize("full", [False, True], ids=["receives", "sends"])
@pytest.mark.parametrize("worker", [Heir, PlainHeir], ids=["async", "plain"])
def test_a_handler_is_told_that_its_opener_is_gone(
    world: World, mode: str, worker: type[Worker], full: bool, tmp_path: Path
) -> None:
    end = tmp_path / "end"

    async def main() -> None:
        cluster = Cluster("memory")
        soon = quick(drain_timeout=0.05)  # Word to a node that is taken to be gone waits for nothing.
        async with cluster, cluster.node("a", **soon) as a, cluster.node("b", pool_of(worker, mode), **soon) as b:

            async def hold() -> None:
                async with a.open(Will(str(end), full)) as tunnel:
                    assert await tunnel.receive() == 0
                    opened.set_result(None)
                    await asyncio.get_running_loop().create_future()

            opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            holding = asyncio.create_task(hold())
            await opened
            connector_of(b).on_down("a", left=True)
            await until(lambda: end.exists() and end.read_text(), "the handler to have ended")
            assert end.read_text() == "TunnelLost"
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    world.run(main)
