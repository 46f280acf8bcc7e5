"""The guards are shown to fail: each test here breaks one rule of the runtime, and a test of that rule notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edri_sim.errors import EdriError
from edri_sim.managers.loop_slot import LoopSlot
from edri_sim.managers.running_pool import RunningPool
from edri_sim.routing import refusals, table
from edri_sim.routing.deadlines import Deadlines
from edri_sim.routing.mailbox import Mailbox
from edri_sim.routing.router import Router
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.trace import Recorder
from tests.runtime import (
    test_backpressure,
    test_cancellation,
    test_concurrency,
    test_cycles,
    test_deadlines,
    test_digest,
    test_drain,
    test_requests,
    test_run,
    test_worker_life,
)
from tests.runtime.cast import Held
from tests.worlds import World

SIMULATED = World("simulated")
Broken = tuple[object, str, Any]
"""What is replaced: an object, its attribute, and the new value."""


async def _at_once(*_: object) -> None:
    """Wait for nothing."""


def _nothing(*_: object) -> None:
    """Do nothing."""


def _lose_every_hundredth(mailbox: Mailbox, envelope: Any) -> bool:
    return envelope.number % 100 == 0 or _offer(mailbox, envelope)


def _newest_first(mailbox: Mailbox, envelope: Any) -> bool:
    taken = _offer(mailbox, envelope)
    mailbox.queue.rotate(1)
    return taken


def _all_subscriptions(cls: type, subscriptions: list[Any]) -> tuple[Mailbox, ...]:
    return tuple(subscription.mailbox for subscription in subscriptions if issubclass(cls, subscription.cls))


def _cancel_by_the_task_alone(slot: LoopSlot, job: Any) -> None:
    job.cancelled = True
    if job.run is not None:
        job.run.cancel()


_offer = Mailbox.offer

BREAKAGES: dict[str, tuple[Broken, Callable[[], object]]] = {
    "a mailbox that loses events": (
        (Mailbox, "offer", _lose_every_hundredth),
        lambda: test_backpressure.test_nothing_is_lost_in_a_burst_of_20_000_to_one_subscriber(SIMULATED),
    ),
    "a mailbox without order": (
        (Mailbox, "offer", _newest_first),
        lambda: test_concurrency.test_no_more_handlers_run_at_once_than_the_limit_says(SIMULATED, 1),
    ),
    "waiting publishers that are forgotten": (
        (Mailbox, "refill", _nothing),
        lambda: test_backpressure.test_waiting_publishers_get_in_in_their_order_and_overtake_nobody(SIMULATED),
    ),
    "every subscription counts": (
        (table, "mailboxes_for", _all_subscriptions),
        lambda: test_requests.test_of_a_managers_pools_the_one_with_the_more_specific_handler_alone_gets_the_event(
            SIMULATED
        ),
    ),
    "cancelled requests that stay queued": (
        (Mailbox, "remove", _nothing),
        lambda: test_cancellation.test_a_queued_request_is_removed_and_its_handler_never_runs(SIMULATED, "method"),
    ),
    "deadlines that do not pass": (
        (Deadlines, "_arm", _nothing),
        lambda: test_deadlines.test_a_request_that_names_no_timeout_has_the_nodes(SIMULATED),
    ),
    "cycles that are not named": (
        (refusals, "note_cycle", _nothing),
        lambda: test_cycles.test_after_a_cycle_the_actors_serve_again(SIMULATED),
    ),
    "a stop that does not drain": (
        (RunningPool, "busy", False),
        lambda: test_drain.test_leaving_the_block_finishes_what_is_queued_and_what_that_publishes(SIMULATED),
    ),
    "requests that the stop forgets": (
        (Router, "close", _nothing),
        lambda: test_drain.test_stranded_requests_end_once_at_the_stop(SIMULATED),
    ),
    "a stop that is not called": (
        (LoopSlot, "stop", _at_once),
        lambda: test_worker_life.test_a_managers_start_can_use_its_pools_and_stop_comes_last(SIMULATED),
    ),
    "a trace that goes on after the close": (
        (Recorder, "close", _nothing),
        lambda: test_run.test_what_has_not_ended_is_open(),
    ),
    "a digest of nothing": (
        (Recorder, "seal", lambda recorder: recorder.open.clear()),
        lambda: test_digest.test_the_run_uses_all_that_it_should(),
    ),
}


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_broken_rule_is_noticed(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (owner, name, value), guard = BREAKAGES[what]
    guard()
    monkeypatch.setattr(owner, name, value)
    with pytest.raises((Exception, pytest.fail.Exception)):
        guard()


def test_a_task_that_is_cancelled_before_its_first_step_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tasks do not begin at once, as in real time on Python 3.11."""

    def guard() -> None:
        for count in range(8):
            test_cancellation.test_cancelling_at_any_turn_leaves_the_slot_free(SIMULATED, Held, count)

    monkeypatch.setattr(SimulationLoop, "start_task", SimulationLoop.create_task)
    guard()
    monkeypatch.setattr(LoopSlot, "cancel", _cancel_by_the_task_alone)
    with pytest.raises((AssertionError, EdriError)):
        guard()
