"""Full mailboxes: what their overflow policies do to publishers and events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edri_sim import DeadLetter, Manager, Node, handles
from edri_sim.envelope import Envelope, Origin
from edri_sim.errors import DeclarationError, Overloaded
from edri_sim.events import event_type
from edri_sim.managers.pool import Pool
from edri_sim.routing.mailbox import Mailbox, Overflow, drop_newest, drop_oldest, wait
from edri_sim.trace import Trace
from tests.runtime.cast import Ask, Echo, Enter, Gate, Held, Letters, Told
from tests.worlds import World, pool_of, turns, until


class Slow(Manager):
    """An actor that hears one number at a time, and waits for the test at the first."""

    concurrency = 1
    queue = 2

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles
    async def told(self, event: Told) -> None:
        if not self.heard:
            await self.request(Enter("told"))
        self.heard.append(event.number)


def slow(policy: Overflow) -> type[Slow]:
    return type("Slow", (Slow,), {"overflow": policy})


class Stage:
    """A slow subscriber with a policy, and what becomes of it."""

    def __init__(self, policy: Overflow) -> None:
        self.slow = slow(policy)()
        self.gate = Gate()
        self.letters = Letters()

    def node(self, **settings: Any) -> Node:
        return Node("solo", lambda: self.letters, lambda: self.slow, lambda: self.gate, **settings)

    async def fill(self, node: Node) -> None:
        """One event is with the handler, and two are queued."""
        for number in range(3):
            await node.notify(Told(number))
        await until(lambda: self.gate.waiting)

    def reasons(self) -> list[tuple[str, str, str]]:
        return [(letter.type, letter.where, letter.reason) for letter in self.letters.list]


def test_a_publisher_waits_for_room_and_nothing_is_lost(world: World) -> None:
    stage = Stage(wait(10))

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            late = asyncio.ensure_future(node.notify(Told(3)))
            await turns(5)
            assert not late.done()
            stage.gate.open()
            await late

    world.run(main)
    assert stage.slow.heard == [0, 1, 2, 3]
    assert stage.letters.list == []


def test_after_the_patience_the_event_is_a_dead_letter_and_the_publisher_goes_on(world: World) -> None:
    stage = Stage(wait(0.05))

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            start = asyncio.get_running_loop().time()
            await node.notify(Told(3))
            assert 0.049 <= asyncio.get_running_loop().time() - start < 5
            await until(lambda: stage.letters.list)
            stage.gate.open()

    world.run(main)
    assert stage.slow.heard == [0, 1, 2]
    assert stage.reasons() == [("Told", "solo/Slow", "no room within 0.05 s")]


def test_drop_oldest_makes_room_by_dropping_what_waited_longest(world: World) -> None:
    stage = Stage(drop_oldest)

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            await node.notify(Told(3))
            await node.notify(Told(4))
            stage.gate.open()

    world.run(main)
    assert stage.slow.heard == [0, 3, 4]
    assert stage.reasons() == [("Told", "solo/Slow", "mailbox full, dropped as the oldest")] * 2


def test_the_report_of_what_made_room_does_not_take_its_place(world: World) -> None:
    class Both(Slow):
        overflow = drop_oldest

        def __init__(self) -> None:
            super().__init__()
            self.reports: list[DeadLetter] = []

        @handles
        async def dead(self, event: DeadLetter) -> None:
            self.reports.append(event)

    stage = Stage(drop_oldest)
    both = stage.slow = Both()

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            for number in (3, 4):
                await node.notify(Told(number))
            stage.gate.open()

    world.run(main)
    assert (both.heard, both.reports) == ([0, 3, 4], [])
    assert len(stage.letters.list) == 2


class Nobody:
    """A consumer that takes nothing."""

    label = "solo/Nobody"

    def wake(self) -> None:
        pass

    def abandon(self, _: Envelope) -> None:
        pass

    def runs(self, _: Envelope) -> bool:
        return False


def test_a_mailbox_whose_workers_died_keeps_no_more_than_its_capacity() -> None:
    dropped: list[Envelope] = []
    trace = Trace("off", "here", lambda: 0)
    mailbox = Mailbox(Nobody(), 2, drop_oldest, lambda envelope, *_: dropped.append(envelope), trace, 0)
    told = [Envelope(Told(n), event_type(Told), n, Origin("solo", 1), 0.0, 1.0, (0, 0)) for n in range(4)]
    mailbox.resize(1)
    assert [mailbox.offer(envelope) for envelope in told[:3]] == [True] * 3
    mailbox.resize(0)
    mailbox.push_out(told[3])
    assert dropped == told[:2]
    assert list(mailbox.queue) == told[2:]


def test_drop_newest_keeps_what_is_queued(world: World) -> None:
    stage = Stage(drop_newest)

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            await node.notify(Told(3))
            stage.gate.open()

    world.run(main)
    assert stage.slow.heard == [0, 1, 2]
    assert stage.reasons() == [("Told", "solo/Slow", "mailbox full, dropped as the newest")]


def test_drop_oldest_never_drops_a_request(world: World) -> None:
    class Mixed(Manager):
        concurrency = 1
        queue = 1
        overflow = drop_oldest

        @handles
        async def ask(self, event: Ask) -> str:
            await self.request(Enter(event.text))
            return event.text

        @handles
        async def told(self, event: Told) -> None:
            heard.append(event.number)

    heard: list[int] = []
    gate, letters = Gate(), Letters()

    async def main() -> None:
        async with Node("solo", Mixed, lambda: gate, lambda: letters) as node:
            requests = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=10)) for n in range(2)]
            await until(lambda: gate.waiting)
            await node.notify(Told(1))
            gate.open()
            assert await asyncio.gather(*requests) == ["0", "1"]

    world.run(main)
    assert heard == []
    assert [letter.reason for letter in letters.list] == ["mailbox full"]


def test_a_publisher_waits_for_all_full_mailboxes_at_once() -> None:
    """Simulated time tells: patience of 1 s, 2 s and 3 s in a row would be 6 s."""
    stages = [Stage(wait(seconds)) for seconds in (1, 2, 3)]
    names = iter("ABC")

    async def main() -> None:
        parts = [lambda made=stage.slow: made for stage in stages]
        for stage in stages:
            type(stage.slow).__name__ = f"Slow{next(names)}"
        gate, letters = Gate(), Letters()
        async with Node("solo", *parts, lambda: gate, lambda: letters) as node:
            for number in range(3):
                await node.notify(Told(number))
            await until(lambda: len(gate.waiting) == 3)
            start = asyncio.get_running_loop().time()
            await node.notify(Told(3))
            assert asyncio.get_running_loop().time() - start == pytest.approx(3)
            assert [letter.where for letter in letters.list][:2] == ["solo/SlowA", "solo/SlowB"]
            gate.open()

    World("simulated").run(main)


def test_waiting_publishers_get_in_in_their_order_and_overtake_nobody(world: World) -> None:
    stage = Stage(wait(10))

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            late = [asyncio.ensure_future(node.notify(Told(number))) for number in range(3, 30)]
            await turns(5)
            stage.gate.open()
            await until(lambda: len(stage.slow.heard) > 3)
            await node.notify(Told(30))
            await asyncio.gather(*late)

    world.run(main)
    assert stage.slow.heard == list(range(31))


def test_nothing_is_lost_in_a_burst_of_20_000_to_one_subscriber(world: World) -> None:
    class Counter(Manager):
        def __init__(self) -> None:
            self.numbers: list[int] = []

        @handles
        async def told(self, event: Told) -> None:
            self.numbers.append(event.number)
            await asyncio.sleep(0.0001)

    counter = Counter()

    async def main() -> None:
        async with Node("solo", lambda: counter) as node:
            for number in range(20_000):
                await node.notify(Told(number))

    world.run(main)
    assert counter.numbers == list(range(20_000))


def test_nothing_is_lost_when_20_000_are_published_at_once(world: World) -> None:
    class Counter(Manager):
        queue = 100

        def __init__(self) -> None:
            self.numbers: list[int] = []

        @handles
        async def told(self, event: Told) -> None:
            self.numbers.append(event.number)

    counter = Counter()

    async def main() -> None:
        async with Node("solo", lambda: counter) as node:
            await asyncio.gather(*[node.notify(Told(number)) for number in range(20_000)])

    world.run(main)
    assert counter.numbers == list(range(20_000))


def test_a_request_awaits_room_until_its_deadline_then_overloaded(world: World) -> None:
    gate = Gate()

    async def main() -> None:
        async with Node("solo", pool_of(Held, size=1, queue=1), lambda: gate) as node:
            first = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=10)) for n in range(2)]
            await until(lambda: gate.waiting)
            with pytest.raises(Overloaded, match=r"Ask solo/\S+: no provider had room until the deadline"):
                await node.request(Ask("late"), timeout=0.05)
            patient = asyncio.ensure_future(node.request(Ask("patient"), timeout=10))
            await turns(5)
            gate.open()
            assert await patient == "patient"
            assert await asyncio.gather(*first) == ["0", "1"]

    world.run(main)


def test_a_request_that_waits_for_room_goes_to_the_first_provider_that_has_some(world: World) -> None:
    gate, other = Gate(), Gate()

    class Elsewhere(Manager):
        concurrency = 1
        queue = 0

        @handles
        async def ask(self, event: Ask) -> str:
            await other.opened.wait()
            return f"elsewhere {event.text}"

    async def main() -> None:
        async with Node("solo", pool_of(Held, size=1, queue=0), Elsewhere, lambda: gate) as node:
            first = [asyncio.ensure_future(node.request(Ask(str(n)), timeout=10)) for n in range(2)]
            await until(lambda: gate.waiting)
            waiting = asyncio.ensure_future(node.request(Ask("x"), timeout=10))
            await turns(5)
            other.open()
            assert await waiting == "elsewhere x"
            gate.open()
            await asyncio.gather(*first)

    world.run(main)


def test_cancelling_a_queued_request_lets_a_waiting_publisher_in(world: World) -> None:
    gate, letters = Gate(), Letters()

    async def main() -> None:
        crew = pool_of(Held, size=1, queue=1, overflow=wait(10))
        async with Node("solo", crew, lambda: gate, lambda: letters) as node:
            running = asyncio.ensure_future(node.request(Ask("running"), timeout=10))
            await until(lambda: gate.waiting)
            queued = asyncio.ensure_future(node.request(Ask("queued"), timeout=10))
            await turns(3)
            late = asyncio.ensure_future(node.notify(Told(1)))
            await turns(3)
            assert not late.done()
            queued.cancel()
            await turns(3)
            assert late.done(), "the cancelled request left room, and the publisher still waits"
            gate.open()
            assert await running == "running"

    world.run(main)


def test_a_publisher_that_is_cancelled_while_it_waits_withdraws_its_event(world: World) -> None:
    stage = Stage(wait(10))

    async def main() -> None:
        async with stage.node() as node:
            await stage.fill(node)
            late = asyncio.ensure_future(node.notify(Told(3)))
            await turns(3)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
            stage.gate.open()

    world.run(main)
    assert stage.slow.heard == [0, 1, 2]
    assert len(stage.letters.list) == 1


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_bad_patience_is_refused(timeout: float) -> None:
    with pytest.raises(DeclarationError, match=r"overflow wait\(timeout=.*expected seconds, 0 or more"):
        wait(timeout)


def test_queue_zero_means_that_only_running_handlers_take_events(world: World) -> None:
    class Direct(Manager):
        pool = Pool(Echo, queue=0)

    async def main() -> None:
        async with Node("solo", Direct) as node:
            assert await asyncio.gather(*[node.request(Ask(str(n))) for n in range(20)]) == [str(n) for n in range(20)]

    world.run(main)
