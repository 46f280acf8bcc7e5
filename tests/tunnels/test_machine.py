"""Hypothesis looks for the shortest history of two ends in which they differ from a plain model of a tunnel.

The model: each direction is a list of what was sent, and how much of it was read; a side may have ended it, or left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edri_sim.codec import codec_for
from edri_sim.errors import CodecError, TunnelClosed
from edri_sim.routing.tunnel import HALF_CLOSED, LEFT, WINDOW, TunnelEnd

SIDES = st.sampled_from([0, 1])
RARELY = st.sampled_from([False] * 9 + [True])
"""An end comes once in a while: little can happen after it."""
STEPS = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck), database=None,
    derandomize=True,
)  # fmt: skip
PLANTED = settings(STEPS, phases=[Phase.generate])
"""A planted fault need not be shrunk."""


class Half:
    """One direction, by the model."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.read = 0
        self.end: int | None = None


class TwoEnds(RuleBasedStateMachine):
    """Ends 0 and 1, joined; items go through the codec if they are ``encoded``."""

    encoded = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.halves = [Half(), Half()]
        self.writing: list[list[tuple[int, asyncio.Task[Any]]]] = [[], []]
        self.reading: list[list[asyncio.Task[Any]]] = [[], []]
        self.next = 0
        self.run(self.join)

    def run(self, call: Callable[[], None]) -> None:
        """Call something on the loop, and let all that follows from it happen."""
        self.loop.call_soon(call)
        loop: Any = self.loop
        while loop._ready:
            loop.call_soon(loop.stop)
            loop.run_forever()
        self.look()

    def after(self, turns: int, call: Callable[[], Any]) -> None:
        """Call something after a few more turns of the loop."""
        self.loop.call_soon(call if not turns else lambda: self.after(turns - 1, call))

    def join(self) -> None:
        ints = codec_for(int)
        self.ends = [TunnelEnd(f"end {side}", ints, ints, encoded=self.encoded) for side in (0, 1)]
        self.ends[0].join(self.ends[1], WINDOW)
        self.ends[1].join(self.ends[0], WINDOW)

    def teardown(self) -> None:
        tasks = [*self.reading[0], *self.reading[1], *(task for writing in self.writing for _, task in writing)]

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.loop.run_until_complete(end())
        self.loop.close()

    # What the model says of what has ended

    def look(self) -> None:
        for side in (0, 1):
            self.writing[side] = [each for each in self.writing[side] if not self.written(side, *each)]
        for side in (0, 1):
            self.reading[side] = [task for task in self.reading[side] if not self.was_read(side, task)]

    def written(self, side: int, item: int, task: asyncio.Task[Any]) -> bool:
        if not task.done():
            return False
        half, back = self.halves[side], self.halves[1 - side]
        if task.cancelled():
            return True
        if task.exception() is None:
            half.sent.append(item)
        else:
            assert isinstance(task.exception(), TunnelClosed)
            assert half.end is not None or back.end == LEFT
        return True

    def was_read(self, side: int, task: asyncio.Task[Any]) -> bool:
        if not task.done():
            return False
        if task.cancelled():
            return True
        half = self.halves[1 - side]
        if task.exception() is None:
            assert task.result() == half.sent[half.read], "in order, and once"
            half.read += 1
        else:
            assert isinstance(task.exception(), TunnelClosed)
            assert half.end is not None, "the end comes only after an end"
            assert half.read == len(half.sent) or self.halves[side].end == LEFT, "and after all that was sent"
        return True

    # What happens

    @rule(side=SIDES, count=st.sampled_from([1, 1, 2, 5, WINDOW]))
    def send(self, side: int, count: int) -> None:
        def call() -> None:
            for _ in range(count):
                self.next += 1
                item = self.next
                self.writing[side].append((item, self.loop.create_task(self.ends[side].send(item))))

        self.run(call)

    @rule(side=SIDES, count=st.sampled_from([1, 1, 2, 5, WINDOW]))
    def receive(self, side: int, count: int) -> None:
        if self.halves[side].end != LEFT:
            self.run(lambda: self.reading[side].extend(self.task_that_receives(side) for _ in range(count)))

    def task_that_receives(self, side: int) -> asyncio.Task[Any]:
        return self.loop.create_task(self.ends[side].receive())

    @precondition(lambda self: any(self.writing))
    @rule(side=SIDES, which=st.integers(0, 100))
    def cancel_a_send(self, side: int, which: int) -> None:
        if self.writing[side]:
            self.run(self.writing[side][which % len(self.writing[side])][1].cancel)

    @precondition(lambda self: any(self.reading))
    @rule(side=SIDES, which=st.integers(0, 100))
    def cancel_a_receive(self, side: int, which: int) -> None:
        if self.reading[side]:
            self.run(self.reading[side][which % len(self.reading[side])].cancel)

    @rule(side=SIDES, which=st.integers(0, 100), turns=st.integers(0, 3))
    def cancel_a_receive_as_an_item_comes(self, side: int, which: int, turns: int) -> None:
        if not self.reading[side] or self.halves[1 - side].end is not None:
            return
        self.next += 1
        item = self.next
        task = self.reading[side][which % len(self.reading[side])]

        def call() -> None:
            self.writing[1 - side].append((item, self.loop.create_task(self.ends[1 - side].send(item))))
            self.after(turns, task.cancel)

        self.run(call)

    @rule(side=SIDES)
    def send_what_is_no_item(self, side: int) -> None:
        async def send() -> None:
            with pytest.raises((CodecError, TunnelClosed)):
                await self.ends[side].send("text")

        self.run(lambda: asyncio.ensure_future(send(), loop=self.loop).add_done_callback(lambda done: done.result()))

    @rule(side=SIDES, rarely=RARELY)
    def end(self, side: int, rarely: bool) -> None:
        if not rarely:
            return
        half = self.halves[side]
        half.end = HALF_CLOSED if half.end is None else half.end
        self.run(self.ends[side].end)

    @rule(side=SIDES, rarely=RARELY)
    def leave(self, side: int, rarely: bool) -> None:
        if rarely and not self.reading[side]:
            self.halves[side].end = LEFT
            self.run(self.ends[side].leave)

    # What is always so

    @invariant()
    def no_more_wait_to_be_read_than_the_window(self) -> None:
        for side in (0, 1):
            assert len(self.ends[side]._queue) <= WINDOW
            assert len(self.halves[side].sent) - self.halves[side].read <= WINDOW or self.halves[1 - side].end == LEFT

    @invariant()
    def nobody_waits_without_need(self) -> None:
        for side in (0, 1):
            half, back = self.halves[side], self.halves[1 - side]
            waiting = len(half.sent) - half.read
            if self.writing[side]:
                assert half.end is None
                assert back.end != LEFT
                assert waiting > WINDOW // 2, "credit comes at half a window"
            if self.reading[1 - side]:
                assert waiting == 0
                assert half.end is None


class TwoEncodedEnds(TwoEnds):
    encoded = True


@pytest.mark.parametrize("machine", [TwoEnds, TwoEncodedEnds])
def test_two_ends_do_as_the_model_says(machine: type[TwoEnds]) -> None:
    run_state_machine_as_test(machine, settings=STEPS)  # type: ignore[no-untyped-call]


def test_a_side_that_sends_without_credit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TunnelEnd, "_turn", lambda end: asyncio.sleep(0))
    monkeypatch.setattr(TunnelEnd, "take", lambda end, item, size=0: end._queue.append((item, size)))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(TwoEnds, settings=PLANTED)  # type: ignore[no-untyped-call]


def test_an_item_that_is_lost_with_a_cancelled_reader_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = TunnelEnd.receive

    async def careless(end: TunnelEnd[Any, Any]) -> Any:
        item = await receive(end)
        await asyncio.sleep(0)
        return item

    monkeypatch.setattr(TunnelEnd, "receive", careless)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(TwoEnds, settings=PLANTED)  # type: ignore[no-untyped-call]
