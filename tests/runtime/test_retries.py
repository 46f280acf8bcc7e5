"""Requests that are tried again: which, when, how often, and where that ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edri_sim import Manager, Node, Request, Simulation, Worker, handles
from edri_sim import event as event_
from edri_sim.errors import DeadlineExceeded, DeclarationError, HandlerError, NodeStopped, NoRoute, ProviderLost
from edri_sim.routing.retrying import Retry
from tests.runtime.breakers import Break, Brittle, Try
from tests.runtime.cast import Ask
from tests.worlds import World, pool_of, quick

SOON = Retry(attempts=4, delay=0.01, delay_max=0.02)


@event_(name="retries.Flaky", idempotent=True)
class Flaky(Request[str]):
    how: str = ""


@event_(name="retries.Through")
class Through(Request[str]):
    """A worker asks on, with a retry."""

    idempotent: bool = True


class Through1(Worker):
    @handles
    async def through(self, event: Through) -> str:
        asked = Flaky() if event.idempotent else Ask()
        return await self.request(asked, timeout=10, retry=Retry(delay=0.01))


class PlainThrough(Worker):
    @handles
    def through(self, event: Through) -> str:
        asked = Flaky() if event.idempotent else Ask()
        return self.blocking.request(asked, timeout=10, retry=Retry(delay=0.01))


class Provider(Manager):
    """Is slow, or raises, as it is asked to; late to come: see the tests."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @handles
    async def flaky(self, event: Flaky) -> str:
        self.seen.append(self.delivery.event_id)
        if event.how == "raise":
            raise LookupError("no")
        if event.how == "hang once" and len(self.seen) == 1:
            await asyncio.sleep(100)
        return f"attempt {len(self.seen)}"


async def come_late(node: Node, provider: Provider, after: float) -> None:
    await asyncio.sleep(after)
    assert node._life is not None
    running = provider.run_on(node._life)
    await running.start()
    node._running.append(running)


def test_a_request_is_tried_again_until_somebody_provides_it(world: World) -> None:
    provider = Provider()

    async def main() -> None:
        async with Node("solo", **quick(route_grace=0.0)) as node, asyncio.TaskGroup() as group:
            group.create_task(come_late(node, provider, 0.1))
            retry = Retry(attempts=100, delay=0.01, delay_max=0.02)
            assert await node.request(Flaky(), timeout=10, retry=retry) == "attempt 1"

    world.run(main)


def test_after_the_last_attempt_the_error_says_which_it_was(world: World) -> None:
    async def main() -> None:
        async with Node("solo", **quick(route_grace=0.0)) as node:
            with pytest.raises(NoRoute) as caught:
                await node.request(Flaky(), timeout=10, retry=SOON)
            assert caught.value.__notes__[0].startswith("This was attempt 4, 0.0")
            with pytest.raises(NoRoute) as single:
                await node.request(Flaky(), timeout=10, retry=Retry(attempts=1))
            assert not hasattr(single.value, "__notes__")

    world.run(main)


