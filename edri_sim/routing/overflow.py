"""What becomes of a notification that finds mailboxes full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edri_sim.envelope import Envelope
from edri_sim.routing.mailbox import Mailbox


class Overflowing:
    """One notification at the mailboxes that had no room for it, each of which does what its policy says.

    ``decided`` is called once all have taken it or given it up, but not before :meth:`begin` has returned.
    """

    __slots__ = ("_decided", "_envelope", "_loop", "_timers", "missing")

    def __init__(self, loop: asyncio.AbstractEventLoop, envelope: Envelope, decided: Callable[[], None]) -> None:
        self.missing = 0
        """Mailboxes that have still to decide."""
        self._loop = loop
        self._envelope = envelope
        self._decided = decided
        self._timers: list[tuple[Mailbox, asyncio.TimerHandle]] = []

    def begin(self, full: Sequence[Mailbox]) -> bool:
        """Apply the policies; whether some mailbox makes the notification wait."""
        for mailbox in full:
            policy = mailbox.overflow
            if policy.action == "drop_oldest":
                mailbox.push_out(self._envelope)
            elif policy.action == "drop_newest":
                mailbox.reject(self._envelope, "mailbox full, dropped as the newest")
            else:
                mailbox.park(self._envelope, self)
                timer = self._loop.call_later(policy.patience, mailbox.expire, self._envelope, self)
                self._timers.append((mailbox, timer))
        return self.missing > 0

    def passed(self) -> None:
        """One more mailbox has decided."""
        self.missing -= 1
        if self.missing:
            return
        for _, timer in self._timers:
            timer.cancel()
        self._decided()

    def give_up(self) -> None:
        """Wait no longer: where it has no place yet, the notification becomes a dead letter."""
        for mailbox, _ in self._timers:
            mailbox.expire(self._envelope, self)
