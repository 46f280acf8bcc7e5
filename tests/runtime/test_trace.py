"""The trace: one schema on both loops, in four levels, bounded, and without payloads."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from edri_sim import Manager, Node, Request, Run, Simulation, Worker, event, handles
from edri_sim.errors import RequestError, SettingsError
from edri_sim.trace import COLUMNS, STAGES, Recorder, Trace
from tests.links.cluster import Cluster
from tests.runtime.cast import Ask, Ear, Echo, Gate, Held, Told
from tests.runtime.faulty import Faulty
from tests.worlds import World, pool_of, quick, run_of, turns, until

Row = dict[str, Any]


def rows(node: Node) -> list[Row]:
    """The rows, with names in place of numbers where a column holds names."""
    recorder = node.trace.recorder
    names = recorder.names.list()
    found = []
    for values in recorder.rows():
        row: Row = dict(zip(COLUMNS, values, strict=True))
        row["stage"] = STAGES[row["stage"]]
        for column in ("node", "component", "type"):
            row[column] = names[row[column]]
        found.append(row)
    return found


def stages(node: Node, type_: str) -> list[tuple[str, str]]:
    return [(row["stage"], row["component"]) for row in rows(node) if row["type"] == type_]


def test_the_life_of_a_request_in_order(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Echo, mode), trace="full") as node:
            await node.request(Ask("x"), timeout=20)
        assert stages(node, "Ask") == [
            ("created", "solo/router"),
            ("routed", "solo/router"),
            ("queued", "solo/Crew.pool"),
            ("started", "solo/Crew.pool"),
            ("finished", "solo/Crew.pool"),
            ("replied", "solo/router"),
        ]
        times = [row["time_ns"] for row in rows(node)]
        assert times == sorted(times)
        assert {row["number"] for row in rows(node)} == {1}

    world.run(main)


def test_the_life_of_a_failed_request(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Faulty, mode), trace="full") as node:
            with pytest.raises(RequestError):
                await node.request(Ask("x"), timeout=20)
        assert [stage for stage, _ in stages(node, "Ask")] == [
            "created", "routed", "queued", "started", "finished", "failed",
        ]  # fmt: skip
        names = node.trace.recorder.names.list()
        assert names[rows(node)[-1]["detail"]] == "handler"

    world.run(main)


def test_the_life_of_a_notification_and_of_a_dead_letter(world: World) -> None:
    gate = Gate()

    class Full(Manager):
        concurrency = 1
        queue = 0

        @handles
        async def told(self, event: Told) -> None:
            await gate.opened.wait()

    async def main() -> None:
        async with Node("solo", Full, Ear, trace="full", **quick()) as node:
            await node.notify(Told(1))
            asked = asyncio.ensure_future(node.notify(Told(2)))
            asyncio.get_running_loop().call_later(0.05, gate.open)
            await asked
        assert [stage for stage, _ in stages(node, "Told")].count("queued") == 4
        assert [stage for stage, _ in stages(node, "Told")].count("finished") == 4
        assert {span.outcome for span in run_of(node, world).spans} == {"handled"}

    world.run(main)


def test_what_a_handler_publishes_names_what_it_handled(world: World) -> None:
    gate = Gate()
    gate.open()

    async def main() -> None:
        async with Node("solo", pool_of(Held), lambda: gate, trace="full") as node:
            await node.request(Ask("x"), timeout=20)
        made = {row["type"]: row for row in rows(node) if row["stage"] == "created"}
        assert made["Ask"]["detail"] == 0
        assert made["Enter"]["detail"] == made["Ask"]["number"]

    world.run(main)


class Herald(Manager):
    @handles
    async def ask(self, event: Ask) -> str:
        await self.notify(Told(1))
        return event.text


def test_what_a_handler_of_another_nodes_event_publishes_names_that_event_whole(world: World) -> None:
    async def main() -> None:
        async with Cluster("switch") as cluster:
            async with cluster.node("there", Herald, Ear, trace="full") as there, cluster.node("here") as here:
                await here.request(Ask("x"), timeout=20)
                own = f"here/{here._open_router().origin.incarnation:x}/1"
            causes = [span.cause for span in run_of(there, world).spans if span.type == "Told"]
            assert causes == [own]

    world.run(main)


def test_routed_says_to_how_many_mailboxes(world: World) -> None:
    class SecondEar(Ear):
        pass

    async def main() -> None:
        async with Node("solo", Ear, SecondEar, trace="full") as node:
            await node.notify(Told(1))
        assert [row["detail"] for row in rows(node) if row["stage"] == "routed"] == [2]

    world.run(main)


def test_both_loops_write_the_same_rows(mode: str) -> None:
    def shape(world: World) -> list[tuple[str, str, str, int]]:
        async def main() -> list[tuple[str, str, str, int]]:
            async with Node("solo", pool_of(Held, mode), lambda: OpenGate(), trace="full") as node:
                for number in range(3):
                    await node.request(Ask(str(number)), timeout=20)
            return [(row["stage"], row["component"], row["type"], row["number"]) for row in rows(node)]

        return world.run(main)

    assert shape(World("real")) == shape(World("simulated"))


class OpenGate(Gate):
    """A gate that is open from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.open()


# Levels


