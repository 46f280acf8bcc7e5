"""What one asks a scheduler, what it then publishes, and what it refuses, on both loops."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from edri_sim import DeadLetter, Manager, Simulation, handles
from edri_sim.errors import BadEvent, CodecError, DeclarationError
from edri_sim.scheduling import (
    BadSchedule,
    DuplicateSchedule,
    ListSchedules,
    PackedEvent,
    Reschedule,
    Schedule,
    ScheduleError,
    Scheduler,
    TooManySchedules,
    UnknownSchedule,
    Unschedule,
)
from edri_sim.simulation.simulate import EPOCH
from tests.links.cluster import Cluster
from tests.scheduling.cast import Copy, Here, Pipe, Tick, here
from tests.worlds import World, records, until

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001


def test_at_a_time_an_event_is_published_once_and_not_before(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            when = solo.soon()
            info = await solo.ask(Schedule(Tick(7), at=when, id="once"))
            assert (info.id, info.next, info.last, info.at) == ("once", when, None, when)
            await solo.witness.has(1)
            assert solo.witness.ticks == [7]
            assert solo.witness.walls[0] >= when
            await until_none(solo)
            with pytest.raises(UnknownSchedule):
                await solo.node.request(Unschedule("once"))

    world.run(main)


async def until_none(solo: Here) -> None:
    for _ in range(10_000):
        if not await solo.node.request(ListSchedules()):
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it is still there")


def test_every_period_counts_from_the_beginning_and_does_not_drift(world: World) -> None:
    period = 0.02

    async def main() -> None:
        async with here() as solo:
            begin = asyncio.get_running_loop().time()
            info = await solo.ask(Schedule(Tick(1), every=period))
            await solo.witness.has(10)
            for number, time in enumerate(solo.witness.loops[:10], start=1):
                assert time - begin >= number * period - 1e-6, "early"
            (now,) = await solo.node.request(ListSchedules())
            assert now.last is not None
            periods = (now.next - info.next) / timedelta(seconds=period)
            assert periods == pytest.approx(round(periods), abs=0.05)
            if world.simulated:
                gaps = [time - begin for time in solo.witness.loops[:10]]
                assert gaps == [pytest.approx(number * period, abs=2e-6) for number in range(1, 11)]

    world.run(main)


def test_a_schedule_is_changed_and_removed(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            await solo.ask(Schedule(Tick(1), cron="0 3 * * *", tz="Europe/Prague", id="a", jitter=5.0, missed="skip"))
            info = await solo.ask(Reschedule("a", every=0.02, jitter=0.0))
            assert (info.cron, info.tz, info.every, info.jitter, info.missed) == (None, None, 0.02, 0.0, "skip")
            assert info.event == PackedEvent.of(Tick(1))
            await solo.witness.has(2)
            await solo.node.request(Unschedule("a"))
            count = len(solo.witness.ticks)
            await asyncio.sleep(0.1)
            assert len(solo.witness.ticks) <= count + 1, "what was on its way when it was removed, and no more"
            assert await solo.node.request(ListSchedules()) == []

    world.run(main)


def test_schedules_are_listed_by_their_ids_in_pages(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            for name in ("b2", "a", "b1", "b3"):
                await solo.ask(Schedule(Tick(1), every=60, id=name))

            async def listed(**options: Any) -> list[str]:
                return [info.id for info in await solo.node.request(ListSchedules(**options))]

            assert await listed() == ["a", "b1", "b2", "b3"]
            assert await listed(prefix="b", limit=2) == ["b1", "b2"]
            assert await listed(prefix="b", after="b2") == ["b3"]
            with pytest.raises(BadSchedule, match=r"ListSchedules.limit: expected int >= 1"):
                await listed(limit=0)

    world.run(main)


def test_ids_that_are_not_given_differ(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            ids = [(await solo.ask(Schedule(Tick(1), every=60))).id for _ in range(5)]
            assert len(set(ids)) == 5
            assert all(id_.startswith("scheduling.Tick-") for id_ in ids)

    world.run(main)


def test_a_request_is_scheduled_too_and_its_failure_is_a_dead_letter(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            with records() as kept:
                await solo.ask(Schedule(Copy("fine"), at=solo.soon(0.01), id="fine"))
                await solo.ask(Schedule(Copy("broken"), at=solo.soon(0.02), id="broken"))
                await until(lambda: solo.witness.letters)
            assert solo.witness.copies == ["fine", "broken"]
            (letter,) = solo.witness.letters
            assert (letter.type, letter.payload) == ("scheduling.Copy", PackedEvent.of(Copy("broken")).payload)
            assert letter.where.startswith("schedule 'broken', due ")
            assert letter.reason.startswith("HandlerError: OSError: paper jam")
            assert [record for record in kept.at("WARNING") if record.name == "edri_sim.scheduler"]

    world.run(main)


def test_a_schedule_waits_for_its_own_event_and_no_other_does(world: World) -> None:
    async def main() -> None:
        async with here() as solo:
            solo.witness.pause = 0.2
            await solo.ask(Schedule(Copy("slow"), every=0.01))
            await solo.ask(Schedule(Tick(1), every=0.01))
            await solo.witness.has(10)
            assert len(solo.witness.copies) == 1
            await until(lambda: len(solo.witness.copies) == 2)

    world.run(main)


# What is refused

LONG = "x" * 201


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Schedule(Tick(1)), BadSchedule, "no time given"),
        (lambda: Schedule(Tick(1), at=NAIVE), BadSchedule, "expected a time with its time zone"),
        (lambda: Schedule(Tick(1), every=-1), BadSchedule, "every=-1: expected seconds"),
        (lambda: Schedule(Tick(1), every=math.nan), BadSchedule, "Schedule.every: expected a finite"),
        (lambda: Schedule(Tick(1), every="5"), BadSchedule, "Schedule.every: expected "),  # type: ignore[arg-type]
        (lambda: Schedule(Tick(1), cron="0 0 30 2 *"), BadSchedule, "it never fires"),
        (lambda: Schedule(Tick(1), cron="0 0 */31 * MON#5"), BadSchedule, "it never fires"),
        (lambda: Schedule(Tick(1), cron="0 0 1 * *", tz="Nowhere"), BadSchedule, "no such time zone"),
        (lambda: Schedule(Tick(1), every=60, jitter=-1), BadSchedule, "jitter=-1: expected seconds"),
        (lambda: Schedule(Tick(1), every=60, jitter=61), BadSchedule, "jitter=61: expected seconds, from 0 to 60"),
        (lambda: Schedule(Tick(1), every=60, id=""), BadSchedule, "id='': expected 1 to 200 printable"),
        (lambda: Schedule(Tick(1), every=60, id=LONG), BadSchedule, "id='x.*': expected 1 to 200 printable"),
        (lambda: Schedule(Tick(1), every=60, id="a\nb"), BadSchedule, "printable characters"),
        (lambda: Schedule(Tick(1), every=60, missed="never"), BadSchedule, "missed"),  # type: ignore[arg-type]
        (lambda: Schedule(Tick(1), at=datetime(2001, 1, 1, tzinfo=UTC)), BadSchedule, r"passed \d+ minutes ago"),
        (lambda: Schedule(Tick(1), every=60, id="taken"), DuplicateSchedule, "id='taken': .* Reschedule changes it"),
        (lambda: Schedule(PackedEvent("no.Such", b""), every=60), BadSchedule, "'no.Such' is unknown on the sched"),
        (lambda: Schedule(PackedEvent("scheduling.Pipe", b"\x80"), every=60), BadSchedule, "is a tunnel"),
        (lambda: Schedule(PackedEvent("scheduling.Tick", b"\x80"), every=60), BadSchedule, "does not fit its type"),
        (lambda: Reschedule("unknown", every=60), UnknownSchedule, "id='unknown': there is no such schedule"),
        (lambda: Reschedule("taken", every=0), BadSchedule, "every=0: expected seconds"),
        (lambda: Reschedule("taken"), BadSchedule, "no time given"),
        (lambda: Unschedule("unknown"), UnknownSchedule, "ListSchedules tells which there are"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_a_typed_error_and_changes_nothing(
    world: World, make: Callable[[], Any], error: type[ScheduleError], message: str
) -> None:
    async def main() -> None:
        async with here() as solo:
            await solo.ask(Schedule(Tick(1), every=3_600, id="taken"))
            with pytest.raises(error, match=message):
                await solo.node.request(make())
            (left,) = await solo.node.request(ListSchedules())
            assert (left.id, left.every, left.event) == ("taken", 3_600, PackedEvent.of(Tick(1)))

    world.run(main)


def test_a_request_of_the_wrong_types_is_the_error_that_it_is_from_afar_too(world: World) -> None:
    """From another node it would not leave, with a BadEvent."""

    async def main() -> None:
        async with here() as solo:
            with pytest.raises(BadEvent, match=r"Schedule\.every: expected "):
                await solo.node.request(Schedule(Tick(1), every="5"))  # type: ignore[arg-type]

    world.run(main)


def test_there_are_so_many_schedules_and_no_more(world: World) -> None:
    async def main() -> None:
        async with here(most=2) as solo:
            for name in ("a", "b"):
                await solo.ask(Schedule(Tick(1), every=60, id=name))
            with pytest.raises(TooManySchedules, match=r"there are 2 schedules already: .* Scheduler\(most=\)"):
                await solo.ask(Schedule(Tick(1), every=60))
            await solo.node.request(Unschedule("a"))
            await solo.ask(Schedule(Tick(1), every=60))

    world.run(main)


def test_what_is_no_event_is_told_where_the_schedule_is_made() -> None:
    with pytest.raises(DeclarationError, match="is a tunnel: a notification or a request can be scheduled"):
        Schedule(Pipe(), every=1)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="str is not an event"):
        Schedule("tick", every=1)  # type: ignore[arg-type]
    with pytest.raises(CodecError, match=r"Tick.number: expected int"):
        Schedule(Tick("7"), every=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("given", "message"), [({"most": 0}, "most=0"), ({"storage": "A b"}, "storage name 'A b'")])
def test_a_scheduler_is_told_what_it_can_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        Scheduler(**given)


def test_an_event_is_shown_by_its_name_and_size_alone() -> None:
    assert repr(PackedEvent.of(Tick(300))) == "<scheduling.Tick, 11 bytes>"
    schedule = Schedule(Tick(300), every=1.0, id="a")
    assert repr(schedule).startswith("Schedule(event=<scheduling.Tick, 11 bytes>, at=None, every=1.0")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(schedule), type=Schedule) == schedule


# From afar


def test_a_scheduler_serves_other_nodes_and_refuses_them_in_the_same_words(world: World) -> None:
    async def main() -> None:
        async with Cluster() as cluster, cluster.node("a") as a, cluster.node("b", Scheduler):
            await a.subscribed(Schedule)
            when = datetime(2100, 1, 1, tzinfo=UTC)
            info = await a.request(Schedule(Tick(1), at=when, id="far"))
            assert (info.id, info.next, info.event) == ("far", when, PackedEvent.of(Tick(1)))
            with pytest.raises(DuplicateSchedule, match="id='far'"):
                await a.request(Schedule(Tick(1), at=when, id="far"))
            with pytest.raises(BadSchedule, match="expected a time with its time zone"):
                await a.request(Schedule(Tick(1), at=NAIVE))
            await a.request(Unschedule("far"))

    world.run(main)


@pytest.mark.parametrize("provided", [True, False])
def test_a_request_whose_provider_stops_or_is_not_there_is_a_dead_letter(world: World, provided: bool) -> None:
    letters: list[DeadLetter] = []

    class Office(Manager):
        @handles
        async def on_letter(self, event: DeadLetter) -> None:
            letters.append(event)

    class Copier(Manager):
        @handles
        async def copy(self, event: Copy) -> str:
            begun.set()
            await asyncio.sleep(20)
            return event.text

    begun = asyncio.Event()

    async def main() -> None:
        async with Cluster() as cluster, cluster.node("a", Scheduler, Office, route_grace=0.05) as a:
            async with cluster.node("b", *[Copier] * provided, drain_timeout=0.05, kill_after=0.05):
                if provided:
                    await a.subscribed(Copy)
                await a.request(Schedule(Copy("x"), at=datetime.now(UTC) if not world.simulated else EPOCH, id="x"))
                if provided:
                    await begun.wait()
            await until(lambda: [letter for letter in letters if letter.where.startswith("schedule 'x', due ")])
            found = next(letter for letter in letters if letter.where.startswith("schedule 'x'"))
            assert found.reason.partition(":")[0] in (("ProviderLost", "NodeStopped") if provided else ("NoRoute",))

    world.run(main)


# What it costs in simulated time


YEAR = 365 * 86_400


def steps_of_a_year(period: float) -> tuple[int, int]:
    """How many steps, and how many events, a year of one schedule takes."""

    async def main() -> Any:
        async with here() as solo:
            await solo.ask(Schedule(Tick(1), every=period))
            await asyncio.sleep(YEAR + 1)
            return len(solo.witness.ticks)

    with Simulation(seed=7, trace="counters") as simulation:
        task = simulation._main.loop.create_task(main())
        steps = 0
        while not task.done():
            simulation.step()
            steps += 1
        return steps, task.result()


def test_a_simulated_year_costs_nothing_between_two_events() -> None:
    few, many = steps_of_a_year(86_400.0), steps_of_a_year(21_600.0)
    assert (few[1], many[1]) == (365, 365 * 4)
    each = (many[0] - few[0]) / (many[1] - few[1])
    assert each < 10
    assert few[0] < 365 * 10 + 100


def test_without_schedules_there_is_no_timer() -> None:
    with Simulation(seed=7) as simulation:

        async def main() -> None:
            async with here() as solo:
                await solo.ask(Schedule(Tick(1), every=60, id="a"))
                await solo.ask(Schedule(Tick(1), cron="0 3 * * *", id="b"))
                for name in ("a", "b"):
                    await solo.node.request(Unschedule(name))
                await asyncio.sleep(0)
                timers.append(len([item for item in simulation.kernel.engine.queue if item[3].state == 1]))

        timers: list[int] = []
        simulation.run(main())
        assert simulation.now == 0
        assert timers == [0]


@pytest.mark.parametrize("jitter", [0.0, 600.0])
def test_jitter_puts_off_and_is_drawn_from_the_seed(jitter: float) -> None:
    def delays(seed: int) -> list[float]:
        async def main() -> list[float]:
            async with here() as solo:
                await solo.ask(Schedule(Tick(1), cron="0 * * * *", id="a", jitter=jitter))
                await asyncio.sleep(20.5 * 3600)
                return [(time.minute * 60 + time.second + time.microsecond / 1e6) for time in solo.witness.walls]

        with Simulation(seed=seed) as simulation:
            found = simulation.run(main())
            assert found is not None
            return found

    assert len(delays(1)) == 20
    assert all(0 <= delay <= jitter for delay in delays(1))
    assert delays(1) == delays(1)
    if jitter:
        assert len({*delays(1), *delays(2)}) == 40
