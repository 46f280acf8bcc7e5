"""How a pool replaces workers that die, with exact times: in a simulation whose process slots die on order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import Node, Simulation, Worker, handles
from edri_sim.envelope import Job
from edri_sim.errors import ProviderLost
from edri_sim.simulation import slots
from tests.runtime.cast import Ask
from tests.worlds import pool_of


class Mortal(slots.ModelledProcessSlot):
    """A slot that dies of an event that says so, and does not start while the time is in ``closed``."""

    started: list[float]
    closed: tuple[float, float]
    stillborn: list[int]
    """The workers, by index, that die once between their start and the end of the start of all."""

    async def start(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.closed[0] <= now < self.closed[1]:
            raise LookupError("cannot start now")
        self.started.append(now)
        await super().start()
        if self.index in self.stillborn:
            self.stillborn.remove(self.index)
            self._owner.lost(self, "died early")

    def submit(self, job: Job, extra: float = 0.0) -> None:
        if job.envelope.event.text == "die":
            self._owner.started(job)
            self._owner.lost(self, "died on order")
        else:
            super().submit(job, extra)


class Steady(Worker):
    @handles
    async def ask(self, event: Ask) -> str:
        return event.text


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> type[Mortal]:
    made = type("Mortal", (Mortal,), {"started": [], "closed": (0.0, 0.0), "stillborn": []})
    monkeypatch.setitem(slots.SLOTS, "process", made)
    return made


def run(main: Any) -> None:
    with Simulation() as simulation:
        simulation.run(main())


async def die(node: Node) -> None:
    with pytest.raises(ProviderLost, match=r"worker 0 of solo/Crew.pool died: died on order"):
        await node.request(Ask("die"), timeout=1_000)


def test_the_pause_doubles_up_to_its_limit_and_is_short_again_after_a_success(mortal: type[Mortal]) -> None:
    async def main() -> None:
        crew = pool_of(Steady, "process", restarts=100)
        async with Node("solo", crew, restart_delay=1, restart_delay_max=5) as node:
            for _ in range(5):
                await die(node)
            assert await node.request(Ask("well"), timeout=1_000) == "well"
            await die(node)
            assert await node.request(Ask("well"), timeout=1_000) == "well"

    run(main)
    # 1, 2, 4, then 5 and 5; and 1 again.
    assert mortal.started == pytest.approx([0, 1, 3, 7, 12, 17, 18])


def test_a_replacement_that_does_not_start_is_tried_again_with_longer_pauses(mortal: type[Mortal]) -> None:
    mortal.closed = (0.5, 6.5)

    async def main() -> None:
        async with Node("solo", pool_of(Steady, "process"), restart_delay=1) as node:
            await die(node)
            assert await node.request(Ask("well"), timeout=1_000) == "well"
            assert asyncio.get_running_loop().time() == pytest.approx(7)

    run(main)
    assert mortal.started == pytest.approx([0, 7])


def test_the_others_go_on_while_one_is_replaced(mortal: type[Mortal]) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Steady, "process", size=2), restart_delay=100, restart_delay_max=100) as node:
            with pytest.raises(ProviderLost):
                await node.request(Ask("die"), timeout=1_000)
            for number in range(10):
                assert await node.request(Ask(str(number)), timeout=1) == str(number)

    run(main)


def test_a_stop_during_the_pause_does_not_wait_for_it(mortal: type[Mortal]) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Steady, "process"), restart_delay=100, restart_delay_max=100) as node:
            await die(node)
        assert asyncio.get_running_loop().time() == 0

    run(main)
    assert mortal.started == [0]


def test_a_worker_that_dies_while_others_still_start_is_replaced_and_gets_no_work(mortal: type[Mortal]) -> None:
    mortal.stillborn = [0]

    async def main() -> None:
        async with Node("solo", pool_of(Steady, "process", size=2), restart_delay=1) as node:
            for number in range(4):
                assert await node.request(Ask(str(number)), timeout=0.5) == str(number)
            await asyncio.sleep(2)

    run(main)
    assert mortal.started == [0, 0, 1]


def test_a_replacement_that_dies_at_once_is_replaced_in_its_turn(mortal: type[Mortal]) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Steady, "process"), restart_delay=1) as node:
            mortal.stillborn = [0]
            await die(node)
            assert await node.request(Ask("well"), timeout=1_000) == "well"

    run(main)
    assert mortal.started == [0, 1, 3]
