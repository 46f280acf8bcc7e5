"""Which trace an event belongs to: in every mode, across processes and switches, on both loops."""

from __future__ import annotations

import re

import pytest

from edri_sim import Manager, Node, Pool, Simulation, Worker
from edri_sim.envelope import Envelope, Origin
from edri_sim.events import event_type
from edri_sim.traceparent import checked, continuing, told, traceparent
from tests.links.cluster import Cluster
from tests.links.siege import Siege
from tests.runtime.tracers import OUTSIDE, Dig, Inner, Insider, Outer, Passed, PlainTracer, Tracer, Turn, Witness
from tests.worlds import World, until

FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

MALFORMED = [
    "", "no trace", OUTSIDE[:-1], OUTSIDE + "0", OUTSIDE + "-more", OUTSIDE.upper(), "ff" + OUTSIDE[2:], " " + OUTSIDE,
    OUTSIDE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), OUTSIDE.replace("b7ad6b7169203331", "0" * 16),
    OUTSIDE[:-2] + "zz", OUTSIDE.replace("-", "_"),
]  # fmt: skip


def trace_of(text: str) -> str:
    assert FORM.fullmatch(text), text
    return text.split("-")[1]


def own_of(text: str) -> str:
    return text.split("-")[2]


def crew(worker: type[Worker], mode: str) -> type[Manager]:
    pools = {"asking": Pool(worker, mode=mode), "answering": Pool(Insider, mode=mode)}
    return type("Crew", (Manager,), pools)


@pytest.mark.parametrize("worker", [Tracer, PlainTracer])
def test_what_a_handler_publishes_belongs_to_the_trace_of_its_event(
    world: World, mode: str, worker: type[Worker]
) -> None:
    async def main() -> None:
        witness = Witness()
        async with Node("solo", crew(worker, mode), lambda: witness) as node:
            outer, inner = await node.request(Outer(), timeout=20)
            await until(lambda: witness.seen)
            digger, told_ = await node.request(Dig(), timeout=20)
            again, _ = await node.request(Outer(), timeout=20)
        family = [outer, inner, *witness.seen[:1]]
        assert len({trace_of(text) for text in family}) == 1
        assert len({own_of(text) for text in family}) == 3
        assert trace_of(digger) == trace_of(told_)
        assert len({trace_of(outer), trace_of(digger), trace_of(again)}) == 3
        assert {text[-2:] for text in family} == {"01"}

    world.run(main)


@pytest.mark.parametrize("worker", [Tracer, PlainTracer])
def test_a_handler_may_turn_to_a_trace_from_outside(world: World, mode: str, worker: type[Worker]) -> None:
    async def main() -> None:
        async with Node("solo", crew(worker, mode)) as node:
            own, outside, fresh, back = await node.request(Turn(), timeout=20)
        assert trace_of(outside) == trace_of(OUTSIDE)
        assert outside[-2:] == "00"  # It was not sampled, and is not.
        assert own_of(outside) != own_of(OUTSIDE)
        assert trace_of(back) == trace_of(own)
        assert trace_of(fresh) not in (trace_of(own), trace_of(OUTSIDE))

    world.run(main)


def test_a_trace_goes_on_at_another_node(world: World) -> None:
    async def main() -> None:
        witness = Witness()
        async with Cluster("switch") as cluster:
            there = cluster.node("there", crew(Tracer, "method"))
            async with there, cluster.node("here", lambda: witness) as here:
                await there.subscribed(Passed)
                outer, inner = await here.request(Outer(), timeout=20)
                with continuing(OUTSIDE):
                    given, _ = await here.request(Outer(), timeout=20)
                await until(lambda: len(witness.seen) == 2)
        assert trace_of(outer) == trace_of(inner) == trace_of(witness.seen[0])
        assert trace_of(given) == trace_of(witness.seen[1]) == trace_of(OUTSIDE)
        assert given[-2:] == witness.seen[1][-2:] == "00"
        assert len({own_of(text) for text in (outer, inner, given, *witness.seen)}) == 5

    world.run(main)


