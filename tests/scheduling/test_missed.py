"""What was due while nobody looked: a node that was down, and a wall clock that jumped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edri_sim import Settings
from edri_sim.errors import SettingsError
from edri_sim.host import current_host
from edri_sim.realtime.host import LocalHost
from edri_sim.scheduling import BadSchedule, ListSchedules, Missed, PackedEvent, Reschedule, Schedule, rules
from edri_sim.scheduling.book import MOST_MISSED
from edri_sim.simulation.simulate import EPOCH
from tests.scheduling.cast import Copy, Tick, here
from tests.scheduling.machine import COMMIT, Machine, faults_of
from tests.worlds import World, until

HOUR, DAY = 3_600.0, 86_400.0
DAILY = "0 3 * * *"
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("run_once", ["01 03:00:00", "02 03:00:00", "05 03:00:00"]),
        ("run_all", ["01 03:00:00", "02 03:00:00", "03 03:00:00", "04 03:00:00", "05 03:00:00"]),
        ("skip", ["01 03:00:00", "05 03:00:00"]),
    ],
)
def test_a_node_that_was_down_for_three_nights(missed: Missed, expected: list[str], monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron=DAILY, id="a", missed=missed))
        machine.until(DAY)
        machine.off(3 * DAY)
        machine.until(5 * DAY)
        assert machine.dues() == expected
        assert machine.ticks == [1] * len(expected), "they came to who started after the scheduler"
        assert faults_of(machine.fired) == []
        assert machine.doubts() == []


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ("run_once", ["01 01:00:00", "01 02:00:00", "01 05:00:00"]),
        ("run_all", ["01 01:00:00", "01 02:00:00", "01 03:00:00", "01 04:00:00", "01 05:00:00"]),
        ("skip", ["01 01:00:00", "01 05:00:00"]),
    ],
)
def test_every_goes_on_in_its_rhythm_after_a_restart(missed: Missed, expected: list[str], monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:

        async def main() -> None:
            await machine.node.request(Schedule(Tick(1), every=HOUR, id="a", missed=missed))

        machine.simulation.run(main())
        machine.until(1.5 * HOUR)
        machine.off(3 * HOUR)
        machine.until(5.5 * HOUR)
        rounded = [f"{fired.due + timedelta(seconds=0.5):%d %H:%M:%S}" for fired in machine.fired]
        assert rounded == expected
        assert faults_of(machine.fired) == []


def test_run_all_makes_up_for_so_many_the_oldest_and_then_goes_on(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="* * * * *", id="a", missed="run_all"))
        machine.off(2 * DAY)
        machine.until(2 * DAY + 90)
        assert len(machine.fired) == MOST_MISSED + 1
        assert machine.dues()[MOST_MISSED - 1 :] == ["01 16:40:00", "03 00:01:00"]
        assert faults_of(machine.fired) == []


def test_a_single_time_that_passed_meanwhile(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        at = EPOCH + timedelta(hours=3)
        once = Schedule(Tick(1), at=at, id="once")
        machine.schedule(once, Schedule(Tick(2), at=at, id="skipped", missed="skip"))
        machine.off(DAY)
        machine.until(2 * DAY)
        assert [(fired.id, fired.due) for fired in machine.fired] == [("once", at)]
        assert machine.listed() == []


def test_nothing_of_an_earlier_life_is_fired_before_others_had_time_to_start(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), every=1, id="a"))
        machine.until(10.5)
        machine.off(10)
        machine.until(30)
        back = machine.host.now() - timedelta(seconds=30 - 20.5)
        first = next(fired.time for fired in machine.fired if fired.time > back)
        assert first - back == pytest.approx(timedelta(seconds=Settings().route_grace), abs=timedelta(seconds=0.05))


def test_in_memory_nothing_is_left_of_an_earlier_life(monkeypatch: Patch) -> None:
    with Machine(monkeypatch, storage=None) as machine:
        machine.schedule(Schedule(Tick(1), cron=DAILY, id="a"))
        machine.off(1)
        assert machine.listed() == []
        machine.until(2 * DAY)
        assert machine.fired == []


def test_what_was_asked_for_outlives_every_end_as_it_stood(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(
            Schedule(Tick(1), cron="30 2 * * *", tz="Europe/Prague", id="a", jitter=60.0, missed="run_all"),
            Schedule(Tick(2), every=90.5, id="b"),
            Schedule(Tick(3), at=datetime(2030, 1, 1, tzinfo=UTC), id="c"),
        )
        machine.simulation.run(machine.node.request(Reschedule("b", every=5_000.0)))
        before = machine.listed()
        machine.off(60)
        after = machine.listed()
        assert [info.id for info in after] == ["a", "b", "c"]
        for one, two in zip(before, after, strict=True):
            assert abs(one.next - two.next) <= timedelta(microseconds=2)
            assert (one.event, one.at, one.every, one.cron, one.tz) == (two.event, two.at, two.every, two.cron, two.tz)
            assert (one.jitter, one.missed) == (two.jitter, two.missed)


def test_a_node_that_is_stopped_and_started_goes_on_with_its_schedules(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        host = current_host(asyncio.get_running_loop(), Settings(data=str(tmp_path)))
        quick = {"route_grace": 0.02, "data": str(tmp_path)}
        async with here(host, storage="schedules", settings=quick) as first:
            await first.ask(Schedule(Tick(1), every=0.05, id="a"))
            await first.witness.has(2)
            (before,) = await first.node.request(ListSchedules())
        async with here(host, storage="schedules", settings=quick) as second:
            (after,) = await second.node.request(ListSchedules())
            # Its two clocks are read one after the other, and the machine may pause between: that shifts its rhythm by
            # as much. A due time that came before would be a whole period earlier.
            assert after.next > before.next - timedelta(seconds=0.05 / 2)
            await second.witness.has(2)
            assert second.witness.letters == [], "nothing was in doubt: the node had come to rest"

    world.run(main)


def test_a_durable_scheduler_needs_a_place_for_files() -> None:
    async def main() -> None:
        with pytest.raises(SettingsError, match="expected a folder for storage 'schedules'"):
            async with here(LocalHost(), storage="schedules"):
                pass

    asyncio.run(main())


# A wall clock that jumps


@pytest.mark.parametrize(
    ("missed", "at_once"), [("run_once", ["01 01:00:00"]), ("skip", []), ("run_all", ["01 01:00:00", "01 02:00:00"])]
)
def test_a_clock_that_is_set_forward_over_due_times(missed: Missed, at_once: list[str], monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="0 * * * *", id="a", missed=missed))
        machine.until(0.5 * HOUR)
        machine.host.jump_clock(2 * HOUR)
        machine.until(0.5 * HOUR + 1)
        assert machine.dues() == at_once
        machine.until(1.5 * HOUR)
        assert machine.dues() == [*at_once, "01 03:00:00"]
        assert faults_of(machine.fired) == []


def test_a_clock_that_is_set_back_brings_no_due_time_again(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="0 * * * *", id="a"))
        machine.until(2.25 * HOUR)
        machine.host.jump_clock(-1.5 * HOUR)
        machine.simulation.run(machine.node.request(Reschedule("a", cron="*/30 * * * *")))
        machine.until(4.25 * HOUR)
        assert machine.dues() == ["01 01:00:00", "01 02:00:00", "01 02:30:00"]
        assert faults_of(machine.fired) == []


def test_a_clock_that_is_set_back_a_little_is_waited_for(monkeypatch: Patch) -> None:
    """As a time service does; the schedule is due when the clock shows it, and not before."""
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="0 * * * *", id="a"))
        machine.until(HOUR - 1)
        machine.host.jump_clock(-30)
        machine.until(HOUR + 60)
        (fired,) = machine.fired
        assert fired.time - EPOCH == timedelta(hours=1, seconds=COMMIT)


@pytest.mark.parametrize("jump", [-2 * HOUR, 2 * HOUR])
def test_every_does_not_care_what_the_clock_shows(jump: float, monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        times: list[float] = []
        machine.schedule(Schedule(Tick(1), every=600.0, id="a"))
        begin = machine.simulation.now
        for _ in range(3):
            machine.host.jump_clock(jump)
            count = len(machine.fired)
            machine.until(machine.simulation.now + 600.0 + COMMIT)
            assert len(machine.fired) == count + 1
            times.append(machine.simulation.now - begin)
        assert times == [pytest.approx(600.0 * n, abs=0.1) for n in (1, 2, 3)]


# A node that stops


def test_a_node_that_stops_ends_what_it_publishes_and_begins_nothing(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        host = current_host(asyncio.get_running_loop(), Settings(data=str(tmp_path)))
        quick = {"route_grace": 0.02, "data": str(tmp_path), "drain_timeout": 5.0}
        async with here(host, storage="schedules", settings=quick) as first:
            first.witness.pause = 0.2
            await first.ask(Schedule(Copy("slow"), at=first.soon(0.01), id="slow"))
            await first.ask(Schedule(Tick(1), every=0.02, id="quick"))
            await until(lambda: first.witness.copies)
            began, count = asyncio.get_running_loop().time(), len(first.witness.ticks)
        took = asyncio.get_running_loop().time() - began
        assert took >= 0.15, "it waited for the slow one"
        assert len(first.witness.ticks) <= count + 1
        async with here(host, storage="schedules", settings=quick) as second:
            await second.witness.has(1)
            assert (second.witness.copies, second.witness.letters) == ([], [])

    world.run(main)


def test_what_a_stop_breaks_off_is_in_doubt(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        host = current_host(asyncio.get_running_loop(), Settings(data=str(tmp_path)))
        quick = {"route_grace": 0.02, "data": str(tmp_path), "drain_timeout": 0.05, "kill_after": 0.05}
        async with here(host, storage="schedules", settings=quick) as first:
            first.witness.pause = 20
            await first.ask(Schedule(Copy("endless"), at=first.soon(0.01), id="endless"))
            await until(lambda: first.witness.copies)
        async with here(host, storage="schedules", settings=quick) as second:
            await until(lambda: second.witness.letters)
            (letter,) = second.witness.letters
            assert (letter.type, letter.payload) == ("scheduling.Copy", PackedEvent.of(Copy("endless")).payload)
            assert letter.reason.startswith("in doubt: its node ended while it was being published")
            assert letter.where.startswith("schedule 'endless', due ")

    world.run(main)


def test_a_schedule_whose_zone_has_gone_keeps_the_node_from_starting_and_the_storage_free(
    world: World, tmp_path: Path, monkeypatch: Patch
) -> None:
    async def main() -> None:
        host = current_host(asyncio.get_running_loop(), Settings(data=str(tmp_path)))
        async with here(host, storage="schedules") as first:
            await first.ask(Schedule(Tick(1), cron=DAILY, tz="Europe/Prague", id="a"))
        with monkeypatch.context() as patch:
            patch.setattr(rules, "ZoneInfo", _no_zone)
            with pytest.raises(BadSchedule, match="tz='Europe/Prague': no such time zone"):
                async with here(host, storage="schedules"):
                    pass
        async with here(host, storage="schedules") as third:
            assert [info.id for info in await third.node.request(ListSchedules())] == ["a"]

    world.run(main)


def _no_zone(name: str) -> None:
    raise KeyError(name)
