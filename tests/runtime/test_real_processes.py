"""Process workers in real time: how they die, and what comes after."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from edri_sim import Node, Pool, Worker, event, handles
from edri_sim.errors import ProviderLost, RequestError
from tests.runtime.cast import Ask, Ear, Gate, Letters, Locate, Recall, Told, Tracker, Where
from tests.runtime.mortals import AnyTold, Die, Fragile, Mortal, Patient
from tests.worlds import World, pool_of, quick, records, until

REAL = World("real")


DEATHS = {
    "sigkill": "worker 0 of solo/Crew.pool died: was killed by SIGKILL",
    "exit": "worker 0 of solo/Crew.pool died: ended with exit code 3",
}


async def where(node: Node) -> Where:
    return await node.request(Locate(), timeout=20)


def test_a_worker_that_dies_fails_its_request_and_is_replaced() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Mortal, "process"), **quick()) as node:
            for how, words in DEATHS.items():
                before = await where(node)
                with records() as kept, pytest.raises(ProviderLost) as caught:
                    await node.request(Die(how), timeout=20)
                assert words in str(caught.value)
                assert str(caught.value).startswith("Die solo/")
                (logged,) = kept.at("ERROR")
                assert logged.getMessage() == words.replace(" of solo/Crew.pool", "").replace(
                    "worker 0", "solo/Crew.pool: worker 0"
                )
                after = await where(node)
                assert after.pid != before.pid
                assert after.count == 1

    REAL.run(main)


def test_a_worker_that_is_killed_while_idle_is_replaced() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Mortal, "process"), **quick()) as node:
            before = await where(node)
            os.kill(before.pid, signal.SIGKILL)
            with records() as kept:
                await until(lambda: kept.at("ERROR"))
            assert (await where(node)).pid != before.pid

    REAL.run(main)


def test_all_requests_of_a_dead_worker_end_and_those_in_the_mailbox_are_served() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Mortal, "process", concurrency=3), **quick()) as node:
            pid = (await where(node)).pid
            held = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=20)) for n in range(3)]
            queued = asyncio.ensure_future(where(node))
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            errors = await asyncio.gather(*held, return_exceptions=True)
            assert [type(error) for error in errors] == [ProviderLost] * 3
            assert (await queued).pid != pid

    REAL.run(main)


def test_what_a_dead_worker_had_asked_for_is_cancelled() -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Patient, "process"), lambda: gate, **quick()) as node:
            pid = (await where(node)).pid
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(ProviderLost):
                await asked
            router = node._router
            assert router is not None
            await until(lambda: router.live == 0, "the nested request to end")
            await where(node)

    REAL.run(main)


def test_a_notification_that_killed_its_worker_is_a_dead_letter() -> None:
    letters = Letters()

    async def main() -> None:
        async with Node("solo", lambda: letters, pool_of(Mortal, "process"), **quick()) as node:
            await node.notify(Told(1))
            await until(lambda: letters.list)
            (letter,) = letters.list
            assert (letter.type, letter.where) == ("Told", "solo/Crew.pool")
            assert "was killed by SIGKILL" in letter.reason
            await where(node)

    REAL.run(main)


def test_the_pause_before_a_replacement_doubles_with_each_death_in_a_row() -> None:
    async def main() -> list[float]:
        async with Node("solo", pool_of(Mortal, "process"), **quick(restart_delay=0.05)) as node:
            with records() as kept:
                for _ in range(4):
                    with pytest.raises(ProviderLost):
                        await node.request(Die("exit"), timeout=20)
            died = [record.created for record in kept.at("ERROR")]
            await where(node)
        return [later - earlier for earlier, later in pairwise(died)]

    gaps = REAL.run(main)
    assert len(gaps) == 3
    # Lower bounds only: what a start takes on top is the machine's affair.
    assert all(gap >= 0.05 * 2**number for number, gap in enumerate(gaps))


def test_a_replacement_that_does_not_start_is_tried_again(tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"

    async def main() -> None:
        async with Node("solo", pool_of(Fragile, "process", args=(str(obstacle),)), **quick()) as node:
            obstacle.touch()
            with records() as kept:
                with pytest.raises(ProviderLost):
                    await node.request(Die("exit"), timeout=20)
                await until(lambda: any("did not start again" in record.getMessage() for record in kept.list))
            obstacle.unlink()
            assert (await where(node)).count == 1

    REAL.run(main)


def test_a_cancelled_busy_loop_is_killed_after_kill_after_and_replaced() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Mortal, "process"), **quick(kill_after=0.1)) as node:
            before = await where(node)
            with pytest.raises(TimeoutError):
                await node.request(Die("hang"), timeout=0.1)
            assert (await where(node)).pid != before.pid

    REAL.run(main)


def test_a_cancelled_async_handler_is_not_killed() -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Patient, "process"), lambda: gate, **quick(kill_after=0.1)) as node:
            before = await where(node)
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert await node.request(Recall(), timeout=20) == ["began x", "CancelledError"]
            await asyncio.sleep(0.3)
            after = await where(node)
            assert (after.pid, after.count) == (before.pid, 2)

    REAL.run(main)


def test_a_worker_that_does_not_stop_is_killed_and_named() -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Mortal, "process"), **quick(kill_after=0.1, drain_timeout=0.1))
        with records() as kept:
            async with node:
                hang = asyncio.ensure_future(node.request(Die("hang"), timeout=20))
                await asyncio.sleep(0.1)
            with pytest.raises(RequestError, match="stopped before the reply"):
                await hang
        assert "solo/Crew.pool: worker 0 did not stop and is killed" in [r.getMessage() for r in kept.list]

    REAL.run(main)


def test_workers_run_in_children_of_their_own_with_one_instance_each() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Tracker, "process", size=3)) as node:
            seen = await asyncio.gather(*[where(node) for _ in range(30)])
        pids = {place.pid for place in seen}
        assert len(pids) == 3
        assert os.getpid() not in pids
        # One instance a child: its answers are numbered without a gap.
        for pid in pids:
            counts = [place.count for place in seen if place.pid == pid]
            assert sorted(counts) == list(range(1, len(counts) + 1))

    REAL.run(main)


def test_a_class_from_inside_a_function_is_sent_by_value() -> None:
    bound = 41

    class Local(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            return f"{bound + 1} in another process: {os.getpid() != parent}"

    parent = os.getpid()

    async def main() -> None:
        async with Node("solo", pool_of(Local, "process")) as node:
            assert await node.request(Ask(), timeout=20) == "42 in another process: True"

    REAL.run(main)


def test_the_import_path_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from edri_sim import Worker, handles
from tests.runtime.cast import Ask

class Elsewhere(Worker):
    @handles
    def ask(self, event: Ask) -> str:
        import also_elsewhere
        return also_elsewhere.ANSWER
"""
    (tmp_path / "elsewhere_edri.py").write_text(source)
    (tmp_path / "also_elsewhere.py").write_text("ANSWER = 'found'")
    monkeypatch.syspath_prepend(tmp_path)
    import elsewhere_edri  # type: ignore[import-not-found]

    async def main() -> None:
        async with Node("solo", pool_of(elsewhere_edri.Elsewhere, "process")) as node:
            assert await node.request(Ask(), timeout=20) == "found"

    try:
        REAL.run(main)
    finally:
        del sys.modules["elsewhere_edri"]


def test_an_event_that_is_declared_after_the_start_reaches_a_process() -> None:
    ear = Ear()

    async def main() -> None:
        async with Node("solo", lambda: ear, pool_of(AnyTold, "process")) as node:

            @event(name="LateTold")
            class LateTold(Told):
                pass

            await node.notify(LateTold(5))
            await until(lambda: 105 in ear.heard)

    REAL.run(main)
    assert ear.heard == [5, 105]


def test_a_pool_of_processes_shows_in_its_repr() -> None:
    assert repr(Pool(Tracker, mode="process", size=4)) == "Pool(Tracker, mode='process', size=4)"
