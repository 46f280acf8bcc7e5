"""What becomes of events between nodes when the workers that have them die."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edri_sim import DeadLetter, Manager, Notification, Simulation, Topology, Worker, event, handles, part
from edri_sim.errors import NoRoute, ProviderLost
from edri_sim.faults import Kill
from tests.links.cluster import Cluster, connector_of
from tests.runtime.breakers import Break, Brittle, Keep, Repeated
from tests.runtime.cast import Ask, Gate
from tests.worlds import World, pool_of, quick, until


class Spare(Worker):
    @handles
    async def broken(self, event: Break) -> str:
        return f"spare {event.how}"


def test_what_waits_at_a_pool_that_fails_goes_to_another_node(world: World, cluster: Cluster) -> None:
    gate = Gate()

    async def main() -> None:
        failing = pool_of(Brittle, restarts=0)
        settings = quick(restart_delay_max=1_000, route_grace=5)
        async with (
            cluster,
            cluster.node("a", **settings) as a,
            cluster.node("b", failing, lambda: gate, **settings) as b,
        ):
            await a.subscribed(Break, timeout=10)
            held = asyncio.ensure_future(b.request(Ask("held"), timeout=20))
            await until(lambda: gate.waiting)
            breaks = asyncio.ensure_future(a.request(Break(), timeout=20))
            queued = [asyncio.ensure_future(a.request(Break(str(n)), timeout=20)) for n in range(5)]
            await until(lambda: len(b._running[1].pools[0].mailbox.queue) == 6)  # type: ignore[attr-defined]
            async with cluster.node("c", pool_of(Spare), **settings):
                await a.subscribed(Break, 2, timeout=10)
                gate.open()
                assert await held == "held"
                with pytest.raises(ProviderLost, match="its device is lost"):
                    await breaks
                assert await asyncio.gather(*queued) == [f"spare {n}" for n in range(5)]
                assert await a.request(Break("later"), timeout=10) == "spare later"

    world.run(main)


def test_without_another_the_requester_is_told_soon(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        failing = pool_of(Brittle, restarts=0)
        settings = quick(restart_delay_max=1_000)
        async with cluster, cluster.node("a", **settings) as a, cluster.node("b", failing, **settings):
            await a.subscribed(Break, timeout=10)
            with pytest.raises(ProviderLost):
                await a.request(Break(), timeout=10)
            with pytest.raises(NoRoute):
                await a.request(Break("x"), timeout=10)

    world.run(main)


def test_an_event_that_is_kept_until_handled_survives_the_death_of_a_worker(
    world: World, cluster: Cluster, tmp_path: Path
) -> None:
    seen: list[Repeated] = []

    class Answers(pool_of(Spare)):  # type: ignore[misc]
        @handles
        async def repeated(self, event: Repeated) -> None:
            seen.append(event)

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Answers, pool_of(Brittle), **quick()):
            await a.subscribed(Keep, timeout=10)
            await a.notify(Keep(str(tmp_path / "once"), 1))
            await until(lambda: seen)
            await until(lambda: not connector_of(a).exchange.peers["b"].kept)
            await a.notify(Keep(str(tmp_path / "always"), 99))
            await until(lambda: (tmp_path / "always").exists())
            await until(lambda: not connector_of(a).exchange.peers["b"].kept)

    world.run(main)
    (once,) = seen
    assert (once.count, once.redelivered, once.event_id.partition("/")[0]) == (2, True, "a")
    assert (tmp_path / "always").read_text(encoding="utf-8") == "3"


@event(name="abroad.Deadly", ack="handled")
class Deadly(Notification):
    """What takes its whole node along: no life ends its handler."""


class Victim(Manager):
    def __init__(self, simulation: list[Simulation], heard: list[tuple[float, bool]]) -> None:
        self._simulation = simulation
        self._heard = heard

    @handles
    async def deadly(self, event: Deadly) -> None:
        self._heard.append((self._simulation[0].now, self.delivery.redelivered))
        await asyncio.Event().wait()


class Coroner(Manager):
    def __init__(self, reasons: list[str]) -> None:
        self._reasons = reasons

    @handles
    async def letter(self, event: DeadLetter) -> None:
        self._reasons.append(event.reason)


@pytest.mark.parametrize("restarts_of_the_sender", [[], [330.0]])
def test_an_event_that_kills_its_node_comes_once_to_each_life_that_begins_within_the_retention(
    restarts_of_the_sender: list[float],
) -> None:
    here: list[Simulation] = []
    heard: list[tuple[float, bool]] = []
    reasons: list[str] = []
    topology = Topology("deadly")
    topology.switch("hub")
    topology.node("a", part(Coroner, reasons), switch="hub", durable=True)
    topology.node("b", part(Victim, here, heard), switch="hub")
    kills = [Kill("b", at=float(when), restart_after=1) for when in range(60, 900, 60)]
    kills += [Kill("a", at=when, restart_after=1) for when in restarts_of_the_sender]

    async def main(simulation: Simulation) -> None:
        await simulation.node("a").subscribed(Deadly)
        await asyncio.sleep(5 - simulation.now)
        await simulation.node("a").notify(Deadly())
        await asyncio.sleep(1_000 - simulation.now)

    with Simulation(topology, seed=7, faults=kills) as simulation:
        here.append(simulation)
        simulation.run(main(simulation))
    assert [int(when) // 60 for when, _ in heard] == list(range(11))  # At 5 s, after 61 s, ..., after 601 s.
    assert [again for _, again in heard] == [False, *[True] * 10]
    assert reasons == ["given up for b: retention"]
