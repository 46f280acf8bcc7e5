"""The one task that changes a scheduler's schedules: it writes down what is about to happen, and then has it happen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from edri_sim.errors import Refused, RequestError, StorageError
from edri_sim.logs import NodeLog
from edri_sim.routing.context import NodeContext
from edri_sim.routing.deadletter import DeadLetter
from edri_sim.scheduling.book import Book, Firing, Step
from edri_sim.scheduling.events import Event
from edri_sim.scheduling.instants import datetime_of
from edri_sim.scheduling.ledger import Begin, Change, End, Ledger

RETRY = 1.0
"""Seconds until a disk that refused is asked again."""

Publish = Callable[[Event], Coroutine[Any, Any, None]]


class Clerk:
    """Obeys requests and fires what is due, one after the other: a step is written down before it is taken.

    So of one due time nothing is published twice, whatever ends the program and when. What was written down and may
    not have been published is *in doubt* for the next life, which reports it and does not repeat it.
    """

    def __init__(self, book: Book, ledger: Ledger, publish: Publish, node: NodeContext, log: NodeLog) -> None:
        self._book = book
        self._ledger = ledger
        self._publish = publish
        self._node = node
        self._log = log
        self._orders: deque[tuple[Callable[[], Step], asyncio.Future[Any]]] = deque()
        self._ended: list[Change] = []
        self._doubts: list[Begin] = []
        self._publishing: dict[asyncio.Task[None], None] = {}
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._wanted = asyncio.Event()
        self._fires = False
        self._closing = False
        self._timers: list[asyncio.TimerHandle] = []
        self._task: asyncio.Task[None] | None = None

    # Life

    async def open(self, grace: float) -> None:
        """Take over what an earlier life left; none of it is fired within ``grace`` seconds.

        By then those whom it is for, who may start after the scheduler, are there. Raises StorageError, or BadSchedule
        for what was right when it was written down: a time zone may be gone since.
        """
        puts, self._doubts = await self._ledger.open()
        try:
            self._book.load(puts)
        except Refused:
            await self._ledger.close()
            raise
        self._task = self._node.loop.create_task(self._work(), name="scheduler")
        if puts or self._doubts:
            self._timers.append(self._node.loop.call_later(grace, self._begin))
        else:
            self._begin()

    def _begin(self) -> None:
        self._fires = True
        for doubt in self._doubts:
            self._report(doubt, "in doubt: its node ended while it was being published; it is not published again")
            self._ended.append(End(doubt.id, doubt.due))
        self._doubts = []
        self.ring()

    def leave(self) -> None:
        """Fire nothing more: the node stops."""
        self._fires = False
        self._book.disarm()

    @property
    def busy(self) -> bool:
        """Whether something is being published."""
        return bool(self._publishing)

    async def quiet(self) -> None:
        """Return when nothing is being published."""
        await self._quiet.wait()

    async def close(self) -> None:
        """Break off what is still being published, which is then in doubt, and let go of the ledger."""
        self.leave()
        for timer in self._timers:
            timer.cancel()
        for task in list(self._publishing):
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        self._closing = True
        self.ring()
        try:
            if self._task is not None:
                await self._task
        finally:
            await self._ledger.close()

    # Work

    def ring(self) -> None:
        """Something is due, or was asked for."""
        self._wanted.set()

    def do(self, make: Callable[[], Step]) -> asyncio.Future[Any]:
        """Have the step that ``make`` returns taken: the future is its reply, or what ``make`` or the disk raises."""
        done: asyncio.Future[Any] = self._node.loop.create_future()
        self._orders.append((make, done))
        self.ring()
        return done

    async def _work(self) -> None:
        while not self._closing:
            await self._wanted.wait()
            self._wanted.clear()
            for _ in range(len(self._orders)):
                await self._obey(*self._orders.popleft())
            if not await self._fire():
                self._timers = [self._node.loop.call_later(RETRY, self.ring)]
            elif self._fires:
                self._book.arm()

    async def _obey(self, make: Callable[[], Step], done: asyncio.Future[Any]) -> None:
        if done.done():  # Whoever asked has gone.
            return
        try:
            step = make()
            await self._ledger.commit(step.changes)
        except (Refused, StorageError) as error:
            _settle(done, done.set_exception, error)
        else:
            _settle(done, done.set_result, step.take())

    async def _fire(self) -> bool:
        """Publish what is due, once that is written down. False: the disk refused, and all is as it was."""
        firings = self._book.due() if self._fires else []
        ended, self._ended = self._ended, []
        try:
            await self._ledger.commit(ended + [change for firing in firings for change in firing.changes])
        except StorageError as error:
            self._log.error("nothing is fired: %s; trying again in %g s", error, RETRY)
            self._ended = ended + self._ended
            for firing in firings:
                self._book.put(firing.entry)
            return False
        for firing in firings:
            self._book.move_on(firing)
            task = self._node.loop.create_task(self._publish_all(firing), name=f"schedule {firing.entry.spec.id}")
            self._publishing[task] = None
            self._quiet.clear()
            task.add_done_callback(self._published)
        return True

    def _published(self, task: asyncio.Task[None]) -> None:
        del self._publishing[task]
        if not self._publishing:
            self._quiet.set()

    async def _publish_all(self, firing: Firing) -> None:
        """Publish a firing's occurrences, one after the other; only then does its schedule turn to the next."""
        for begun in firing.begun:
            if not firing.entry.gone:
                await self._publish_one(firing, begun)
            if self._broken_off:
                return
            self._ended.append(End(begun.id, begun.due))
        self._book.put(firing.entry)
        self.ring()

    async def _publish_one(self, firing: Firing, begun: Begin) -> None:
        packed = firing.entry.spec.event
        try:
            await self._publish(packed.unpack(self._node.router.types))
        except RequestError as error:
            if not self._broken_off:
                told = begun._replace(type=packed.type, payload=packed.payload)
                self._report(told, f"{type(error).__name__}: {error}")

    @property
    def _broken_off(self) -> bool:
        """Whether the node has stopped: whatever came of what was being published then, the stop broke it off."""
        return self._node.router.table.closed

    def _report(self, begun: Begin, reason: str) -> None:
        """An occurrence that was not published, or not handled, or of which nobody knows: say so."""
        found = self._book.event_of(begun)
        where = f"schedule {begun.id!r}, due {datetime_of(begun.due).isoformat()}"
        self._log.warning("%s: %s: %s", where, found.type, reason)
        name = self._node.name
        self._node.router.announce(DeadLetter(found.type, "", name, where=where, reason=reason, payload=found.payload))


def _settle(done: asyncio.Future[Any], settle: Callable[[Any], None], value: Any) -> None:
    if not done.done():
        settle(value)