def test_what_a_program_publishes_may_continue_a_trace_until_the_block_is_left(world: World) -> None:
    async def main() -> None:
        async with Node("solo", crew(Tracer, "method")) as node:
            with continuing(OUTSIDE):
                first, second = await node.request(Inner()), await node.request(Inner())
            after = await node.request(Inner())
        assert trace_of(first) == trace_of(second) == trace_of(OUTSIDE)
        assert trace_of(after) != trace_of(OUTSIDE)

    world.run(main)


def test_a_node_that_starts_in_the_block_does_not_give_all_its_events_to_the_trace(world: World) -> None:
    async def main() -> None:
        with continuing(OUTSIDE):
            node = Node("solo", crew(Tracer, "method"))
            await node.start()
        outer, inner = await node.request(Outer())
        await node.stop()
        assert trace_of(outer) == trace_of(inner) != trace_of(OUTSIDE)

    world.run(main)


@pytest.mark.parametrize("text", MALFORMED)
async def test_what_is_no_traceparent_begins_a_trace(text: str) -> None:
    async with Node("solo", crew(Tracer, "method")) as node:
        with continuing(text):
            one, two = await node.request(Inner()), await node.request(Inner())
    assert len({trace_of(one), trace_of(two), trace_of(OUTSIDE)}) == 3


async def test_none_begins_a_trace() -> None:
    async with Node("solo", crew(Tracer, "method")) as node:
        with continuing(None):
            assert trace_of(await node.request(Inner()))


async def test_of_a_later_version_what_is_known_is_read() -> None:
    async with Node("solo", crew(Tracer, "method")) as node:
        with continuing("cc" + OUTSIDE[2:-2] + "ff-what-the-future-holds"):
            text = await node.request(Inner())
    assert trace_of(text) == trace_of(OUTSIDE)
    assert text[-2:] == "03"


@pytest.mark.parametrize("text", [*MALFORMED, "x" * 2_000])
async def test_what_is_none_is_dropped_where_it_comes_over_the_wire(text: str) -> None:
    async with Siege() as siege, siege.eve() as eve:
        eve.say(siege.data(trace=text))
        await until(lambda: siege.echoes.heard == [7])
        assert siege.at_b.bad == {}
    assert checked(text) == ""


def test_what_comes_over_the_wire_in_order_is_kept() -> None:
    assert checked(OUTSIDE) == OUTSIDE
    assert traceparent(made(1, OUTSIDE)) == OUTSIDE.replace("b7ad6b7169203331", own_of(traceparent(made(1))))


def made(number: int, trail: str = "") -> Envelope:
    return Envelope(Passed(), event_type(Passed()), number, Origin("eve", 1), 0.0, 0.0, (0, 0), trail=trail)


def test_ids_follow_from_the_events_id_so_that_what_begins_a_trace_need_not_say_so() -> None:
    sent, come = made(7), made(7)
    assert told(sent) == ""
    assert traceparent(sent) == traceparent(come)
    texts = [traceparent(made(number)) for number in range(1, 2_000)]
    assert len({trace_of(text) for text in texts}) == len({own_of(text) for text in texts}) == len(texts)


def test_one_of_two_traces_is_in_the_lower_half() -> None:
    """What samples by id compares its last 8 bytes with a share of all numbers: they must lie evenly."""
    below = sum(int(traceparent(made(number)).split("-")[1][16:], 16) < 1 << 63 for number in range(1, 1_001))
    assert 490 <= below <= 510


def test_the_digest_of_a_run_does_not_depend_on_traces_and_ids_repeat_with_the_seed() -> None:
    def ran(text: str | None) -> tuple[str, tuple[str, str]]:
        async def main() -> tuple[str, str]:
            async with Node("solo", crew(Tracer, "method")) as node:
                with continuing(text):
                    return await node.request(Outer())

        with Simulation(seed=7) as simulation:
            found = simulation.run(main())
            assert found is not None
            return simulation.result().digest, found

    plain, given = ran(None), ran(OUTSIDE)
    assert plain == ran(None)
    assert plain[0] == given[0]
    assert plain[1] != given[1]
