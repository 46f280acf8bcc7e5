"""What a Run computes, against what is worked out by hand in simulated time."""

from __future__ import annotations

import asyncio
import math

import pytest

from edri_sim import Manager, Node, Run, Simulation, Worker, handles
from edri_sim.run import SECOND
from edri_sim.trace import Recorder
from tests.runtime.cast import Ask, Ear, Told
from tests.worlds import World, pool_of, run_of


class Timed(Worker):
    """Takes as many seconds as the text says."""

    @handles
    async def ask(self, event: Ask) -> str:
        await asyncio.sleep(float(event.text))
        if event.text == "3":
            raise LookupError("three")
        return event.text


def simulated(seconds: list[str], *, size: int = 1, until: float | None = None) -> Run:
    """All requests are made at time 0, to one pool."""

    async def main() -> None:
        async with Node("solo", pool_of(Timed, size=size)) as node:
            asked = [node.request(Ask(text), timeout=1_000) for text in seconds]
            await asyncio.gather(*asked, return_exceptions=True)

    with Simulation(seed=5) as simulation:
        simulation.run(main(), until=until)
        return simulation.result()


def test_latencies_and_percentiles() -> None:
    run = simulated(["1", "2", "4", "8"])
    # One worker, one after the other: 1, 3, 7 and 15 s.
    assert run.latencies("Ask") == [1, 3, 7, 15]
    assert run.percentiles("Ask", q=(0, 50, 95, 100)) == pytest.approx({0: 1, 50: 5, 95: 13.8, 100: 15})
    assert run.percentiles() == run.percentiles("Ask")
    assert run.service_times("Ask") == [1, 2, 4, 8]
    assert run.duration == 15
    assert run.throughput("Ask") == pytest.approx(4 / 15)


def test_utilisation_is_the_busy_share_of_all_slots() -> None:
    assert simulated(["1", "2", "4", "8"]).utilisation() == {"solo/Crew.pool": 1.0}
    # Two workers: one is busy for 1 + 4 s, the other for 2 + 8 s, of 10 s.
    run = simulated(["1", "2", "4", "8"], size=2)
    assert run.duration == 10
    assert run.utilisation() == {"solo/Crew.pool": pytest.approx(15 / 20)}


def test_what_failed_counts_as_failed_and_not_as_latency() -> None:
    run = simulated(["1", "3", "2"])
    assert run.latencies("Ask") == [1, 6]
    assert (run.count("Ask", "replied"), run.count("Ask", "failed")) == (2, 1)
    assert [span.outcome for span in run.spans] == ["replied", "failed:handler", "replied"]
    assert run.types == ["Ask"]


def test_what_has_not_ended_is_open() -> None:
    run = simulated(["1", "5"], until=2)
    assert [span.outcome for span in run.spans] == ["replied", "open"]
    assert run.spans[1].latency is None
    assert run.duration == 2
    assert run.count("Ask", "open") == 1


def test_a_notification_lasts_until_its_last_handler_has_ended() -> None:
    class Slow(Manager):
        @handles
        async def told(self, event: Told) -> None:
            await asyncio.sleep(3)

    async def main() -> None:
        async with Node("solo", Ear, Slow) as node:
            await node.notify(Told(1))

    with Simulation() as simulation:
        simulation.run(main())
        run = simulation.result()
    assert run.latencies("Told") == [3]
    assert run.spans[0].outcome == "handled"
    assert len(run.spans[0].visits) == 2


def test_visits_say_where_and_when() -> None:
    run = simulated(["1", "2"])
    (visit,) = run.spans[1].visits
    assert visit.component == "solo/Crew.pool"
    assert visit.slot == 0
    assert (visit.queued, visit.started, visit.finished) == (0, 1 * SECOND, 3 * SECOND)


def test_the_tables() -> None:
    run = simulated(["1", "3", "2"])
    events = run.events()
    assert list(events.columns) == ["event_id", "type", "created", "latency", "outcome", "waited", "served"]
    assert list(events["outcome"]) == ["replied", "failed:handler", "replied"]
    assert list(events["waited"]) == [0, 1, 4]
    assert list(events["served"]) == [1, 3, 2]
    assert events["event_id"].is_unique
    table = run.rows()
    assert list(table.columns) == ["time", "stage", "node", "component", "event_id", "type", "detail"]
    assert len(table) == 18
    assert set(table["stage"]) == {"created", "routed", "queued", "started", "finished", "replied", "failed"}
    assert list(table[table["stage"] == "replied"]["time"]) == [1, 6]


def test_the_summary_is_a_table_for_people() -> None:
    run = simulated(["1", "3", "2"])
    lines = run.summary().splitlines()
    assert lines[0] == f"simulated, seed 5: 6.000 s, 3 events, digest {run.digest[:12]}"
    assert lines[2].split() == ["event", "count", "ok", "failed", "per", "s", "p50", "ms", "p95", "ms", "p99", "ms"]
    assert lines[3].split() == ["Ask", "3", "2", "1", "0.3333", "3500", "5750", "5950"]
    assert lines[5].split() == ["handled", "by", "slots", "busy"]
    assert lines[6].split() == ["solo/Crew.pool", "1", "100.0%"]
    assert str(run) == run.summary()
    assert repr(run) == "<Run simulated, 6 s, 3 events>"


def test_a_run_without_events_is_no_error() -> None:
    run = Run(Recorder(), simulated=False)
    assert run.duration == 0
    assert run.throughput() == 0
    assert run.utilisation() == {}
    assert all(math.isnan(rank) for rank in run.percentiles().values())
    assert run.summary().startswith("real time: 0.000 s, 0 events")
    assert len(run.events()) == len(run.rows()) == 0
    assert repr(run) == "<Run real, 0 s, 0 events>"


def test_a_run_of_either_loop_has_the_same_shape(world: World) -> None:
    async def main() -> Run:
        async with Node("solo", pool_of(Timed), trace="full") as node:
            for text in ("0.001", "0.002"):
                await node.request(Ask(text), timeout=20)
        return run_of(node, world)

    run = world.run(main)
    assert [span.outcome for span in run.spans] == ["replied", "replied"]
    assert run.latencies("Ask")[0] >= 0.001
    assert 0 < run.utilisation()["solo/Crew.pool"] <= 1
    assert list(run.events()["type"]) == ["Ask", "Ask"]
