"""Observers see requests and their ends, change nothing, and slow nobody down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import Manager, Node, Notification, Request, Worker, event, handles
from edri_sim.errors import DeadlineExceeded, DeclarationError, HandlerError, NoRoute, RequestCancelled  # fmt: skip
from edri_sim.managers import observing
from edri_sim.managers.observing import observes
from edri_sim.routing.observing import Observation
from tests.links.cluster import Cluster
from tests.runtime.breakers import Sleep, Sleeper
from tests.runtime.cast import Ask, Echo, Told
from tests.worlds import World, pool_of, quick, records, turns, until


@event(name="observers.Sum")
class Sum(Request[int]):
    a: int
    b: int


@event(name="observers.LongSum")
class LongSum(Sum):
    c: int = 0


class Adder(Manager):
    @handles
    async def add(self, event: Sum) -> int:
        if event.a < 0:
            raise ValueError("negative")
        return event.a + event.b


class Audit(Manager):
    """Sees the sums, and all requests."""

    def __init__(self) -> None:
        self.sums: list[Observation[Sum]] = []
        self.all: list[Observation[Any]] = []

    @observes
    async def sum(self, seen: Observation[Sum]) -> None:
        self.sums.append(seen)

    @observes
    async def everything(self, seen: Observation[Request]) -> None:  # type: ignore[type-arg]
        self.all.append(seen)


def test_an_observer_sees_each_request_of_its_class_with_its_reply(world: World) -> None:
    audit = Audit()

    async def main() -> None:
        async with Node("solo", lambda: audit, Adder, pool_of(Echo), **quick()) as node:
            assert await node.request(Sum(1, 2), timeout=10) == 3
            assert await node.request(LongSum(2, 3, 4), timeout=10) == 5
            assert await node.request(Ask("x"), timeout=10) == "x"
            await node.notify(Told(1))
            life = node._router.origin.incarnation  # type: ignore[union-attr]
        assert [(seen.event, seen.reply, seen.error) for seen in audit.sums] == [
            (Sum(1, 2), 3, None),
            (LongSum(2, 3, 4), 5, None),
        ]
        first = audit.sums[0]
        assert (first.event_id, first.source, first.provider) == (f"solo/{life:x}/1", "solo", "solo/Adder")
        assert 0 <= first.duration < 5
        assert [seen.event for seen in audit.all] == [Sum(1, 2), LongSum(2, 3, 4), Ask("x")]
        assert audit.all[2].provider == "solo/Crew.pool"

    world.run(main)


def test_it_sees_every_kind_of_end(world: World) -> None:
    audit = Audit()

    async def main() -> None:
        async with Node("solo", lambda: audit, Adder, pool_of(Sleeper), **quick()) as node:
            with pytest.raises(HandlerError):
                await node.request(Sum(-1, 2), timeout=10)
            with pytest.raises(DeadlineExceeded):
                await node.request(Sleep(10), timeout=0.02)
            with pytest.raises(NoRoute):
                await node.request(Ask(), timeout=10)
            gone = asyncio.ensure_future(node.request(Sleep(10), timeout=10))
            await turns(20)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    world.run(main)
    assert [type(seen.error) for seen in audit.all] == [HandlerError, DeadlineExceeded, NoRoute, RequestCancelled]
    assert [seen.provider for seen in audit.all] == ["solo/Adder", "solo/Crew.pool", "", "solo/Crew.pool"]
    assert all(seen.reply is None for seen in audit.all)
    assert audit.all[1].duration == pytest.approx(0.02, abs=1e-9 if world.simulated else 1)


def test_on_two_nodes_each_observer_sees_what_passes_its_own(world: World) -> None:
    here, there, aside = Audit(), Audit(), Audit()

    async def main() -> None:
        async with (
            Cluster() as cluster,
            cluster.node("a", lambda: here) as a,
            cluster.node("b", Adder, lambda: there),
            cluster.node("c", lambda: aside) as c,
        ):
            await a.subscribed(Sum, timeout=10)
            await c.subscribed(Sum, timeout=10)  # The observers on a and c are no providers, or there would be three.
            assert await a.request(Sum(1, 2), timeout=10) == 3
            with pytest.raises(HandlerError):
                await a.request(Sum(-1, 2), timeout=10)
            await until(lambda: len(there.sums) == 2)

    world.run(main)
    assert [(seen.source, seen.provider) for seen in here.sums] == [("a", "node b")] * 2
    assert [(seen.source, seen.provider) for seen in there.sums] == [("a", "b/Adder")] * 2
    assert [seen.event_id for seen in here.sums] == [seen.event_id for seen in there.sums]
    assert [seen.reply for seen in (*here.sums, *there.sums)] == [3, None, 3, None]
    assert aside.sums == []


def test_a_slow_observer_slows_nobody_and_misses_the_oldest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "ROOM", 5)
    seen: list[int] = []
    gate: list[asyncio.Event] = []
    begun: list[int] = []

    class Slow(Manager):
        async def start(self) -> None:
            gate.append(asyncio.Event())

        @observes
        async def sum(self, observation: Observation[Sum]) -> None:
            begun.append(observation.event.a)
            await gate[0].wait()
            seen.append(observation.event.a)

    async def main() -> None:
        async with Node("solo", Slow, Adder, **quick()) as node:
            assert await node.request(Sum(0, 0), timeout=10) == 0
            await until(lambda: begun)  # It has the first, and never lets it go before the others have passed.
            for number in range(1, 21):
                assert await node.request(Sum(number, 0), timeout=10) == number
            gate[0].set()
            await until(lambda: len(seen) == 6)

    with records() as kept:
        world.run(main)
    assert seen == [0, 16, 17, 18, 19, 20]
    assert [record.getMessage() for record in kept.at("WARNING")] == [
        "solo/Slow.sum is slower than requests pass, and misses some (others are counted)",
        "solo/Slow.sum has missed 15 observations",
    ]


def test_an_observer_that_raises_is_logged_and_goes_on_and_harms_no_request(world: World) -> None:
    seen: list[int] = []

    class Clumsy(Manager):
        @observes
        async def sum(self, observation: Observation[Sum]) -> None:
            seen.append(observation.event.a)
            raise LookupError("clumsy")

    async def main() -> None:
        async with Node("solo", Clumsy, Adder, **quick()) as node:
            assert [await node.request(Sum(n, 0), timeout=10) for n in range(3)] == [0, 1, 2]

    with records() as kept:
        world.run(main)
    assert seen == [0, 1, 2]
    assert [record.getMessage() for record in kept.at("ERROR")] == ["solo/Clumsy.sum failed"] * 3


def test_an_observer_that_hangs_does_not_hold_a_stop_up_for_long(world: World) -> None:
    begun: list[int] = []

    class Hanging(Manager):
        @observes
        async def sum(self, observation: Observation[Sum]) -> None:
            begun.append(observation.event.a)
            await asyncio.get_running_loop().create_future()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with Node("solo", Hanging, Adder, **quick(drain_timeout=0.05)) as node:
            await node.request(Sum(1, 1), timeout=10)
            await until(lambda: begun)
            await node.request(Sum(1, 1), timeout=10)
            began = loop.time()
        return loop.time() - began

    with records() as kept:
        assert world.run(main) < 2
    assert "solo/Hanging.sum has missed 1 observations" in [record.getMessage() for record in kept.at("WARNING")]


def test_what_an_observer_publishes_has_no_parent_and_its_own_deadline(world: World) -> None:
    heard: list[str] = []

    class Teller(Manager):
        @observes
        async def sum(self, observation: Observation[Sum]) -> None:
            heard.append(await self.request(Ask(str(observation.reply)), timeout=10))

    async def main() -> None:
        async with Node("solo", Teller, Adder, pool_of(Echo), **quick()) as node:
            await node.request(Sum(1, 1), timeout=0.5)
            await until(lambda: heard)

    world.run(main)
    assert heard == ["2"]


def test_an_observer_of_a_class_that_comes_later_is_resolved_at_the_start() -> None:
    class Early(Manager):
        @observes
        async def later(self, seen: Observation[Later]) -> None: ...

    with pytest.raises(DeclarationError, match="Early: an observer's annotation: name 'Later' is not defined"):
        Early.observer_table.resolve_at_start()

    @event(name="observers.Later")
    class Later(Request[int]):
        pass

    Early.observer_table._names["Later"] = Later
    assert Early.observer_table.resolve_at_start() == {"later": Later}


def plain() -> object:
    class M(Manager):
        @observes  # type: ignore[type-var]
        def seen(self, seen: Observation[Sum]) -> None: ...

    return M


def no_annotation() -> object:
    class M(Manager):
        @observes
        async def seen(self, seen) -> None: ...  # type: ignore[no-untyped-def]

    return M


def the_request_itself() -> object:
    class M(Manager):
        @observes
        async def seen(self, seen: Sum) -> None: ...

    return M


def a_notification() -> object:
    class M(Manager):
        @observes
        async def seen(self, seen: Observation[Notification]) -> None: ...

    return M


def two_parameters() -> object:
    class M(Manager):
        @observes
        async def seen(self, seen: Observation[Sum], more: int) -> None: ...

    return M


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (plain, r"M\.seen: an observer is an async def"),
        (no_annotation, r"M\.seen: annotate the parameter 'seen' with Observation\[R\]"),
        (the_request_itself, r"M\.seen: annotate the parameter 'seen' with Observation\[R\]"),
        (a_notification, r"with Observation\[R\], where R is a class of requests, or Request for all of them"),
        (two_parameters, r"M\.seen: an observer takes self and one Observation"),
    ],
)
def test_a_bad_declaration_says_what_would_be_right(make: Callable[[], object], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make()


def test_workers_have_no_observers() -> None:
    with pytest.raises(DeclarationError, match=r"W\.seen: observers are for managers"):

        class W(Worker):
            @observes
            async def seen(self, seen: Observation[Sum]) -> None: ...
