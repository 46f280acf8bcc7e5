"""A durable scheduler whose machine crashes at any moment: nothing early, nothing twice, and nothing lost unsaid."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from edri_sim.errors import StorageError
from edri_sim.host import Statement
from edri_sim.scheduling import Schedule
from edri_sim.scheduling.clerk import Clerk
from edri_sim.simulation.simulate import EPOCH
from edri_sim.simulation.storage import SimulatedStorage
from tests.scheduling.cast import Tick
from tests.scheduling.machine import COMMIT, Fired, Machine, faults_of

Patch = pytest.MonkeyPatch
MINUTES = 20
CRASHES = 12


def where(id_: str, due: datetime) -> str:
    return f"schedule {id_!r}, due {due.isoformat()}"


def lost(machine: Machine, dues: dict[str, list[datetime]]) -> list[str]:
    """What was due, and was neither fired nor reported to be in doubt."""
    known = {where(fired.id, fired.due) for fired in machine.fired} | set(machine.doubts())
    return [name for id_, times in dues.items() for due in times if (name := where(id_, due)) not in known]


def crash_now_and_then(machine: Machine, chance: random.Random) -> None:
    """Crash near the times at which something is due, and otherwise anywhere."""
    for crash in range(CRASHES):
        minute = 60.0 * (1 + crash) * MINUTES / (CRASHES + 2)
        near = round(minute / 60) * 60 + chance.uniform(-0.5, 4) * COMMIT
        machine.until(max(machine.simulation.now, chance.choice([minute, near, near, near])))
        machine.off(chance.choice([0.0, 0.01, 5.0, 70.0]))


def run(seed: int, patch: Patch) -> Machine:
    """Twenty minutes with a schedule for each, and one for a time that each of them has, and crashes."""
    with Machine(patch, seed=seed) as machine:
        machine.schedule(
            Schedule(Tick(1), cron="* * * * *", id="cron", missed="run_all"),
            *[Schedule(Tick(2), at=at, id=f"at {number}") for number, at in enumerate(minutes())],
        )
        crash_now_and_then(machine, random.Random(seed))
        machine.until(60.0 * MINUTES + 90)
        return machine


def minutes() -> list[datetime]:
    return [EPOCH + timedelta(minutes=minute) for minute in range(1, MINUTES + 1)]


def dues() -> dict[str, list[datetime]]:
    once = {f"at {number}": [at] for number, at in enumerate(minutes())}
    return {"cron": minutes(), **once}


@pytest.mark.parametrize("block", range(4))
def test_whenever_it_crashes_nothing_is_twice_or_early_and_what_may_be_lost_is_told(
    block: int, monkeypatch: Patch
) -> None:
    in_doubt = 0
    for seed in range(40 * block, 40 * block + 40):
        with monkeypatch.context() as patch:
            machine = run(seed, patch)
        assert faults_of(machine.fired) == [], f"seed {seed}"
        assert lost(machine, dues()) == [], f"seed {seed}"
        told = machine.doubts()
        assert max(Counter(told).values(), default=1) == 1, "each is told once"
        in_doubt += len(told)
        assert len(told) <= 2 * CRASHES
    assert in_doubt > 0, "some crash came between a commit and the end of what it was for"


OFFSETS = [k * COMMIT / 4 for k in range(-2, 14)]
"""Seconds after 03:00 at which the machine crashes: the commit begins then, the event goes out 0.01 s later, and 0.01 s
after that it is written down that it did."""


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_crash_at_each_point_around_one_firing(offset: float, monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="0 3 * * *", id="a"))
        machine.until(3 * 3_600.0 + offset)
        machine.off(10)
        machine.until(3 * 3_600.0 + 60)
        assert len(machine.fired) + len(machine.doubts()) >= 1
        assert faults_of(machine.fired) == []
        three = where("a", EPOCH + timedelta(hours=3))
        assert set(machine.doubts()) <= {three}
        before_it_was_published, before_that_was_written = offset <= COMMIT, offset <= 2 * COMMIT
        if not before_it_was_published:
            assert len(machine.fired) == 1
        if not before_that_was_written:
            assert machine.doubts() == []
        machine.until(28 * 3_600.0)
        assert machine.fired[-1].due == EPOCH + timedelta(hours=27), "the next night comes all the same"


# Each guard is seen to fail


def forget_commits(patch: Patch) -> None:
    """From now on the disk says that it has stored what it has not."""

    async def commit(storage: SimulatedStorage, batch: Sequence[Statement]) -> None:
        await storage.read("SELECT 1")

    patch.setattr(SimulatedStorage, "commit", commit)


def test_without_the_commit_a_due_time_is_fired_twice_and_the_checker_says_so(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="* * * * *", id="a", missed="run_all"))
        forget_commits(monkeypatch)
        machine.until(90)
        machine.off(1)
        machine.until(100)
    assert faults_of(machine.fired) == [f"a twice: due {EPOCH + timedelta(minutes=1)}"]


def loss_by(seed: int, patch: Patch) -> list[str]:
    """What is lost unsaid if the machine crashes in the commit of a firing, and its next life reports no doubts."""
    due = EPOCH + timedelta(minutes=1)
    with Machine(patch, seed=seed) as machine:
        machine.schedule(Schedule(Tick(1), at=due, id="a"))
        patch.setattr(Clerk, "_begin", _begin_silently)
        machine.until(60 + COMMIT / 2)
        machine.off(1)
        machine.until(120)
        return lost(machine, {"a": [due]})


def _begin_silently(clerk: Any) -> None:
    clerk._fires = True
    clerk.ring()


def test_a_loss_that_is_not_told_is_seen(monkeypatch: Patch) -> None:
    found = []
    for seed in range(10):
        with monkeypatch.context() as patch:
            found += loss_by(seed, patch)
    assert 0 < len(found) < 10, "by seed, the commit was on the disk or not"
    assert set(found) == {where("a", EPOCH + timedelta(minutes=1))}


@pytest.mark.parametrize(
    ("times", "fault"),
    [([(1, 1), (2, 0)], "early"), ([(1, 1), (1, 5)], "twice"), ([(3, 3), (2, 4)], "out of order")],
)
def test_the_checker_sees_what_must_not_be(times: list[tuple[int, int]], fault: str) -> None:
    minute = timedelta(minutes=1)
    (found,) = faults_of(Fired("a", EPOCH + due * minute, EPOCH + time * minute) for due, time in times)
    assert fault in found


def test_a_disk_that_refuses_delays_what_is_due_and_loses_nothing(monkeypatch: Patch) -> None:
    with Machine(monkeypatch) as machine:
        machine.schedule(Schedule(Tick(1), cron="* * * * *", id="a"))
        with monkeypatch.context() as patch:

            async def refuse(storage: SimulatedStorage, batch: Sequence[Statement]) -> None:
                raise StorageError("storage: the disk is full")

            patch.setattr(SimulatedStorage, "commit", refuse)
            machine.until(65)
            assert machine.fired == []
        machine.until(70)
        assert machine.dues() == ["01 00:01:00"]
        assert faults_of(machine.fired) == []
