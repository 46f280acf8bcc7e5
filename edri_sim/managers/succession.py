"""How the pools of one manager take the place of those of another, between two events, with all that waits there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from edri_sim.envelope import WAITING, Envelope
from edri_sim.managers.running_pool import RunningPool
from edri_sim.routing.mailbox import Gate, Mailbox

GONE = "the manager that took the place of the one at which it waited has no handler for it"


async def succeed(new: Sequence[RunningPool], old: Sequence[RunningPool], patience: float) -> None:
    """Stop the ``old`` pools, give what waits there to the ``new`` ones, and start those.

    What runs may end first, for up to ``patience`` seconds, and is cancelled then. Meanwhile events are taken, and
    wait. Raises what a start raises: then the old pools go on, with new instances of their workers.
    """
    try:
        await _rest(old, patience)
    except asyncio.CancelledError:
        for pool in old:
            pool.let_go()
        raise
    _hand_over(old, new)
    try:
        for pool in new:
            await pool.crew.start()
    except BaseException:
        await _rest(new, patience)
        _hand_over(new, old)
        for pool in old:
            await pool.crew.start_again()
            pool.let_go()
        raise


async def _rest(pools: Sequence[RunningPool], patience: float) -> None:
    """Stop the workers of these pools, which begin nothing more, once their handlers have ended."""
    labels = [pool.label for pool in pools]
    for pool in pools:
        pool.hold(labels)
    try:
        async with asyncio.timeout(patience):
            while busy := [pool for pool in pools if pool.works]:
                await busy[0].idle()
    except TimeoutError:
        for pool in pools:
            pool.give_up_all(f"its manager was replaced, and it did not end within {patience:g} s")
    for pool in reversed(pools):
        await pool.rest()


def _hand_over(old: Sequence[RunningPool], new: Sequence[RunningPool]) -> None:
    """Lead events to the ``new`` pools, and give them all that waits at the ``old`` ones, in order, full or not."""
    for pool in new:
        pool.subscribe()
    for pool in old:
        for envelope, gate in _take_all(pool):
            cls = type(envelope.event)
            target = min(new, key=lambda one: one.distance(cls))
            if target.distance(cls) < math.inf:
                _inherit(target.mailbox, envelope)
            else:
                pool.disown(envelope, GONE)
            if gate is not None:
                gate.passed()


def _take_all(pool: RunningPool) -> list[tuple[Envelope, Gate | None]]:
    """What waits at a pool, in order, and who waits for its place; nothing more comes there."""
    pool.unsubscribe()
    mailbox = pool.mailbox
    queued: list[tuple[Envelope, Gate | None]] = [(envelope, None) for envelope in mailbox.queue]
    parked = [entry for entry in mailbox.parked if entry[1] is not None or entry[0].state == WAITING]
    mailbox.outstanding -= len(queued)
    mailbox.queue.clear()
    mailbox.parked.clear()
    return queued + parked


def _inherit(mailbox: Mailbox, envelope: Envelope) -> None:
    """Queue what had its place in another mailbox, even if there is no room in this one."""
    limit, mailbox.limit = mailbox.limit, mailbox.outstanding + 1
    mailbox.offer(envelope)
    mailbox.limit = limit
