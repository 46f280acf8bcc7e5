"""What a node says of how it is doing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from edri_sim import Manager, Node, Worker, handles
from edri_sim.errors import DeadlineExceeded, NodeStopped, ProviderLost
from edri_sim.managers import saying
from edri_sim.realtime import memory
from edri_sim.routing.health import DEGRADED, FAILED, OK, STOPPING, Health, PoolHealth, worst
from tests.links.cluster import Cluster, connector_of
from tests.runtime.breakers import Break, Brittle, Sleep, Sleeper
from tests.runtime.cast import Ask, Ear, Gate, Told
from tests.worlds import World, pool_of, quick, turns, until


def test_a_node_counts_what_it_has_to_do(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        crew = pool_of(Brittle, size=2, queue=3)
        async with Node("solo", lambda: gate, crew, **quick()) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(7)]
            await until(lambda: len(gate.waiting) == 2)
            health = await node.health()
            assert (health.node, health.state, health.late) == ("solo", OK, 0)
            assert health.requests == 9  # The two that run have asked the gate.
            assert health.incarnation > 0
            assert health.uptime > 0
            assert (health.memory > 1_000_000) is not world.simulated
            gates, crews = health.parts
            assert [pool.name for part in health.parts for pool in part.pools] == [
                "solo/Gate", "solo/Crew.pool", "solo/Crew",
            ]  # fmt: skip
            assert gates.pools[0].running == 2
            pool = crews.pools[0]
            assert (pool.queued, pool.parked, pool.running, pool.stuck) == (3, 2, 2, 0)
            assert (pool.workers, pool.size, pool.restarts) == (2, 2, 0)
            gate.open()
            await asyncio.gather(*asked)
            after = (await node.health()).parts[1].pools[0]
            assert (after.queued, after.parked, after.running) == (0, 0, 0)

    world.run(main)


class Deaf(Worker):
    @handles
    async def sleep(self, event: Sleep) -> str:
        return await Sleeper.sleep(self, event)  # type: ignore[arg-type]


async def shows(node: Node, part: int, condition: Callable[[PoolHealth], bool]) -> None:
    """Wait until the health of a part's pool is so."""
    for _ in range(5_000):
        if condition((await node.health()).parts[part].pools[0]):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("in vain waited for the pool's health")


def test_it_shows_deaths_restarts_and_who_is_stuck(world: World) -> None:
    async def main() -> None:
        crew = pool_of(Brittle, size=2, restarts=0, within=100)
        async with Node("solo", crew, pool_of(Deaf), **quick(restart_delay_max=0.05)) as node:
            with pytest.raises(ProviderLost):
                await node.request(Break(), timeout=20)
            health = await node.health()
            assert (health.state, health.parts[0].state, health.parts[1].state) == (DEGRADED, DEGRADED, OK)
            pool = health.parts[0].pools[0]
            assert (pool.state, pool.workers, pool.restarts) == (DEGRADED, 1, 0)
            assert pool.reason.startswith("more than 0 workers died within 100 s; last, worker 0 died: is broken: its")
            await shows(node, 0, lambda pool: (pool.workers, pool.restarts) == (2, 1))
            with pytest.raises(DeadlineExceeded):
                await node.request(Sleep(0.2, deaf=True), timeout=0.02)
            assert (await node.health()).parts[1].pools[0].stuck == 1
            await shows(node, 1, lambda pool: pool.stuck == 0)

    world.run(main)


class Well(Manager):
    """Says what it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def health(self) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "never":
            await asyncio.get_running_loop().create_future()
        return self.answer  # type: ignore[no-any-return]


class PlainWell(Well):
    def health(self) -> str | Awaitable[str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [Well, PlainWell])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("ok", "ok"),
        ("the database is slow", "the database is slow"),
        (LookupError("no database"), "unhealthy: LookupError: no database"),
        (None, "unhealthy: its health() returned None: expected 'ok', or what is wrong as a str"),
        (TimeoutError("its own"), "unhealthy: TimeoutError: its own"),
    ],
)
def test_a_manager_says_how_it_is(world: World, kind: type[Well], answer: object, says: str) -> None:
    async def main() -> Health:
        async with Node("solo", lambda: kind(answer), Ear, **quick()) as node:
            return await node.health()

    health = world.run(main)
    assert health.parts[0].says == says
    assert (health.state == OK) is (says == OK)
    assert health.parts[1].says == OK


def test_a_manager_that_gives_no_answer_is_not_awaited_for_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying, "WITHIN", 0.05)

    async def main() -> float:
        async with Node("solo", *[lambda: Well("never")] * 5, **quick()) as node:
            loop = asyncio.get_running_loop()
            began = loop.time()
            health = await node.health()
            assert {part.says for part in health.parts} == {"unhealthy: its health() gave no answer within 0.05 s"}
            return loop.time() - began

    assert world.run(main) < (0.1 if world.simulated else 5)  # All are asked at once; a real machine may be busy.


def test_it_goes_into_json_and_comes_back(world: World) -> None:
    async def main() -> Health:
        async with Node("solo", pool_of(Brittle), **quick()) as node:
            return await node.health()

    health = world.run(main)
    encoded = msgspec.json.encode(health)
    assert msgspec.json.decode(encoded, type=Health) == health
    assert json.loads(encoded)["parts"] == json.loads(json.dumps(dataclasses.asdict(health)))["parts"]


def test_a_node_that_drains_says_so_and_one_that_is_stopped_has_no_health(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        node = Node("solo", lambda: gate, pool_of(Brittle), **quick())
        with pytest.raises(NodeStopped, match="node 'solo' is not running"):
            await node.health()
        await node.start()
        asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
        await until(lambda: gate.waiting)
        stopping = asyncio.ensure_future(node.stop())
        await turns(20)
        assert (await node.health()).state == STOPPING
        gate.open()
        await asked
        await stopping
        with pytest.raises(NodeStopped):
            await node.health()

    world.run(main)


def test_a_connector_shows_its_lines_and_what_it_holds_for_others(world: World) -> None:
    async def main() -> None:
        cluster = Cluster()
        async with cluster, cluster.node("a") as a, cluster.node("b", Ear) as b:
            await a.subscribed(Told, timeout=10)
            connector = (await a.health()).parts[0]
            assert connector.name == "a/connector"
            assert (connector.state, [link.up for link in connector.links]) == (OK, [True])
            await a.notify(Told(1))
            await a.settled()
            (peer,) = (await a.health()).parts[0].peers
            assert (peer.node, peer.reachable, peer.waiting, peer.kept) == ("b", True, 0, 0)
            assert (await b.health()).state == OK
            await cluster.switches[0].stop()
            await until(lambda: not connector_of(a).exchange.peers["b"].reachable)
            await a.notify(Told(2))
            health = await a.health()
            assert (health.state, [link.up for link in health.parts[0].links]) == (FAILED, [False])
            (peer,) = health.parts[0].peers
            assert (peer.reachable, peer.waiting, peer.size > 0) == (False, 1, True)

    world.run(main)


def test_the_worst_state_counts() -> None:
    assert worst([]) == OK
    assert worst([OK, DEGRADED, OK]) == DEGRADED
    assert worst([FAILED, DEGRADED]) == FAILED


def test_memory_is_0_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert memory.resident() > 1_000_000
    monkeypatch.setattr(memory, "STATM", tmp_path / "none")
    assert memory.resident() == 0
