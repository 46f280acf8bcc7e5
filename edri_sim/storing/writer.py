"""The one task that changes what a store holds: many writes with one commit, and no word of any before it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from edri_sim.errors import RequestError, StorageError, request_error
from edri_sim.events import event_type
from edri_sim.host import Host
from edri_sim.logs import NodeLog
from edri_sim.managers.worker import Delivery
from edri_sim.storing.contents import Contents, datetime_of, micros
from edri_sim.storing.draft import Draft
from edri_sim.storing.events import Changed
from edri_sim.storing.journal import Change, Journal
from edri_sim.storing.outcomes import Outcome, Outcomes
from edri_sim.storing.refusals import OutcomeUnknown, StoreError, StoreUnavailable
from edri_sim.storing.writes import Write, make

TOGETHER = 1_000
"""Writes that share a commit at most."""
RETRY = 1_000_000
"""Microseconds until a disk that refused is asked again to forget what has expired."""

Listener = Callable[[Sequence[Changed]], None]
"""Told of changes in the turn in which they are committed, and can be read."""
Answer = tuple[Any, RequestError | None]


class _Order(NamedTuple):
    """A write and how it came; None and None: only what has expired is to be removed."""

    event: Write | None
    delivery: Delivery | None
    done: asyncio.Future[Any]


class Writer:
    """Makes writes one after the other, and commits those together that came while the disk was busy.

    A store holds at most ``most`` bytes. ``hold_back()`` is awaited after each commit: whoever is told of the changes
    may need time.
    """

    def __init__(
        self, contents: Contents, outcomes: Outcomes, journal: Journal, host: Host, log: NodeLog, *, most: int,
        hold_back: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:  # fmt: skip
        self.listeners: list[Listener] = []
        self._contents = contents
        self._outcomes = outcomes
        self._journal = journal
        self._host = host
        self._log = log
        self._most = most
        self._hold_back = hold_back
        self._loop = asyncio.get_running_loop()
        self._orders: deque[_Order] = deque()
        self._task: asyncio.Task[None] | None = None
        self._armed: int | None = None
        self._disarm: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Take over what earlier lives left. Raises StorageError."""
        found = await self._journal.open()
        self._contents.load(found.entries)
        self._contents.revision = found.revision
        self._outcomes.load(found.outcomes, found.forgotten)
        self._arm()

    async def close(self) -> None:
        """Let go of the journal; writes that wait are not made."""
        self._disarm()
        self._orders.clear()
        try:
            if self._task is not None:
                await asyncio.shield(self._task)
        finally:
            await self._journal.close()

    @property
    def now(self) -> int:
        """The wall clock, in microseconds since 1970."""
        return micros(self._host.now())

    def do(self, event: Write, delivery: Delivery) -> asyncio.Future[Any]:
        """Make a write: the future is its reply once it is committed, or the refusal."""
        return self._add(event, delivery)

    def sweep(self) -> asyncio.Future[Any]:
        """Remove what has expired: the future ends once that is committed. Raises StoreUnavailable."""
        return self._add(None, None)

    def _add(self, event: Write | None, delivery: Delivery | None) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = self._loop.create_future()
        self._orders.append(_Order(event, delivery, done))
        if self._task is None:
            self._task = self._loop.create_task(self._work(), name="store")
        return done

    async def _work(self) -> None:
        try:
            while self._orders:
                await self._write(self._batch())
                await self._hold_back()
        finally:
            self._task = None

    def _batch(self) -> list[_Order]:
        """What is made next; where nobody waits any more, nothing is."""
        taken = [self._orders.popleft() for _ in range(min(len(self._orders), TOGETHER))]
        return [order for order in taken if not order.done.done()]

    async def _write(self, orders: list[_Order]) -> None:
        draft = Draft(self._contents, self._outcomes, self.now, self._most)
        answers = [_answer(draft, order) for order in orders]
        overdue = self._outcomes.overdue(len(draft.outcomes))
        try:
            if draft:
                await self._journal.commit(
                    Change(draft.changes, draft.outcomes, overdue[0], overdue[1], draft.revision)
                )
        except StorageError as error:
            self._refuse(orders, error)
            return
        self._merge(draft)
        self._outcomes.merge(draft.outcomes, overdue)
        for order, answer in zip(orders, answers, strict=True):
            _settle(order.done, *answer)
        self._arm()

    def _refuse(self, orders: list[_Order], error: StorageError) -> None:
        self._log.error("nothing of %d writes is stored: %s", len(orders), error)
        for order in orders:
            _settle(order.done, None, StoreUnavailable(f"the store cannot write: {error}"))
        self._arm(self.now + RETRY)

    def _merge(self, draft: Draft) -> None:
        """From now on it can be read."""
        for key, record in draft.changes.items():
            self._contents.put(key, record)
        self._contents.revision = draft.revision
        if draft.news:
            for listener in self.listeners:
                listener(draft.news)

    # Expiry

    def _arm(self, earliest: int = 0) -> None:
        """Set the one timer for the record that expires next, but not before ``earliest``."""
        due = self._contents.next_due()
        when = None if due is None else max(due, earliest)
        if when == self._armed:
            return
        self._disarm()
        self._armed = when
        if when is not None:
            self._disarm = self._host.call_at(datetime_of(when), self._ring)

    def _ring(self) -> None:
        self._armed = None
        self.sweep().add_done_callback(_retrieve)


def _answer(draft: Draft, order: _Order) -> Answer:
    """Make a write, unless it was made before: then what came of it is the answer again."""
    if order.event is None or order.delivery is None:
        return None, None
    codec = event_type(order.event).reply_codec
    event_id, redelivered = order.delivery.event_id, order.delivery.redelivered
    try:
        known = draft.outcome(event_id, redelivered)
    except OutcomeUnknown as error:
        return None, error
    if known is not None:
        refusal = known.refusal
        return (codec.decode(known.reply), None) if refusal is None else (None, request_error(*refusal))
    try:
        reply = make(draft, order.event)
    except StoreError as error:
        draft.remember(event_id, Outcome(b"", (error.code, str(error), error.details())))
        return None, error
    draft.remember(event_id, Outcome(codec.encode(reply)))
    return reply, None


def _settle(done: asyncio.Future[Any], value: Any, error: RequestError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(value)
    else:
        done.set_exception(error)


def _retrieve(done: asyncio.Future[Any]) -> None:
    """Nobody waits for a sweep of the timer's: that it failed was logged."""
    if not done.cancelled():
        done.exception()
