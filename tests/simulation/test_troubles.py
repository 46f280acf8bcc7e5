"""Faults of what runs on: crashed workers, slow consumers, slow and full disks, clocks that are set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import Manager, Pool, Request, Simulation, Topology, Worker, event, handles
from edri_sim.errors import ProviderLost, StorageError
from edri_sim.faults import ClockJump, Crash, DiskFull, Fault, Pause, SlowConsumer, SlowDisk, WorkerCrash
from edri_sim.service import Costs, Service
from tests.worlds import records


@event(name="troubles.Work")
class Work(Request[str]):
    seconds: float


SAID: list[str] = []


class Hand(Worker):
    @handles
    async def work(self, event: Work) -> str:
        SAID.append("began")
        await asyncio.sleep(event.seconds)
        SAID.append("ended")
        return "done"


class Shop(Manager):
    hands = Pool(Hand, mode="process", size=2)


class Desk(Manager):
    @handles
    async def work(self, event: Work) -> str:
        return "done"


CRASH = WorkerCrash("shop", at=1, pool="Shop.hands")


@pytest.fixture(autouse=True)
def silence() -> None:
    SAID.clear()


def shop(*faults: Fault, part: type[Manager] = Shop, service: Any = None, **node: Any) -> Simulation:
    topology = Topology("shop")
    topology.node("shop", part, **node)
    return Simulation(topology, seed=7, faults=faults, service=service)


def ask(simulation: Simulation, seconds: float, at: float = 0.5) -> tuple[float, str]:
    """Ask for work at a time; returns when it ended, and how."""

    async def main() -> tuple[float, str]:
        await asyncio.sleep(at - simulation.now)
        try:
            said = await simulation.node("shop").request(Work(seconds), timeout=60)
        except ProviderLost as error:
            said = str(error)
        return round(simulation.now, 6), said

    found = simulation.run(main())
    assert found is not None
    return found


@pytest.mark.parametrize("service", [Service(), Service(cpu=0.3), Service(cpu=2), Service(wait=2)], ids=str)
def test_a_worker_that_crashes_takes_its_work_along(service: Service) -> None:
    with shop(CRASH, service={Work: service}) as simulation, records() as kept:
        when, said = ask(simulation, 3)
        assert (when, "worker 0 of shop/Shop.hands died: was killed by SIGKILL" in said) == (1, True)
        assert [record.getMessage() for record in kept.at("ERROR")] == [
            "shop/Shop.hands: worker 0 died: was killed by SIGKILL"
        ]
        began = list(SAID)
        simulation.run(until=10)
        # Nothing that was under way goes on, and no core is held for it.
        assert began == SAID
        assert simulation.hosts["shop"].processor.cores.count == 0


def test_the_pool_replaces_it_and_the_other_goes_on() -> None:
    with shop(CRASH, service={Work: Service(cpu=0.1)}) as simulation:

        async def main() -> list[Any]:
            node = simulation.node("shop")
            await asyncio.sleep(0.9)
            return await asyncio.gather(*[node.request(Work(0.5)) for _ in range(2)], return_exceptions=True)

        first, second = simulation.run(main()) or []
        assert isinstance(first, ProviderLost)
        assert second == "done"
        assert [ask(simulation, 0, at=3)[1] for _ in range(4)] == ["done"] * 4


def test_a_crash_of_a_worker_that_idles_is_repaired_unseen() -> None:
    with shop(CRASH, WorkerCrash("shop", at=1, pool="Shop.hands", index=1)) as simulation:
        assert ask(simulation, 0.1, at=1.05) == (1.3, "done")  # Once new ones have started, after 0.2 s: two had died.


def test_of_a_paused_machine_it_is_noticed_later() -> None:
    with shop(Pause("shop", at=0.8, duration=2), CRASH) as simulation:
        when, said = ask(simulation, 1.5)
        assert when == 2.8
        assert "killed by SIGKILL" in said


def test_two_crashes_at_one_instant_are_one() -> None:
    with shop(CRASH, CRASH, service={Work: Service(cpu=0.1)}) as simulation:
        assert ask(simulation, 3)[0] == 1
        assert ask(simulation, 0, at=2)[1] == "done"


def test_crashes_are_the_same_in_every_run() -> None:
    digests = set()
    for _ in range(2):
        with shop(CRASH) as simulation:
            ask(simulation, 3)
            simulation.run(until=5)
            digests.add(simulation.result().digest)
    assert len(digests) == 1


def test_consumers_are_slow_for_a_while_and_delays_add_up() -> None:
    slow = SlowConsumer("shop", at=1, duration=2, delay=0.25)
    with shop(slow, SlowConsumer("shop", at=2, duration=2, delay=0.5), part=Desk) as simulation:
        took = [round(ask(simulation, 0, at=at)[0] - at, 6) for at in (0.5, 1.5, 2.5, 3.5, 4.5)]
    assert took == [0, 0.25, 0.75, 0.5, 0]


# Disks


def commits(*faults: Fault, at: list[float], life: int = 1, **node: Any) -> list[object]:
    """How long each commit took that began at these times, or what it raised."""
    seen: list[object] = []

    async def program() -> None:
        host = simulation.hosts["shop"]
        storage, loop = host.storage("notes"), asyncio.get_running_loop()
        if host.lives != life:
            return
        for when in at:
            await asyncio.sleep(when - loop.time())
            try:
                await storage.commit([("CREATE TABLE IF NOT EXISTS notes (n)", [()])])
            except StorageError as error:
                seen.append(str(error))
            else:
                seen.append(round(loop.time() - when, 6))
        await storage.close()

    with shop(*faults, part=Desk, **node) as simulation:
        simulation.hosts["shop"].boot(program)
        simulation.run(until=20)
    return seen


def test_a_slow_disk_takes_longer_for_a_while() -> None:
    slow = SlowDisk("shop", at=1, duration=2, delay=0.5)
    assert commits(slow, at=[0, 1.5, 4], costs=Costs(commit=0.01)) == [0.01, 0.51, 0.01]


def test_a_full_disk_stores_nothing_for_a_while() -> None:
    full = "storage shop/notes.sqlite: the disk is full: make room, or change the data folder"
    both = [DiskFull("shop", at=1, duration=2), DiskFull("shop", at=2, duration=2)]
    assert commits(*both, at=[0, 1.5, 2.5, 3.5, 4.5]) == [0, full, full, full, 0]


def test_a_restart_mends_no_disk() -> None:
    slow = SlowDisk("shop", at=1, duration=9, delay=0.5)
    assert commits(slow, Crash("shop", at=2, restart_after=1), at=[4, 11], life=2) == [0.5, 0]


def test_a_clock_is_set_and_the_loop_knows_nothing() -> None:
    with shop(ClockJump("shop", at=1, seconds=3_600), ClockJump("shop", at=2, seconds=-60), part=Desk) as simulation:
        host = simulation.hosts["shop"]
        seen = []
        for until in (0.5, 1.5, 2.5):
            simulation.run(until=until)
            seen.append((host.now() - simulation.hosts["main"].now()).total_seconds())
        assert seen == [0, 3_600, 3_540]
        assert host.loop.time() == 2.5
