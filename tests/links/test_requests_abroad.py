"""Requests that another node handles: replies, errors, whom they go to, deadlines, and being cancelled."""

from __future__ import annotations

import asyncio

import pytest

from edri_sim import Manager, Node, Request, Worker, event, handles
from edri_sim.envelope import current
from edri_sim.errors import (
    BadEvent,
    BadReply,
    DeadlineExceeded,
    EventTooLarge,
    HandlerError,
    NodeStopped,
    NoRoute,
    Overloaded,
)
from edri_sim.links.flow.items import Limits
from tests.links.cluster import Cluster, connector_of, present
from tests.runtime.cast import Ask, Echo, Enter, Gate, Held, Letters, PlainEcho, PlainWitness, Recall, Witness
from tests.worlds import World, pool_of, quick, run_of, turns, until


class Answers(Manager):
    """Says who it is."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.asked: list[str] = []

    @handles
    async def ask(self, event: Ask) -> str:
        self.asked.append(event.text)
        return f"{self.who} heard {event.text}"


class Fails(Manager):
    @handles
    async def ask(self, event: Ask) -> str:
        raise LookupError(event.text)


def test_a_reply_comes_back_from_another_node_in_every_mode(world: World, cluster: Cluster, mode: str) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a:
            for worker in (Echo, PlainEcho):
                async with cluster.node("b", pool_of(worker, mode, size=2)):
                    answers = await asyncio.gather(*[a.request(Ask(str(n)), timeout=10) for n in range(10)])
                    assert answers == [str(n) for n in range(10)]

    world.run(main)


def test_an_exception_there_comes_back_with_its_type_and_traceback(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Fails):
            with pytest.raises(HandlerError) as caught:
                await a.request(Ask("no such thing"))
            assert caught.value.type_name == "LookupError"
            assert "in ask" in caught.value.remote_traceback
            assert "no such thing" in str(caught.value)

    world.run(main)


@pytest.mark.parametrize("text", ["\udcff is half a character", "long " * 1_000_000])
def test_whatever_an_exception_says_its_requester_hears_of_it(world: World, cluster: Cluster, text: str) -> None:
    class Says(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            raise LookupError(text)

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Says):
            for _ in range(2):  # The second shows that the line is whole.
                with pytest.raises(HandlerError, match="LookupError") as caught:
                    await a.request(Ask(""), timeout=5)
                assert len(caught.value.remote_traceback) < 500_000

    world.run(main)


@event
class Copies(Request[bytes]):
    count: int
    padding: bytes = b""


class Copier(Manager):
    @handles
    async def copy(self, event: Copies) -> bytes:
        return b"x" * event.count


def test_what_is_too_large_to_travel_is_an_error_and_no_harm(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Copier):
            largest = (1 << 20) - 1024
            assert len(await a.request(Copies(largest - 5))) == largest - 5
            with pytest.raises(BadReply, match=f"Copies: the reply is {largest + 1} bytes, and at most {largest} tra"):
                await a.request(Copies(largest - 4))
            with pytest.raises(EventTooLarge, match=r"Copies is 10475.. bytes, .* stream it through a tunnel"):
                await a.request(Copies(1, padding=b"x" * largest))
            assert await a.request(Copies(1)) == b"x"

    world.run(main)


@event
class Odd(Request[int]):
    """Its reply is not what it says."""


@event(name="abroad.Remaining")
class Remaining(Request[float]):
    """Answered with the seconds until its deadline."""


@event
class Deep(Request[int]):
    depth: int


class Liar(Manager):
    @handles
    async def odd(self, event: Odd) -> int:
        return "seven"  # type: ignore[return-value]


def test_a_reply_that_does_not_fit_and_an_event_that_does_not(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Liar, pool_of(Echo)):
            with pytest.raises(BadReply, match="expected int"):
                await a.request(Odd())
            with pytest.raises(BadEvent, match=r"Ask\.text: expected str"):
                await a.request(Ask(7))  # type: ignore[arg-type]

    world.run(main)


def test_nobody_provides_it_until_the_grace_is_over(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with cluster, cluster.node("a", **quick(route_grace=0.2)) as a, cluster.node("b"):
            began = loop.time()
            with pytest.raises(NoRoute, match=r"nobody came to provide it within 0\.2 s; start a manager"):
                await a.request(Ask("x"))
            assert 0.19 < loop.time() - began < 2

    world.run(main)


def test_a_provider_that_comes_within_the_grace_gets_it(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a", route_grace=10.0) as a:
            asked = asyncio.ensure_future(a.request(Ask("x")))
            await turns(10)
            assert not asked.done()
            async with cluster.node("b", lambda: Answers("b")):
                assert await asked == "b heard x"

    world.run(main)


def test_a_local_provider_is_preferred_until_its_mailbox_is_full(world: World, cluster: Cluster) -> None:
    gate = Gate()

    class Narrow(Manager):
        concurrency = 1
        queue = 1

        @handles
        async def ask(self, event: Ask) -> str:
            await self.request(Enter(event.text))
            return f"a heard {event.text}"

    async def main() -> None:
        async with cluster, cluster.node("a", Narrow, lambda: gate) as a, cluster.node("b", lambda: Answers("b")):
            await a.subscribed(Ask, 2)
            asked = []
            for number in range(3):
                asked.append(asyncio.ensure_future(a.request(Ask(str(number)))))
                await turns(3)
            assert await asked[2] == "b heard 2"
            gate.open()
            assert await asyncio.gather(*asked[:2]) == ["a heard 0", "a heard 1"]

    world.run(main)


def test_the_remote_provider_with_the_fewest_of_ours_gets_it_and_equals_take_turns(
    world: World, cluster: Cluster
) -> None:
    gates = [Gate(), Gate()]

    def holding(number: int) -> type[Manager]:
        class Holding(Manager):
            @handles
            async def ask(self, event: Ask) -> str:
                gates[number].waiting.append(event.text)
                await gates[number].opened.wait()
                return str(number)

        return Holding

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", holding(0)), cluster.node("c", holding(1)):
            await a.subscribed(Ask, 2)
            asked = [asyncio.ensure_future(a.request(Ask(str(n)), timeout=20)) for n in range(6)]
            await until(lambda: len(gates[0].waiting) == len(gates[1].waiting) == 3)
            assert all(abs(int(x) - int(y)) == 1 for x, y in zip(*[gate.waiting for gate in gates], strict=True))
            gates[0].open()
            await until(lambda: sum(each.done() for each in asked) == 3)
            more = [await a.request(Ask(str(n)), timeout=20) for n in range(3)]
            assert more == ["0", "0", "0"]
            gates[1].open()
            await asyncio.gather(*asked)

    world.run(main)


def test_a_deadline_passes_at_both_ends(world: World, cluster: Cluster) -> None:
    seen: list[object] = []

    class Sleeper(Manager):
        @handles
        async def ask(self, event: Ask) -> str:
            try:
                await asyncio.sleep(60)
            except BaseException as error:
                seen.append(type(error))
                raise
            return ""

    letters = {"a": Letters(), "b": Letters()}

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a", lambda: letters["a"]) as a,
            cluster.node("b", Sleeper, lambda: letters["b"]) as b,
        ):
            await a.subscribed(Ask)
            with pytest.raises(DeadlineExceeded, match=r"no reply within 0\.2 s; it was at node b"):
                await a.request(Ask("x"), timeout=0.2)
            await until(lambda: seen, "the handler to be cancelled")
            await until(lambda: not connector_of(b).inlet._serving)
            await until(lambda: letters["a"].list)

    world.run(main)
    assert seen == [asyncio.CancelledError]
    # There the deadline and the cancel from here come at one moment: a dead letter tells of the deadline alone.
    assert [letter.reason for letter in letters["b"].list] in ([], ["deadline"])
    assert [(letter.type, letter.reason, letter.where) for letter in letters["a"].list] == [
        ("Ask", "deadline", "node b")
    ]


def test_the_remaining_time_travels_and_not_the_deadline(world: World, cluster: Cluster) -> None:
    class Tells(Manager):
        @handles
        async def tell(self, event: Remaining) -> float:
            job = current.get()
            assert job is not None
            return job.envelope.deadline - asyncio.get_running_loop().time()

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", Tells):
            await a.subscribed(Remaining)
            assert 4.0 < await a.request(Remaining(), timeout=5) <= 5.0

    world.run(main)


@pytest.mark.parametrize("worker", [Witness, PlainWitness])
def test_a_request_that_runs_elsewhere_is_cancelled_there(
    world: World, cluster: Cluster, mode: str, worker: type[Worker]
) -> None:
    gate = Gate()

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a") as a,
            cluster.node("b", pool_of(worker, mode, size=1, concurrency=2), lambda: gate, **quick()),
        ):
            await a.subscribed(Ask)
            asked = asyncio.ensure_future(a.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            name = "RequestCancelled" if worker is PlainWitness else "CancelledError"

            async def noticed() -> bool:
                return name in " ".join(await a.request(Recall(), timeout=20))

            for _ in range(200):
                if await noticed():
                    break
                await asyncio.sleep(0.01)
            assert await noticed()
            gate.open()

    world.run(main)


def test_a_request_that_is_queued_elsewhere_is_taken_out_of_the_queue(world: World, cluster: Cluster) -> None:
    gate = Gate()

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a") as a,
            cluster.node("b", pool_of(Held, size=1, concurrency=1, queue=5), lambda: gate) as b,
        ):
            await a.subscribed(Ask)
            first, second, third = [asyncio.ensure_future(a.request(Ask(str(n)))) for n in range(3)]
            await until(lambda: len(connector_of(b).inlet._serving) == 3)
            second.cancel()
            await until(lambda: len(connector_of(b).inlet._serving) == 2)
            gate.open()
            assert [await first, await third] == ["0", "2"]
            assert gate.waiting == ["0", "2"]

    world.run(main)


@event(name="abroad.Deposit", ack="handled")
class Deposit(Request[str]):
    pass


class Teller(Manager):
    """Takes deposits, and never answers."""

    def __init__(self) -> None:
        self.taken = 0

    @handles
    async def deposit(self, event: Deposit) -> str:
        self.taken += 1
        await asyncio.Event().wait()
        raise AssertionError


def test_a_request_that_was_kept_until_handled_is_not_kept_once_its_requester_has_given_up(
    world: World, cluster: Cluster
) -> None:
    teller = Teller()

    async def main() -> None:
        async with cluster, cluster.node("a") as a, cluster.node("b", lambda: teller):
            await a.subscribed(Deposit)
            asked = asyncio.ensure_future(a.request(Deposit(), timeout=30))
            await until(lambda: teller.taken == 1)
            kept = connector_of(a).exchange.peer("b").kept
            await until(lambda: any(each.arrived for each in kept.values()))
            asked.cancel()
            await until(lambda: not kept and not connector_of(a).busy)

    world.run(main)


def test_a_request_that_has_not_left_yet_is_taken_back(world: World) -> None:
    answers = Answers("b")

    async def main() -> None:
        cluster = Cluster("memory")
        async with cluster, cluster.node("a") as a, cluster.node("b", lambda: answers) as b:
            await a.subscribed(Ask)
            await present(a, b)
            cluster.ports["a"].passes = lambda _dst, _frame: False
            asked = [asyncio.ensure_future(a.request(Ask(str(n)), timeout=20)) for n in range(20)]
            await turns(3)
            for each in asked[5:]:
                each.cancel()
            await turns(3)
            cluster.ports["a"].passes = lambda _dst, _frame: True
            assert await asyncio.gather(*asked[:5]) == [f"b heard {n}" for n in range(5)]
            await until(lambda: not connector_of(a).busy)
            # The first windowful had been sent, and so had to be cancelled there; the rest was never sent.
            assert set(answers.asked) <= {str(n) for n in range(8)}

    world.run(main)


def test_no_room_anywhere_until_the_deadline(world: World, cluster: Cluster) -> None:
    gate = Gate()

    async def main() -> None:
        async with (
            cluster,
            cluster.node("a") as a,
            cluster.node("b", pool_of(Held, size=1, concurrency=1, queue=1), lambda: gate) as b,
        ):
            await a.subscribed(Ask)
            held = [asyncio.ensure_future(a.request(Ask(str(n)), timeout=20)) for n in range(2)]
            await until(lambda: len(connector_of(b).inlet._serving) == 2)
            with pytest.raises((Overloaded, DeadlineExceeded)):
                await a.request(Ask("late"), timeout=0.3)
            await until(lambda: len(connector_of(b).inlet._serving) == 2)
            gate.open()
            assert await asyncio.gather(*held) == ["0", "1"]
            assert await a.request(Ask("again"), timeout=20) == "again"

    world.run(main)


def test_a_hundred_outstanding_requests_and_a_window_of_eight(world: World, cluster: Cluster) -> None:
    """Replies do not wait behind requests: with one lane for all, these stopped for ever."""

    class Diver(Manager):
        concurrency = 1_000

        @handles
        async def dive(self, event: Deep) -> int:
            return 0 if not event.depth else 1 + await self.request(Deep(event.depth - 1))

    async def main() -> None:
        limits = Limits(window=8)
        async with cluster, cluster.node("a", limits=limits) as a, cluster.node("b", Diver, limits=limits):
            await a.subscribed(Deep)
            assert await asyncio.gather(*[a.request(Deep(2), timeout=20) for _ in range(100)]) == [2] * 100

    world.run(main)


def test_a_request_has_one_identity_at_both_ends(world: World, cluster: Cluster) -> None:
    async def main() -> Node:
        async with cluster, cluster.node("a", trace="full") as a, cluster.node("b", pool_of(Echo), trace="full"):
            for number in range(3):
                await a.request(Ask(str(number)))
        return a

    spans = run_of(world.run(main), world).spans
    assert [span.event_id.split("/")[0] for span in spans] == ["a"] * 3
    assert len({span.event_id for span in spans}) == 3


def test_a_node_that_stops_fails_what_others_still_wait_for(world: World, cluster: Cluster) -> None:
    async def main() -> None:
        async with cluster, cluster.node("a") as a:
            b = cluster.node("b", pool_of(Held), Gate, **quick(drain_timeout=0.1))
            await b.start()
            await a.subscribed(Ask)
            asked = asyncio.ensure_future(a.request(Ask("x"), timeout=20))
            await until(lambda: connector_of(b).inlet._serving)
            await b.stop()
            with pytest.raises(NodeStopped, match="node 'b' stopped"):
                await asked

    world.run(main)
