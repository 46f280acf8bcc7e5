"""A bounded queue of envelopes before a group of handlers, and what happens when it is full."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from edri_sim import trace
from edri_sim.envelope import HELD, WAITING, Envelope
from edri_sim.errors import DeclarationError
from edri_sim.trace import Trace


@dataclass(frozen=True, slots=True)
class Overflow:
    """What a full mailbox does with one more notification; a request always awaits room until its deadline.

    ``patience`` is how many seconds the publisher is made to wait before the notification becomes a dead letter.
    """

    action: str
    patience: float = 0.0


def wait(timeout: float = 5.0) -> Overflow:
    """The publisher waits up to ``timeout`` seconds for room."""
    if not _is_patience(timeout):
        raise DeclarationError(f"overflow wait(timeout={timeout!r}): expected seconds, 0 or more")
    return Overflow("wait", timeout)


def _is_patience(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 0


drop_oldest = Overflow("drop_oldest")
"""The notification that has waited longest makes room."""
drop_newest = Overflow("drop_newest")
"""The new notification is dropped."""


class Gate(Protocol):
    """Whoever waits for several full mailboxes at once; ``missing`` counts those that have still to decide."""

    missing: int

    def passed(self) -> None:
        """One more mailbox has decided."""


class Consumer(Protocol):
    """Who takes envelopes out of a mailbox."""

    label: str

    def wake(self) -> None:
        """There is something to take."""

    def abandon(self, envelope: Envelope) -> None:
        """Nobody waits for the reply to this request any more."""

    def runs(self, envelope: Envelope) -> bool:
        """Whether a handler has the envelope; else it is queued."""


Dropped = Callable[[Envelope, str, str], None]
"""Told of every notification that is given up: the envelope, the reason and the mailbox's label."""


class Mailbox:
    """Holds up to ``capacity`` envelopes beyond those that the consumer handles at once.

    ``outstanding`` counts what is queued and what runs; there is room while it is below ``limit``, which is the
    capacity plus the consumer's slots. What finds no room is parked, in order, and moves in as room comes.
    """

    __slots__ = ("_component", "_consumer", "_dropped", "_record", "awake", "capacity", "limit", "outstanding",
                 "overflow", "parked", "queue")  # fmt: skip

    def __init__(
        self, consumer: Consumer, capacity: int, overflow: Overflow, dropped: Dropped, trace_: Trace, component: int
    ) -> None:
        self.capacity = capacity
        self.overflow = overflow
        self.queue: deque[Envelope] = deque()
        self.parked: deque[tuple[Envelope, Gate | None]] = deque()
        self.outstanding = 0
        self.limit = capacity
        self._consumer = consumer
        self._dropped = dropped
        self._record = trace_.record
        self.awake = False
        """Whether the consumer knows that something is queued, and has not begun to take it out."""
        self._component = component

    @property
    def label(self) -> str:
        """The consumer's name, as people read it in traces and errors."""
        return self._consumer.label

    def resize(self, slots: int) -> None:
        """The consumer now handles ``slots`` envelopes at once."""
        self.limit = self.capacity + slots
        self.refill()

    def offer(self, envelope: Envelope) -> bool:
        """Queue the envelope if there is room; say whether it was queued. While anything is parked, there is none."""
        if self.outstanding >= self.limit:
            return False
        self.outstanding += 1
        if envelope.reply_to is not None:
            envelope.state = HELD
            envelope.holder = self._consumer
            if envelope.watch is not None:
                envelope.watch.held()
        if self._record is not None:
            self._record(trace.QUEUED, self._component, envelope)
        self.queue.append(envelope)
        if not self.awake:
            self.awake = True
            self._consumer.wake()
        return True

    def park(self, envelope: Envelope, gate: Gate | None = None) -> None:
        """Queue the envelope as soon as there is room; ``gate`` is told when that is decided either way."""
        if gate is not None:
            gate.missing += 1
        self.parked.append((envelope, gate))

    def push_out(self, envelope: Envelope) -> None:
        """Queue a notification in a full mailbox in the place of the oldest one; with none to drop, drop it itself."""
        dropped: list[Envelope] = []
        while not self.offer(envelope):
            oldest = next((queued for queued in self.queue if queued.reply_to is None), envelope)
            dropped.append(oldest)
            if oldest is envelope:
                break
            self._remove(oldest)
        for each in dropped:  # Only now: a report of it may come to this mailbox, and must not take the place.
            reason = "mailbox full" if each is envelope else "mailbox full, dropped as the oldest"
            self._dropped(each, reason, self.label)

    def reject(self, envelope: Envelope, reason: str) -> None:
        """Give a notification up."""
        self._dropped(envelope, reason, self.label)

    def remove(self, envelope: Envelope) -> None:
        """Take one envelope out of the queue, wherever it stands, and so make room for another."""
        if self._remove(envelope):
            self.refill()

    def _remove(self, envelope: Envelope) -> bool:
        try:
            self.queue.remove(envelope)
        except ValueError:
            return False
        self.outstanding -= 1
        return True

    def refill(self) -> None:
        """Queue what is parked, as far as there is room now."""
        while self.parked and self.outstanding < self.limit:
            envelope, gate = self.parked.popleft()
            if envelope.reply_to is not None and envelope.state != WAITING:
                continue  # A request that waits at several mailboxes goes to the first with room.
            self.offer(envelope)
            if gate is not None:
                gate.passed()

    def waiting(self) -> list[Envelope]:
        """The requests that are parked and have no place elsewhere yet, in order."""
        return [envelope for envelope, gate in self.parked if gate is None and envelope.state == WAITING]

    def unpark(self, envelope: Envelope) -> None:
        """Nobody waits for room for this request any more."""
        with suppress(ValueError):
            self.parked.remove((envelope, None))

    def expire(self, envelope: Envelope, gate: Gate) -> None:
        """Stop waiting for room for one parked notification, unless it has got in meanwhile."""
        try:
            self.parked.remove((envelope, gate))
        except ValueError:
            return
        self._dropped(envelope, f"no room within {self.overflow.patience:g} s", self.label)
        gate.passed()

    def close(self, reason: str) -> list[Envelope]:
        """Give up everything that waits: notifications become dead letters; the requests are returned."""
        queued, parked = list(self.queue), list(self.parked)
        self.outstanding -= len(queued)
        self.queue.clear()
        self.parked.clear()
        for envelope, gate in parked:
            if envelope.reply_to is None or envelope.state == WAITING:
                queued.append(envelope)
            if gate is not None:
                gate.passed()
        for envelope in queued:
            if envelope.reply_to is None:
                self._dropped(envelope, reason, self.label)
        return [envelope for envelope in queued if envelope.reply_to is not None]