def test_a_lost_provider_is_tried_again(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        # Within the pool an event is given up after three deaths; a second attempt is a new event.
        async with Node("solo", pool_of(Brittle, restarts=100), **quick()) as node:
            with pytest.raises(ProviderLost):
                await node.request(Try(str(tmp_path / "one"), 4), timeout=20)
            assert await node.request(Try(str(tmp_path / "two"), 4), timeout=20, retry=SOON) == 5

    world.run(main)


def test_what_a_handler_raises_is_not_tried_again(world: World) -> None:
    provider = Provider()

    async def main() -> None:
        async with Node("solo", lambda: provider, **quick()) as node:
            with pytest.raises(HandlerError, match="no"):
                await node.request(Flaky("raise"), timeout=10, retry=SOON)

    world.run(main)
    assert len(provider.seen) == 1


def test_each_attempt_may_have_a_limit_and_is_an_event_of_its_own(world: World) -> None:
    provider = Provider()

    async def main() -> None:
        async with Node("solo", lambda: provider, **quick()) as node:
            with pytest.raises(DeadlineExceeded):
                await node.request(Flaky("hang once"), timeout=0.05, retry=SOON)
            provider.seen.clear()
            retry = Retry(each=0.05, delay=0.01)
            assert await node.request(Flaky("hang once"), timeout=10, retry=retry) == "attempt 2"

    world.run(main)
    assert len(set(provider.seen)) == 2


def test_the_deadline_is_one_for_all_attempts(world: World) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with Node("solo", **quick(route_grace=0.02)) as node:
            began = loop.time()
            with pytest.raises(NoRoute):
                await node.request(Flaky(), timeout=0.2, retry=Retry(attempts=1_000, delay=0.01, delay_max=0.03))
            return loop.time() - began

    assert 0.1 < world.run(main) < (0.2001 if world.simulated else 1)


def test_a_request_that_must_not_be_repeated_is_refused_with_the_reason(world: World) -> None:
    async def main() -> None:
        async with Node("solo", **quick()) as node:
            with pytest.raises(DeclarationError, match=r"Break: retry= is for requests .*idempotent=True\)"):
                await node.request(Break(), retry=SOON)

    world.run(main)


@pytest.mark.parametrize("worker", [Through1, PlainThrough])
def test_workers_retry_too_in_every_mode(world: World, mode: str, worker: type[Worker]) -> None:
    provider = Provider()

    async def main() -> None:
        async with Node("solo", pool_of(worker, mode), **quick(route_grace=0.0)) as node, asyncio.TaskGroup() as group:
            with pytest.raises(HandlerError, match="nobody provides it"):
                await node.request(Through(), timeout=20)
            with pytest.raises(HandlerError, match="DeclarationError: Ask: retry= is for requests"):
                await node.request(Through(idempotent=False), timeout=20)
            group.create_task(come_late(node, provider, 0.0))
            await asyncio.sleep(0.01)
            assert await node.request(Through(), timeout=20) == "attempt 1"

    world.run(main)


def test_the_deadline_of_the_handlers_own_request_counts(world: World) -> None:
    class Impatient(Manager):
        @handles
        async def through(self, event: Through) -> str:
            return await self.request(Flaky(), timeout=100, retry=Retry(attempts=10_000, delay=0.01, delay_max=0.01))

    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with Node("solo", Impatient, **quick(route_grace=0.0)) as node:
            began = loop.time()
            with pytest.raises((DeadlineExceeded, HandlerError)):
                await node.request(Through(), timeout=0.1)
            return loop.time() - began

    assert world.run(main) < 5


def test_a_node_that_stops_does_not_try_on() -> None:
    async def main() -> float:
        node = Node("solo", route_grace=0.0, drain_timeout=0.1)
        await node.start()
        retry = Retry(attempts=100, delay=10, delay_max=10)
        asked = asyncio.ensure_future(node.request(Flaky(), timeout=1_000, retry=retry))
        await asyncio.sleep(1)
        await node.stop()
        with pytest.raises(NodeStopped, match="stopped"):
            await asked
        return asyncio.get_running_loop().time()

    with Simulation() as simulation:
        assert simulation.run(main()) < 20


def test_pauses_double_up_to_the_longest_and_are_cut_by_up_to_a_half() -> None:
    retry = Retry(delay=0.1, delay_max=0.5)
    assert [retry.pause(attempt, 0.0) for attempt in (1, 2, 3, 4, 1_000)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    assert retry.pause(3, 0.999) == pytest.approx(0.2, rel=0.01)


def test_pauses_are_drawn_from_the_host_and_so_from_the_seed() -> None:
    def times(seed: int) -> list[float]:
        seen: list[float] = []

        async def main() -> None:
            async with Node("solo", route_grace=0.0) as node:
                with pytest.raises(NoRoute):
                    await node.request(Flaky(), timeout=100, retry=Retry(attempts=6))
                seen.append(asyncio.get_running_loop().time())

        with Simulation(seed=seed) as simulation:
            simulation.run(main())
        return seen

    assert times(1) == times(1)
    assert times(1) != times(2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"attempts": 0}, r"Retry\(attempts=0\): expected a whole number, 1 or more"),
        ({"attempts": 2.0}, r"Retry\(attempts=2.0\)"),
        ({"delay": 0}, r"Retry\(delay=0\): expected seconds above 0"),
        ({"delay_max": "5"}, r"Retry\(delay_max='5'\): expected seconds above 0"),
        ({"each": float("inf")}, r"Retry\(each=inf\): expected seconds above 0"),
    ],
)
def test_a_bad_policy_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        Retry(**arguments)  # type: ignore[arg-type]
