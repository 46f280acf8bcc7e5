"""Tunnels to another node: the same as within one, in every mode of its workers, and what is left of them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from edri_sim import Manager, Node, Tunnel, TunnelEnd, Worker, event, handles
from edri_sim.errors import CodecError, EventTooLarge, HandlerError, NodeStopped, NoRoute, RequestError, TunnelClosed
from edri_sim.events import event_type
from edri_sim.links.connector import RunningConnector
from edri_sim.links.permissions import Permissions
from edri_sim.links.switch import SwitchConfig
from edri_sim.routing.tunnel import WINDOW
from tests.links.cluster import Cluster, connector_of
from tests.tunnels.cast import Blobs, Count, Double, Doubler, Fail, PlainServing, Reader, Serving, Sum
from tests.worlds import World, pool_of, quick, records, turns, until


@pytest.fixture(params=[Serving, PlainServing], ids=["async", "plain"])
def worker(request: pytest.FixtureRequest) -> type[Worker]:
    """Who serves: coroutines, then plain functions."""
    chosen: type[Worker] = request.param
    return chosen


def lanes(connector: RunningConnector) -> int:
    """How many lanes of tunnels a router keeps, and tunnels."""
    peers = connector.exchange.peers.values()
    kept = sum(lane > 1 for peer in peers for lane in [*peer.sends, *peer.receives, *peer.expected])
    return kept + len(connector.tunnels)


async def nothing_left(*nodes: Node) -> None:
    """Wait until the nodes keep nothing of any tunnel."""
    for node in nodes:
        connector = connector_of(node)
        await until(lambda connector=connector: not lanes(connector), f"{node} to forget its tunnels")  # type: ignore[misc]
        await until(lambda connector=connector: not connector.exchange.bytes)  # type: ignore[misc]


async def read_all(node: Node, event: Any, read: list[int]) -> None:
    async with node.open(event) as tunnel:
        async for number in tunnel:
            read.append(number)


def test_items_go_both_ways_in_order(world: World, cluster: Cluster, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(worker, mode)) as b:
            async with a.open(Double()) as tunnel:
                for number in range(200):
                    await tunnel.send(number)
                    assert await tunnel.receive() == 2 * number
            await nothing_left(a, b)

    world.run(main)


def test_a_half_closes_and_the_other_goes_on(world: World, cluster: Cluster, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(worker, mode)) as b:
            async with a.open(Sum()) as tunnel:
                for number in range(1_000):
                    await tunnel.send(number)
                tunnel.end()
                assert [total async for total in tunnel] == [499_500]
                with pytest.raises(TunnelClosed, match="ended its half"):
                    await tunnel.send(1)
            await nothing_left(a, b)

    world.run(main)


def test_what_came_before_an_error_is_read_first(world: World, cluster: Cluster, mode: str) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(Serving, mode)) as b:
            read: list[int] = []
            with pytest.raises(HandlerError, match="as told") as caught:
                await read_all(a, Fail(first=50), read)
            assert caught.value.type_name == "LookupError"
            assert read == list(range(50))
            await nothing_left(a, b)

    world.run(main)


def test_a_handler_that_returns_early_ends_both_halves(world: World, cluster: Cluster, mode: str) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(Serving, mode)) as b:
            async with a.open(Double(most=2)) as tunnel:
                await tunnel.send(1)
                await tunnel.send(2)
                assert [number async for number in tunnel] == [2, 4]
                with pytest.raises(TunnelClosed):
                    await tunnel.send(3)
            await nothing_left(a, b)

    world.run(main)


def test_who_leaves_a_tunnel_that_only_sends_down_ends_it(
    world: World, cluster: Cluster, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(worker, mode)) as b:
            for _ in range(3):  # Each needs the one worker.
                read = []
                async with a.open(Count(), timeout=10) as tunnel:
                    async for number in tunnel:
                        read.append(number)
                        if len(read) == 200:
                            break
                assert read == list(range(1, 201))
            await nothing_left(a, b)

    world.run(main)


def test_an_item_of_the_wrong_type_and_one_too_large_are_refused_and_the_tunnel_goes_on(
    world: World, cluster: Cluster
) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(Serving)) as b:
            async with a.open(Blobs()) as tunnel:
                with pytest.raises(CodecError, match=r"Blobs a/.*: an item cannot be sent: bytes: expected b"):
                    await tunnel.send("text")  # type: ignore[arg-type]
                with pytest.raises(EventTooLarge, match=r"an item of 20000.. bytes, .* send it in pieces"):
                    await tunnel.send(b"x" * 2_000_000)
                await tunnel.send(b"x" * 1_000_000)
                tunnel.end()
                assert [size async for size in tunnel] == [1_000_000]
            await nothing_left(a, b)

    world.run(main)


def test_a_slow_reader_slows_the_writer_and_nobody_else(world: World, cluster: Cluster) -> None:
    reader = Reader()

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", lambda: reader, Doubler) as b:
            async with a.open(Sum()) as tunnel:
                sent = 0

                async def write() -> None:
                    nonlocal sent
                    for number in range(500):
                        await tunnel.send(number)
                        sent += 1

                writing = asyncio.ensure_future(write())
                await until(lambda: sent == WINDOW)
                async with a.open(Double()) as other:
                    for number in range(300):
                        await other.send(number)
                        assert await other.receive() == 2 * number
                assert sent == WINDOW
                assert connector_of(a).exchange.bytes <= 10 * WINDOW
                for _ in range(200):
                    reader.allowed.release()
                await until(lambda: len(reader.read) == 201)
                await turns(20)
                assert sent <= 201 + WINDOW
                for _ in range(500):
                    reader.allowed.release()
                await writing
                tunnel.end()
                await until(lambda: reader.ended == "returned")
                assert reader.read == list(range(500))
            await nothing_left(a, b)

    world.run(main)


def test_large_items_wait_for_bytes_not_for_their_number(world: World, cluster: Cluster, mode: str) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", pool_of(Serving, mode)) as b:
            async with a.open(Blobs()) as tunnel:
                held = 0
                for _ in range(30):
                    await tunnel.send(b"x" * 900_000)
                    held = max(held, connector_of(a).exchange.bytes)
                tunnel.end()
                assert [size async for size in tunnel] == [900_000] * 30
                assert held < 6 << 20
            await nothing_left(a, b)

    world.run(main)


def test_an_exception_in_the_block_cancels_the_handler(world: World, cluster: Cluster) -> None:
    reader = Reader()

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", lambda: reader) as b:

            async def fail() -> None:
                async with a.open(Sum()) as tunnel:
                    await tunnel.send(1)
                    await until(lambda: reader.read == [1])
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            await until(lambda: reader.ended == "CancelledError")
            await nothing_left(a, b)

    world.run(main)


def test_a_node_that_stops_while_it_serves(world: World, cluster: Cluster) -> None:
    reader = Reader()

    async def main() -> None:
        async with cluster, cluster.node("a") as a:
            b = cluster.node("b", lambda: reader, **quick(drain_timeout=0.05))
            await b.start()

            async def hold() -> None:
                async with a.open(Sum()) as tunnel:
                    await tunnel.send(1)
                    await tunnel.receive()

            holding = asyncio.ensure_future(hold())
            await until(lambda: reader.read == [1])
            await b.stop()
            with pytest.raises(NodeStopped, match="stopped"):
                await holding
            assert reader.ended == "CancelledError"
            await nothing_left(a)

    world.run(main)


def test_a_node_that_stops_lets_open_tunnels_come_to_their_end_and_cancels_those_that_have_none(
    world: World, cluster: Cluster
) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a", **quick()) as a:
            b = cluster.node("b", pool_of(Serving, concurrency=2), **quick(drain_timeout=2.0))
            await b.start()
            endless = asyncio.ensure_future(read_all(a, Double(), []))
            await until(lambda: connector_of(b).tunnels)
            async with a.open(Sum()) as tunnel:
                await tunnel.send(1)
                stopping = asyncio.ensure_future(b.stop())
                await until(lambda: not connector_of(a).book.subscribers("tunnels.Sum"), "b to take no more")
                await tunnel.send(2)
                tunnel.end()
                assert await tunnel.receive() == 3
            assert not stopping.done()
            with pytest.raises(NodeStopped, match="stopped"):
                await endless
            await stopping
            await nothing_left(a)

    world.run(main)


def test_a_node_that_stops_while_it_has_one_open(world: World, cluster: Cluster) -> None:
    reader = Reader()

    async def main() -> None:
        async with cluster, cluster.node("b", lambda: reader) as b:
            a = cluster.node("a", **quick(drain_timeout=0.05))
            await a.start()

            async def hold() -> None:
                async with a.open(Sum()) as tunnel:
                    await tunnel.send(1)
                    await tunnel.receive()

            holding = asyncio.ensure_future(hold())
            await until(lambda: reader.read == [1])
            await a.stop()
            with pytest.raises(NodeStopped, match="stopped"):
                await holding
            await until(lambda: reader.ended == "CancelledError")
            await nothing_left(b)

    world.run(main)


@pytest.mark.parametrize("where", ["at the switch", "at the receiver"])
def test_who_may_not_open_it_is_told_so(world: World, where: str) -> None:
    rules = Permissions({"a": {"publish": ["tunnels.Double"]}, "*": {"publish": ["*"], "subscribe": ["*"]}})
    at_switch = where == "at the switch"

    async def main() -> None:
        config = SwitchConfig(permissions=rules) if at_switch else None
        async with Cluster("switch", config=config) as cluster:
            b = cluster.node("b", pool_of(Serving), permissions=None if at_switch else rules)
            async with b, cluster.node("a", **quick()) as a:
                with pytest.raises(RequestError, match=r"not let it pass|not allowed"):
                    async with a.open(Sum(), timeout=2):
                        pass
                async with a.open(Double()) as tunnel:
                    await tunnel.send(1)
                    assert await tunnel.receive() == 2

    world.run(main)


@event(name="tunnels.Later")
class Later(Tunnel[int, str]):
    """On b its items are others."""


def test_items_of_other_types_do_not_get_through(world: World, cluster: Cluster, fresh_names: None) -> None:
    class Serves(Manager):
        @handles
        async def later(self, event: Later, tunnel: TunnelEnd[str, int]) -> None:
            await tunnel.send("hi")

    async def main() -> None:
        async with cluster, cluster.node("a", **quick()) as a:
            theirs = dataclasses.replace(event_type(Later), up=bytes)
            async with cluster.node("b", Serves) as b:
                table = b._router.types  # type: ignore[union-attr]
                table.by_name["tunnels.Later"] = table.by_class[Later] = theirs
                with records("edri_sim.connector") as log, pytest.raises(NoRoute):
                    async with a.open(Later(), timeout=2):
                        pass
                assert any(
                    "the items that go: the value: the writer sends int" in record.getMessage()
                    for record in log.at("ERROR")
                )

    world.run(main)
