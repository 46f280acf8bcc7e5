"""The sending end of one lane: rows until they are settled, congestion, window and time-outs. No I/O and no clock.

``now`` is an argument, in seconds on any clock that does not jump. The rules are TCP's (RFC 5681, 6298, 2018) where
they are not said to differ; here an acknowledgement counts events, not bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec

FIRST_CWND, LEAST_CWND, LARGEST_CWND = 8.0, 2.0, 4096.0
"""Events that may be unacknowledged: at first, at least and at most."""
FIRST_WINDOW = 8
"""Events that a sender takes for admitted before it has heard of the receiver."""
LEAST_TIMEOUT, LONGEST_TIMEOUT = 0.2, 10.0
"""Bounds of the probe timeout, in seconds."""
PROOF = 3
"""Later events that have arrived, which prove that an earlier one is lost (RFC 5681's three duplicate acks)."""
_LIFE = 32
"""Bits of a Sync's number that count within one life of the sender; those above tell its lives apart."""


class BadAck(Exception):
    """An acknowledgement of what was never sent; the message says which."""


class Row(msgspec.Struct, eq=False):
    """An item in its place of the order; once it was given up, ``item`` is None, and the row may fill more places.

    ``after``: the number of the last Sync before it was sent. ``lost``: it waits to be sent again. ``episode``: the
    time of recovery in which it was lost.
    """

    seq: int
    item: Any
    places: int = 1
    sends: int = 0
    sent_at: float = -math.inf
    after: int = 0
    arrived: bool = False
    lost: bool = False
    episode: int = 0

    @property
    def end(self) -> int:
        """The last place that the row fills."""
        return self.seq + self.places - 1


class Settled(NamedTuple):
    """A row that is acknowledged; ``rejected`` says why its receiver could not take it, if it could not."""

    row: Row
    rejected: str | None


class SendLane:
    """The sending end. Rows are sent while seq <= min(window end, base - 1 + cwnd), and while ``committed``."""

    def __init__(self, *, committed: float = math.inf) -> None:
        self.rows: dict[int, Row] = {}
        self.base = 1
        """The lowest seq that is not settled."""
        self.next = 1
        """The seq of the next row."""
        self.fresh = 1
        """The lowest seq that was never sent."""
        self.committed = committed
        self.window = FIRST_WINDOW
        self.cwnd = FIRST_CWND
        self.reachable = False
        self.resumed = False
        """Whether an earlier life of the sender began the flow, and its receiver has not been heard since."""
        self.syncs = 0
        self.limited = False
        """Whether more would have been sent last time but for the windows."""
        self.due = math.inf
        """When :meth:`probe` is to be called."""
        self._sync_wanted = False
        self._asked = False  # a Sync is not answered
        self._asked_at = 0.0
        self._syncing = False  # and nothing is sent before that
        self._resend: list[int] = []  # a heap of places
        self._gaps: dict[int, Row] = {}  # rows that were given up and never sent, by their last place
        self._recover = 0
        self._episode = 0
        self._threshold = LARGEST_CWND
        self._backoff = 0
        self._srtt = 0.0
        self._rttvar = 0.0

    # Rows

    def push(self, item: Any, row: Row | None = None) -> Row:
        """Put an item at the end; in its ``row``, if it comes from another flow."""
        fresh = Row(self.next, item)
        if row is None:
            row = fresh
        else:
            for field in Row.__struct_fields__:
                setattr(row, field, getattr(fresh, field))
        self.rows[self.next] = row
        self.next += 1
        return row

    def resume(self, base: int, next_: int, items: Iterable[tuple[int, Any]], life: int) -> None:
        """Go on with the flow of an earlier life of this sender: what is missing from ``base`` on is given up.

        ``items`` come with their places, in order. Any of them may have been sent. ``life`` tells this life's Syncs
        from those before.
        """
        self.base = self.next = base
        for seq, item in items:
            self._fill(seq)
            self.push(item).sends = 1
        self._fill(next_)
        self.fresh, self.committed = next_, next_ - 1
        self.window = base - 1 + FIRST_WINDOW
        self.syncs = (life & 0x7FFFFFFF) << _LIFE
        self.resumed = True

    def _fill(self, seq: int) -> None:
        if seq > self.next:
            self.rows[self.next] = Row(self.next, None, seq - self.next, 1)
            self.next = seq

    def give_up(self, row: Row) -> None:
        """Leave the row's place empty: the receiver is told that nothing comes there.

        Neighbours that were given up before they were sent become one row.
        """
        row.item = None
        if row.sends:
            return
        left = self._gaps.pop(row.seq - 1, row)
        if left is not row:
            left.places += row.places
            del self.rows[row.seq]
        right = self.rows.get(left.end + 1)
        if right is not None and right.item is None and not right.sends:
            del self._gaps[right.end]
            del self.rows[right.seq]
            left.places += right.places
        self._gaps[left.end] = left

    def in_doubt(self) -> list[Row]:
        """All rows that are not settled and not given up, in order."""
        return [row for row in self.rows.values() if row.item is not None]

    @property
    def overrun(self) -> bool:
        """Whether more was sent than the receiver has admitted."""
        return self.fresh - 1 > self.window and not self.resumed

    # The line

    def connect(self, now: float) -> None:
        """The receiver can be reached; what it has is asked before anything that was under way is sent again."""
        self.reachable = True
        self._backoff = 0
        self._syncing = self.resumed or self.fresh > self.base
        if self._syncing:
            self._want_sync(now)
        self.due = now + self.timeout if self.rows or self._syncing else math.inf

    def disconnect(self) -> None:
        """The receiver can't be reached: hold everything."""
        self.reachable = False
        self._sync_wanted = False
        self.due = math.inf

    @property
    def timeout(self) -> float:
        """Seconds until the next probe: max(0.2, srtt + 4 rttvar), doubled for each probe in vain, up to 10."""
        return min(max(LEAST_TIMEOUT, self._srtt + 4 * self._rttvar) * 2.0**self._backoff, LONGEST_TIMEOUT)

    def admits(self, seq: int) -> bool:
        """Whether a row in this place could be sent now."""
        limit = min(self.window, self.base - 1 + int(self.cwnd), self.committed)
        return self.reachable and not self._syncing and seq <= limit

    def sync_due(self) -> bool:
        """Whether to send a Sync now, with ``syncs`` as its number; saying so counts as sending it."""
        due, self._sync_wanted = self._sync_wanted, False
        return due

    def _want_sync(self, now: float) -> None:
        # Numbered here, and not when it is sent, so that an answer to the one before it does not count for this one.
        self._sync_wanted = self._asked = True
        self._asked_at = now
        self.syncs += 1

    def transmit(self, now: float) -> list[Row]:
        """The rows to send now; saying so counts as sending them."""
        if not self.reachable or self._syncing:
            return []
        limit = min(self.window, self.base - 1 + int(self.cwnd))
        found = self._again(limit) if self._resend else []
        last = min(limit, self.committed, self.next - 1)
        while self.fresh <= last:
            row = self.rows[self.fresh]
            if row.item is None:
                if row.end > self.committed:
                    break
                self._gaps.pop(row.end, None)
            self.fresh = row.end + 1
            found.append(row)
        self.limited = bool(self._resend) or limit < min(self.committed, self.next - 1)
        for row in found:
            row.sends += 1
            row.sent_at = now
            row.after = self.syncs
        if self.due == math.inf and self.rows:
            self.due = now + self.timeout
        return found

    def _again(self, limit: int) -> list[Row]:
        found = []
        resend = self._resend
        while resend and resend[0] <= limit:
            row = self.rows.get(heappop(resend))
            if row is not None and row.lost:
                row.lost = False
                if not row.arrived:
                    found.append(row)
        return found

    def probe(self, now: float) -> None:
        """The timer: nothing was heard for too long. Ask what has arrived, and send the lowest row again."""
        if not self.reachable or now < self.due:
            return
        if not (self._syncing or self.fresh > self.base or (self.rows and self.committed >= self.base)):
            self.due = math.inf  # All that there is waits to be committed.
            return
        self._backoff += 1
        self.due = now + self.timeout
        self._want_sync(now)
        lowest = self.rows.get(self.base)
        if lowest is not None and lowest.sends and not self._syncing:
            lowest.arrived = False  # A receiver that has it would have settled it.
            self._congested()
            self._lose([lowest])

    # Acknowledgements

    def acknowledge(
        self, cum: int, ranges: Sequence[tuple[int, int]], window: int, sync: int, rejected: Sequence[tuple[int, str]],
        now: float,
    ) -> list[Settled]:  # fmt: skip
        """Take an acknowledgement; returns the rows that it settles, in order.

        Raises:
            BadAck: it speaks of what was never sent.
        """
        if self.resumed and (sync != self.syncs or not self._syncing):
            return []  # What an earlier life was answered: this one may know less than it had sent.
        highest = self.fresh - 1
        never = sync > self.syncs and sync >> _LIFE == self.syncs >> _LIFE
        if never or cum > highest or any(not cum < low <= high <= highest for low, high in ranges):
            raise BadAck(f"cum {cum}, ranges {ranges[:3]}, sync {sync}; sent were {highest} and sync {self.syncs}")
        self.window = max(self.window, min(window, highest + int(LARGEST_CWND)))
        settled = self._settle(cum, dict(rejected), now) if cum >= self.base else []
        if ranges:
            self._note_ranges(ranges)
        if self._asked and sync == self.syncs:
            self._synchronised(now)
        if settled or not self.rows:
            waits = self.reachable and (self.rows or self._syncing)
            self.due = now + self.timeout if waits else math.inf
        return settled

    def _synchronised(self, now: float) -> None:
        """The last Sync was answered: what was sent before it, and has not arrived, is lost."""
        lost = [row for row in self._under_way(self.fresh) if not row.arrived and row.after < self.syncs]
        if self._syncing:  # The line was cut: that says nothing of how much it carries, but it may be another one now.
            self.cwnd = max(min(self.cwnd, FIRST_CWND), self.cwnd / 2)
        elif lost:
            self._congested()
        self._asked = self._syncing = self.resumed = False
        self._measure(now - self._asked_at)
        self._lose(lost)

    def _settle(self, cum: int, rejected: dict[int, str], now: float) -> list[Settled]:
        rows = self.rows
        settled = []
        while self.base <= cum and rows[self.base].end <= cum:
            row = rows.pop(self.base)
            settled.append(Settled(row, rejected.get(row.seq)))
            self.base = row.end + 1
        if not settled:
            return []
        newest = settled[-1].row
        # Karn: what was sent twice says nothing of the time that it took. Nor does what had to wait for a gap, or was
        # acknowledged only when that was asked for.
        if newest.sends == 1 and not newest.arrived and newest.after == self.syncs:
            self._measure(now - newest.sent_at)
        # A window that was not used shows nothing of what the way can carry (RFC 7661).
        lowest = settled[0].row.seq
        if lowest > self._recover and 2 * (self.fresh - lowest) > self.cwnd:
            grown = len(settled) if self.cwnd < self._threshold else len(settled) / self.cwnd
            self.cwnd = min(self.cwnd + grown, LARGEST_CWND)
        return settled

    def _measure(self, sample: float) -> None:
        """Take a round-trip time: RFC 6298, section 2. Until there is one, the timeout stays as long as it became."""
        self._backoff = 0
        if not self._srtt:
            self._srtt, self._rttvar = sample, sample / 2
            return
        self._rttvar += (abs(self._srtt - sample) - self._rttvar) / 4
        self._srtt += (sample - self._srtt) / 8

    def _note_ranges(self, ranges: Sequence[tuple[int, int]]) -> None:
        rows = self._under_way(ranges[-1][1])
        place = 0
        for low, high in ranges:
            while place < len(rows) and rows[place].seq < low:
                place += 1
            while place < len(rows) and rows[place].end <= high:
                rows[place].arrived = True
                place += 1
        later, proven = 0, []
        for row in reversed(rows):
            if row.arrived:
                later += 1
            elif later >= PROOF and not (row.episode == self._episode and self.base <= self._recover):
                proven.append(row)
        if proven:
            self._congested()
            self._lose(proven)

    def _under_way(self, last: int) -> list[Row]:
        """The rows up to ``last`` that were sent and are not settled, in order."""
        found = []
        seq = self.base
        while seq <= last and seq < self.fresh:
            row = self.rows[seq]
            found.append(row)
            seq = row.end + 1
        return found

    def _congested(self) -> None:
        """Halve the congestion window, once for what was under way at the time."""
        if self.base > self._recover:
            self.cwnd = self._threshold = max(LEAST_CWND, self.cwnd / 2)
            self._recover = self.fresh - 1
            self._episode += 1

    def _lose(self, lost: Sequence[Row]) -> None:
        """Have rows sent again."""
        for row in lost:
            row.episode = self._episode
            if not row.lost:
                row.lost = True
                heappush(self._resend, row.seq)
