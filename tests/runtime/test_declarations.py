"""Managers, workers, pools and handlers that are declared wrongly: what is said, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from edri_sim import (
    Manager,
    Node,
    Notification,
    Pool,
    Request,
    Simulation,
    Topology,
    Tunnel,
    TunnelEnd,
    Worker,
    event,
    handles,
    part,
)
from edri_sim.errors import DeclarationError
from edri_sim.routing.mailbox import wait
from tests.runtime.cast import Ask, Ear, Echo, Told
from tests.worlds import World, pool_of


def no_annotation() -> object:
    class W(Worker):
        @handles
        async def ask(self, event):  # type: ignore[no-untyped-def]
            return ""

    return W


def no_event() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: int) -> str:
            return ""

    return W


def wrong_return() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: Ask) -> int:
            return 1

    return W


def wrong_notification_return() -> object:
    class W(Manager):
        @handles
        async def told(self, event: Told) -> str:
            return ""

    return W


def two_of_one_type() -> object:
    class W(Worker):
        @handles
        async def first(self, event: Ask) -> str:
            return ""

        @handles
        async def second(self, event: Ask) -> str:
            return ""

    return W


def generator() -> object:
    class W(Worker):
        @handles
        def ask(self, event: Ask) -> Iterator[str]:
            yield ""

    return W


def generator_without_return() -> object:
    class W(Worker):
        @handles
        def ask(self, event: Ask):  # type: ignore[no-untyped-def]
            yield ""

    return W


def async_generator() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: Ask):  # type: ignore[no-untyped-def]
            yield ""

    return W


def async_generator_with_return() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: Ask) -> AsyncIterator[str]:
            yield ""

    return W


def too_many_parameters() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: Ask, more: int, most: int) -> str:
            return ""

    return W


def end_of_no_tunnel() -> object:
    class W(Worker):
        @handles
        async def ask(self, event: Ask, more: TunnelEnd[int, str]) -> str:
            return ""

    return W


@event(name="declarations.Pour")
class Pour(Tunnel[str, int]):
    pass


def no_end() -> object:
    class W(Worker):
        @handles
        async def pour(self, event: Pour) -> None: ...

    return W


def plain_with_async_end() -> object:
    class W(Worker):
        @handles
        def pour(self, event: Pour, tunnel: TunnelEnd[int, str]) -> None: ...

    return W


def end_turned_around() -> object:
    class W(Worker):
        @handles
        async def pour(self, event: Pour, tunnel: TunnelEnd[str, int]) -> None: ...

    return W


def manager_with(**attributes: Any) -> Callable[[], object]:
    return lambda: type("M", (Manager,), attributes)


BAD: list[tuple[Callable[[], object], str]] = [
    (no_annotation, r"W\.ask: annotate the parameter 'event' with the event type it handles"),
    (no_event, r"W\.ask: <class 'int'> is no Notification, Request or Tunnel, and so cannot be handled"),
    (wrong_return, r"W\.ask: it is annotated to return int, but Ask is answered with str"),
    (wrong_notification_return, r"W\.told: it is annotated to return str, but Told is answered with None"),
    (two_of_one_type, r"W: first and second both handle Ask"),
    (generator, r"W\.ask: .*a handler returns one reply; this one is a generator"),
    (generator_without_return, r"W\.ask: a handler returns one reply; this one is a generator"),
    (async_generator, r"W\.ask: a handler returns one reply; this one is a generator"),
    (async_generator_with_return, r"W\.ask: .*a handler returns one reply; this one is a generator"),
    (too_many_parameters, r"W\.ask: a handler takes self and one event, or .*; this one takes 4 arguments"),
    (end_of_no_tunnel, r"W\.ask: Ask opens no tunnel, so its handler takes one event only"),
    (no_end, r"W\.pour: Pour opens a tunnel: add a parameter for its end, a TunnelEnd\[int, str\]"),
    (plain_with_async_end, r"W\.pour: .*'tunnel' is a BlockingTunnel\[int, str\], not TunnelEnd\[int, str\]"),
    (end_turned_around, r"W\.pour: the parameter 'tunnel' is a TunnelEnd\[int, str\], not TunnelEnd\[str, int\]"),
    (manager_with(concurrency=0), r"M\(concurrency=0\): expected a whole number, 1 or more"),
    (manager_with(concurrency=1.5), r"M\(concurrency=1\.5\): expected a whole number, 1 or more"),
    (manager_with(queue=-1), r"M\(queue=-1\): expected a whole number, 0 or more"),
    (manager_with(overflow="wait"), r"M\.overflow: expected wait\(\), drop_oldest or drop_newest"),
    (lambda: Pool(Ask), r"Pool\(<class '.*Ask'>\): expected a subclass of Worker"),  # type: ignore[arg-type]
    (lambda: Pool("Echo"), r"Pool\('Echo'\): expected a subclass of Worker"),  # type: ignore[arg-type]
    (
        lambda: Pool(Echo, mode="fiber"),
        r"Pool\(Echo, mode='fiber'\): expected one of method, thread, process",
    ),
    (lambda: Pool(Echo, size=0), r"Pool\(Echo, size=0\): expected a whole number, 1 or more"),
    (lambda: Pool(Echo, size=True), r"Pool\(Echo, size=True\): expected a whole number, 1 or more"),
    (lambda: Pool(Echo, concurrency=0), r"Pool\(Echo, concurrency=0\): expected a whole number, 1 or more"),
    (lambda: Pool(Echo, queue=-1), r"Pool\(Echo, queue=-1\): expected a whole number, 0 or more"),
    (lambda: Pool(Echo, queue=None), r"Pool\(Echo, queue=None\): expected a whole"),  # type: ignore[arg-type]
    (lambda: Pool(Echo, args="a"), r"Pool\(Echo, args='a'\): expected a tuple of arguments"),  # type: ignore[arg-type]
    (
        lambda: Pool(Echo, overflow="wait"),  # type: ignore[arg-type]
        r"Pool\(Echo, overflow='wait'\): expected wait\(\), drop_oldest or drop_newest",
    ),
    (lambda: Pool(Echo, kwargs=("a",)), r"Pool\(Echo, kwargs=\('a',\)\): expected a dict"),  # type: ignore[arg-type]
    (lambda: Node("Solo"), r"node name 'Solo': expected 1 to 64 of a-z, 0-9, '\.', '_' and '-'"),
    (lambda: Node("x" * 65), r"node name 'x{65}': expected 1 to 64"),
    (lambda: Node(""), r"node name '': expected 1 to 64"),
    (lambda: Node(5), r"node name 5: expected 1 to 64"),  # type: ignore[arg-type]
    (lambda: Node("solo", Ear()), r"node 'solo': part <Ear> is no factory; pass the class or part\(\.\.\.\)"),  # type: ignore[arg-type]
    (lambda: Topology("The Photos"), r"topology name 'The Photos': expected 1 to 64"),
    (lambda: _twice(), r"topology 'photos' has a node 'web' already"),
    (lambda: Topology("photos").node("web", cores=0), r"node\('web', cores=0\): expected a whole number, 1 or more"),
    (lambda: Topology("photos").node("web", Ear()), r"node 'web': part <Ear> is no factory"),  # type: ignore[arg-type]
    (lambda: part(3), r"part\(3\): expected the class of a part, or a function that makes one"),  # type: ignore[arg-type]
    (lambda: wait("x"), r"overflow wait\(timeout='x'\): expected seconds, 0 or more"),  # type: ignore[arg-type]
    (lambda: Simulation("photos"), r"Simulation\('photos'\): expected a Topology"),  # type: ignore[arg-type]
    (lambda: Simulation(epoch=0), r"Simulation\(epoch=0\): expected a time with its time zone"),  # type: ignore[arg-type]
    (lambda: Simulation(latency="1 ms"), r"Simulation\(latency='1 ms'\): expected a number"),  # type: ignore[arg-type]
    (lambda: Simulation(settings={}), r"Simulation\(settings={}\): expected Settings\("),  # type: ignore[arg-type]
    (lambda: Simulation(service=3), r"service=3: expected a mapping, such as {EventType: "),  # type: ignore[arg-type]
]


def _twice() -> None:
    topology = Topology("photos")
    topology.node("web")
    topology.node("web")


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_is_declared_wrongly_is_told_at_once(make: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


def test_a_worker_without_handlers_is_told_at_the_start(world: World) -> None:
    class Idle(Worker):
        pass

    async def main() -> None:
        with pytest.raises(DeclarationError, match=r"mode='method', size=1\) of solo/Crew: .*Idle has no method with"):
            async with Node("solo", pool_of(Idle)):
                pass

    world.run(main)


class Early(Worker):
    """Handles an event that is declared below."""

    @handles
    async def later(self, event: DeclaredLater) -> str:
        return event.text


@event
class DeclaredLater(Request[str]):
    text: str


def test_an_annotation_that_cannot_be_resolved_yet_is_resolved_at_the_start(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Early, mode)) as node:
            assert await node.request(DeclaredLater("found"), timeout=20) == "found"

    world.run(main)


class Never(Worker):
    @handles
    async def later(self, event: NeverDeclared) -> str:  # type: ignore[name-defined]  # noqa: F821
        return ""


def test_an_annotation_that_stays_unresolved_is_told_at_the_start(world: World) -> None:
    async def main() -> None:
        node = Node("solo", pool_of(Never))
        with pytest.raises(
            DeclarationError, match=r"Never: a handler's annotation: name 'NeverDeclared' is not defined"
        ):
            await node.start()
        assert repr(node) == "<Node solo stopped>"

    world.run(main)


def test_annotations_are_resolved_with_the_names_of_the_function_around(world: World) -> None:
    @event(name=f"Inner{world.name}")
    class Inner(Notification):
        number: int

    heard: list[int] = []

    class InWorker(Worker):
        @handles
        async def inner(self, event: Inner) -> None:
            heard.append(event.number)

    class InManager(Manager):
        pool = Pool(InWorker)

        @handles
        async def inner(self, event: Inner) -> None:
            heard.append(event.number)

    async def main() -> None:
        async with Node("solo", InManager) as node:
            await node.notify(Inner(3))

    world.run(main)
    assert heard == [3, 3]


class Base(Manager):
    extra = Pool(Echo, size=2)

    @handles
    async def told(self, event: Told) -> None:
        self.heard = [event.number]


class Derived(Base):
    """Overrides the handler, which needs no mark of its own, and adds a pool."""

    async def told(self, event: Told) -> None:
        derived.append(event.number)


derived: list[int] = []


def test_handlers_and_pools_are_inherited(world: World) -> None:
    derived.clear()

    async def main() -> None:
        async with Node("solo", Derived) as node:
            await node.notify(Told(4))
            assert await node.request(Ask("inherited")) == "inherited"

    world.run(main)
    assert derived == [4]
    assert list(Derived.pools()) == ["extra"]


def test_parts_are_made_anew_at_each_start_with_their_arguments(world: World) -> None:
    made: list[tuple[Any, ...]] = []

    class Counted(Manager):
        def __init__(self, number: int, *, name: str) -> None:
            made.append((number, name))

    factory = part(Counted, 3, name="three")

    async def main() -> None:
        node = Node("solo", factory)
        for _ in range(2):
            async with node:
                await asyncio.sleep(0)

    world.run(main)
    assert made == [(3, "three")] * 2
    assert repr(factory).endswith("Counted, 3, name='three')")
    assert repr(part(Ear)) == "part(Ear)"


def test_reprs_have_no_address(world: World) -> None:
    async def main() -> list[str]:
        node = Node("solo", Ear)
        texts = [repr(node)]
        async with node:
            texts.append(repr(node))
        return [*texts, repr(node)]

    assert world.run(main) == ["<Node solo stopped>", "<Node solo running>", "<Node solo stopped>"]
    topology = Topology("photos")
    assert repr(topology) == "<Topology photos: no nodes>"
    topology.node("web", Ear)
    assert repr(topology) == "<Topology photos: web>"
    assert repr(Pool(Echo, size=2)) == "Pool(Echo, mode='method', size=2)"


def test_a_reply_may_be_a_subclass_of_the_declared_one() -> None:
    class Shape(Worker):
        @handles
        async def ask(self, event: Ask) -> Any:
            return ""

    assert [spec.name for spec in Shape.handler_table.resolve().values()] == ["ask"]


@pytest.mark.parametrize("pooled", [False, True], ids=["manager", "pool"])
def test_handlers_of_an_event_that_was_declared_again_are_told_when_the_node_starts(world: World, pooled: bool) -> None:
    def declare() -> type[Request[str]]:
        @event
        class Revised(Request[str]):
            pass

        return Revised

    first = declare()

    class Old(Worker if pooled else Manager):  # type: ignore[misc]
        @handles
        async def ask(self, event: first) -> str:  # type: ignore[valid-type]
            return ""

    async def main() -> None:
        manager = pool_of(Old) if pooled else Old
        async with Node("solo", manager):
            pass
        declare()
        with pytest.raises(DeclarationError, match=r"Old\.ask handles an earlier definition of Revised: define .*Old"):
            async with Node("solo", manager):
                pass

    world.run(main)
