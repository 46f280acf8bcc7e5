"""Where other runtimes stay silent or answer twice: here every request ends once, with a typed error if it must."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import Node, Simulation
from edri_sim.envelope import Envelope
from edri_sim.errors import HandlerError, NoRoute, ProviderLost, RequestError
from edri_sim.routing.router import Router
from edri_sim.topology import Topology
from tests.runtime.cast import Ask, Ear, Echo, Gate, Held, Locate, PlainEcho, Tracker
from tests.runtime.faulty import Faulty
from tests.worlds import World, pool_of, quick, until


async def error_of(node: Node, timeout: float = 20) -> tuple[RequestError, float]:
    """The error of a request, and the seconds that it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(RequestError) as caught:
        await node.request(Ask("x"), timeout=timeout)
    return caught.value, loop.time() - start


def test_a_handler_that_raises_is_a_typed_error_within_the_deadline(world: World, mode: str) -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Faulty, mode)) as node:
            error, seconds = await error_of(node)
            assert isinstance(error, HandlerError)
            assert seconds < 20

    world.run(main)


def test_no_subscriber_is_a_typed_error_within_the_deadline(world: World) -> None:
    async def main() -> None:
        async with Node("solo", Ear, **quick()) as node:
            error, seconds = await error_of(node)
            assert isinstance(error, NoRoute)
            assert seconds < 20

    world.run(main)


def test_a_killed_worker_is_a_typed_error_within_the_deadline() -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held, "process"), pool_of(Tracker, "process"), lambda: gate, **quick()) as node:
            pool = node._running[0].pools[0]  # type: ignore[attr-defined]
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=20))
            await until(lambda: gate.waiting)
            (slot,) = pool.crew.slots
            os.kill(slot._process.pid, signal.SIGKILL)
            with pytest.raises(ProviderLost, match="was killed by SIGKILL"):
                await asked
            assert (await node.request(Locate(), timeout=20)).count == 1

    World("real").run(main)


def test_a_killed_host_is_a_typed_error_in_simulated_time() -> None:
    from edri_sim.errors import HostDown

    topology = Topology("killed")
    topology.node("solo", pool_of(Held), Gate)

    with Simulation(topology) as simulation:

        async def main() -> None:
            asked = asyncio.ensure_future(simulation.node("solo").request(Ask("x"), timeout=20))
            await asyncio.sleep(1)
            simulation.hosts["solo"].kill()
            with pytest.raises(HostDown, match="host 'solo' went down before the call returned"):
                await asked
            assert simulation.now == 1

        simulation.run(main())


class Ends:
    """Counts how often each request is given an end, whatever becomes of it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.attempts: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        settle: Callable[..., bool] = Router._settle

        def counted(router: Router, envelope: Envelope, *args: Any) -> bool:
            self.attempts[envelope.number] = self.attempts.get(envelope.number, 0) + 1
            taken = settle(router, envelope, *args)
            self.taken[envelope.number] = self.taken.get(envelope.number, 0) + taken
            return taken

        patch.setattr(Router, "_settle", counted)

    def check(self, count: int) -> None:
        assert len(self.attempts) == count
        assert set(self.taken.values()) == {1}
        assert set(self.attempts.values()) == {1}


async def ask_a_thousand(mode: str) -> None:
    async with Node("solo", pool_of(PlainEcho, mode, size=4)) as node:
        requests = [node.request(Ask(str(number)), timeout=20) for number in range(1_000)]
        assert await asyncio.gather(*requests) == [str(number) for number in range(1_000)]
        assert node._router is not None
        assert node._router.late == 0


def test_a_thousand_requests_have_a_thousand_replies(world: World, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Ends(monkeypatch)
    world.run(lambda: ask_a_thousand(mode))
    ends.check(1_000)


def test_a_pool_that_answers_twice_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard above fails when a reply comes twice; the requester still sees the first alone."""
    reply = Router.reply

    def twice(router: Router, envelope: Envelope, value: Any) -> None:
        reply(router, envelope, value)
        reply(router, envelope, "another")

    ends = Ends(monkeypatch)
    monkeypatch.setattr(Router, "reply", twice)

    async def main() -> int:
        async with Node("solo", pool_of(Echo)) as node:
            assert await node.request(Ask("x")) == "x"
            assert node._router is not None
            return node._router.late

    assert world.run(main) == 1
    assert ends.attempts == {1: 2}
    assert ends.taken == {1: 1}
    with pytest.raises(AssertionError):
        ends.check(1)


def test_every_request_ends_once_when_all_go_wrong_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies, expiry, cancellation, refusal and the stop, all in one node."""
    ends = Ends(monkeypatch)
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held, size=2, queue=5), lambda: gate, **quick(drain_timeout=0.1)) as node:
            asked = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=0.05 + 0.01 * n)) for n in range(20)]
            await asyncio.sleep(0.1)
            for task in asked[::3]:
                task.cancel()
            late = [asyncio.ensure_future(node.request(Ask("late"), timeout=20)) for _ in range(20)]
            unrouted = asyncio.ensure_future(node.request(Locate(), timeout=20))
            await asyncio.sleep(0.02)
        results = await asyncio.gather(*asked, *late, unrouted, return_exceptions=True)
        assert not [result for result in results if not isinstance(result, RequestError | asyncio.CancelledError)]
        assert all(task.done() for task in (*asked, *late))

    world.run(main)
    assert set(ends.taken.values()) == {1}
    assert set(ends.attempts.values()) == {1}