def test_counters_count_and_keep_the_last_ends_without_rows(world: World) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Echo), Ear, pool_of(Failing), trace="counters")
        trace = await _used(node, world, "counters")
        assert trace.counters.ended == {
            ("Ask", "replied"): 300, ("Fail", "handler"): 1, ("Told", "handled"): 1,
        }  # fmt: skip
        recent = trace.counters.recent()
        assert len(recent) <= 256
        assert {outcome.type for outcome in recent} >= {"Fail"}
        assert recent[-1].ended >= recent[-1].created
        assert recent[-1].event_id.startswith("solo/")
        assert len(trace.recorder) == 0

    run_at(world, "counters", main)


def test_off_does_nothing(world: World) -> None:
    async def main() -> None:
        trace = await _used(Node("solo", pool_of(Echo), Ear, pool_of(Failing), trace="off"), world, "off")
        assert trace.counters.recent() == []
        assert len(trace.recorder) == 0

    run_at(world, "off", main)


def test_sampled_keeps_whole_lives_of_some_events(world: World) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Echo), Ear, pool_of(Failing), trace="sampled")
        trace = await _used(node, world, "sampled")
        assert {row["number"] for row in rows(node)} == {100, 200, 300}
        assert [row["stage"] for row in rows(node) if row["number"] == 100] == [
            "created", "routed", "queued", "started", "finished", "replied",
        ]  # fmt: skip
        assert sum(trace.counters.ended.values()) == 302

    run_at(world, "sampled", main)


def run_at(world: World, level: str, main: Any) -> None:
    """In a simulation it is the simulation that has the level."""
    world.run(main, **({"trace": level} if world.simulated else {}))


@event
class Fail(Request[str]):
    pass


class Failing(Worker):
    @handles
    async def fail(self, event: Fail) -> str:
        raise LookupError("as asked")


async def _used(node: Node, world: World, level: str) -> Trace:
    async with node:
        for number in range(300):
            await node.request(Ask(str(number)), timeout=20)
        await node.notify(Told(1))
        with pytest.raises(RequestError):
            await node.request(Fail(), timeout=20)
    assert node.trace.level == level
    return node.trace


def test_the_ring_keeps_no_payload(world: World) -> None:
    class Heavy(str):
        """A string that can be watched."""

    async def main() -> None:
        async with Node("solo", pool_of(Echo)) as node:
            text = Heavy("heavy")
            watched = weakref.ref(text)
            await node.request(Ask(text), timeout=20)
            del text
        await turns(3)
        gc.collect()
        assert watched() is None
        assert [outcome.type for outcome in node.trace.counters.recent()] == ["Ask"]

    world.run(main)


def test_a_cap_stops_the_rows_and_says_so(world: World) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Echo), trace="full", trace_cap=100)
        async with node:
            for number in range(50):
                await node.request(Ask(str(number)), timeout=20)
        run = run_of(node, world)
        assert len(list(node.trace.recorder.rows())) == 100
        assert node.trace.recorder.lost == 200
        assert "the trace reached its cap: 200 rows were not kept" in run.summary()

    world.run(main, **({"trace_cap": 100} if world.simulated else {}))


def test_after_the_cap_the_digest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def recorded(count: int, cap: int) -> Recorder:
        recorder = Recorder(cap=cap)
        for number in range(count):
            recorder.open.extend((number,) * len(COLUMNS))
            if number % 7 == 0:
                recorder.seal()
        return recorder

    assert recorded(50, 20).digest() == recorded(20, 0).digest()
    assert len(list(recorded(50, 20).rows())) == 20
    assert recorded(50, 20).digest() != recorded(21, 0).digest()


def test_a_bad_level_is_told() -> None:
    with pytest.raises(SettingsError, match="trace level 'loud': expected one of full, sampled, counters, off"):
        Simulation(trace="loud")


def test_the_digest_covers_rows_and_names() -> None:
    def digest(row: int, name: str) -> str:
        recorder = Recorder()
        recorder.names.number(name)
        recorder.open.extend((row,) * len(COLUMNS))
        return recorder.digest()

    assert digest(1, "a") == digest(1, "a")
    assert len({digest(1, "a"), digest(2, "a"), digest(1, "b")}) == 3
    assert len(digest(1, "a")) == 32


def test_a_request_that_is_cancelled_has_failed(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held), lambda: gate, trace="full") as node:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        (span,) = [span for span in Run(node.trace.recorder, simulated=False).spans if span.type == "Ask"]
        assert span.outcome == "failed:cancelled"

    world.run(main)


def test_a_mark_is_about_no_event() -> None:
    recorder = Recorder()
    trace = Trace("full", "solo", lambda: 5, recorder=recorder)
    trace.mark(STAGES.index("link down"), trace.component("solo/connector"), "hub")
    [row] = recorder.rows()
    names = recorder.names.list()
    assert (STAGES[row[1]], names[row[3]], names[row[6]]) == ("link down", "solo/connector", "hub")
    table = Run(recorder, simulated=False).rows()
    assert list(table["event_id"]) == [""]
    assert Run(recorder, simulated=False).spans == []


@pytest.mark.parametrize("level", ["counters", "off"])
def test_levels_that_write_no_rows_write_no_marks(level: str) -> None:
    recorder = Recorder()
    Trace(level, "solo", lambda: 5, recorder=recorder).mark(STAGES.index("link up"), 0, "hub")
    assert len(recorder) == 0
