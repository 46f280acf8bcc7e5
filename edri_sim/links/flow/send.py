"""The sending end of one lane: rows until they are settled, congestion, window and time-outs. No I/O and no clock.

``now`` is an argument, in seconds on any clock that does not jump. The rules are TCP's (RFC 5681, 6298, 2018) where
they are not said to differ; here an acknowledgement counts events, not bytes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

FIRST_CWND, LEAST_CWND, LARGEST_CWND = 8.0, 2.0, 4096.0
"""Events that may be unacknowledged: at first, at least and at most."""
FIRST_WINDOW = 64
"""The last seq that a sender takes for admitted before it has heard of the receiver."""
LEAST_TIMEOUT, LONGEST_TIMEOUT = 0.2, 10.0
"""Bounds of the probe timeout, in seconds."""
PROOF = 3
"""Later events that have arrived, which prove that an earlier one is lost (RFC 5681's three duplicate acks)."""


class BadAck(Exception):
    """An acknowledgement of what was never sent; the message says which."""


class Row(msgspec.Struct, eq=False):
    """An item in its place of the order; once it was given up, ``item`` is None, and the row may fill more places."""

    seq: int
    item: Any
    places: int = 1
    sends: int = 0
    sent_at: float = -math.inf
    arrived: bool = False
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

    def __init__(self, *, first: int = 1, committed: float = math.inf) -> None:
        self.rows: dict[int, Row] = {}
        self.base = first
        """The lowest seq that is not settled."""
        self.next = first
        """The seq of the next row."""
        self.fresh = first
        """The lowest seq that was never sent."""
        self.committed = committed
        self.window = first - 1 + FIRST_WINDOW
        self.cwnd = FIRST_CWND
        self.reachable = False
        self.syncs = 0
        self.due = math.inf
        """When :meth:`probe` is to be called."""
        self._sync_wanted = False
        self._syncing = False
        self._sync_sent = -math.inf
        self._resend: deque[Row] = deque()
        self._gaps: dict[int, Row] = {}  # rows that were given up and never sent, by their last place
        self._recover = 0
        self._episode = 0
        self._backoff = 0
        self._srtt = 0.0
        self._rttvar = 0.0

    # Rows

    def push(self, item: Any) -> Row:
        """Put an item at the end."""
        row = self.rows[self.next] = Row(self.next, item)
        self.next += 1
        return row

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

    @property
    def last(self) -> int:
        """The highest seq that was assigned."""
        return self.next - 1

    def in_doubt(self) -> list[Row]:
        """All rows that are not settled and not given up, in order."""
        return [row for row in self.rows.values() if row.item is not None]

    # The line

    def connect(self, now: float, *, sync: bool = False) -> None:
        """The receiver can be reached; with ``sync``, ask what it has before anything is sent."""
        self.reachable = True
        self._backoff = 0
        self._resend.clear()
        # What was under way may be lost: if nothing is unacknowledged there is nothing to ask about.
        self._syncing = self._sync_wanted = sync or self.fresh > self.base
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

    def sync_due(self, now: float) -> bool:
        """Whether to send a Sync now, with ``syncs`` as its count; saying so counts as sending it."""
        if not (self._sync_wanted and self.reachable):
            return False
        self._sync_wanted = False
        self.syncs += 1
        self._sync_sent = now
        return True

    def transmit(self, now: float) -> list[Row]:
        """The rows to send now; saying so counts as sending them."""
        if not self.reachable or self._syncing:
            return []
        found: list[Row] = []
        limit = min(self.window, self.base - 1 + int(self.cwnd))
        resend = self._resend
        while resend and resend[0].seq <= limit:
            row = resend.popleft()
            if row.seq >= self.base and not row.arrived:
                found.append(row)
        last = min(limit, self.committed, self.next - 1)
        while self.fresh <= last:
            row = self.rows[self.fresh]
            self._gaps.pop(row.end, None)
            self.fresh = row.end + 1
            found.append(row)
        for row in found:
            row.sends += 1
            row.sent_at = now
        if self.due == math.inf and self.rows:
            self.due = now + self.timeout
        return found

    def probe(self, now: float) -> None:
        """The timer: nothing was heard for too long. Ask what has arrived, and send the lowest row again."""
        if not self.reachable or now < self.due:
            return
        if not self.rows and not self._syncing:
            self.due = math.inf
            return
        self._backoff += 1
        self.due = now + self.timeout
        self._sync_wanted = True
        lowest = self.rows.get(self.base)
        if lowest is not None and lowest.sends:
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
        highest = self.fresh - 1
        if cum > highest or any(not cum < low <= high <= highest for low, high in ranges) or sync > self.syncs:
            raise BadAck(f"cum {cum}, ranges {ranges[:3]}, sync {sync}; sent were {highest} and sync {self.syncs}")
        self.window = max(self.window, min(window, highest + int(LARGEST_CWND)))
        settled = self._settle(cum, dict(rejected), now) if cum >= self.base else []
        if ranges:
            self._note_ranges(ranges)
        if (self._syncing or self._backoff) and sync == self.syncs and self.syncs:
            self._syncing = False
            self._backoff = 0
            self._lose(
                [row for row in self._under_way(self.last) if not row.arrived and row.sent_at <= self._sync_sent]
            )
        if settled or not self.rows:
            self.due = now + self.timeout if self.rows else math.inf
        return settled

    def _settle(self, cum: int, rejected: dict[int, str], now: float) -> list[Settled]:
        rows = self.rows
        settled = []
        while self.base <= cum and rows[self.base].end <= cum:
            row = rows.pop(self.base)
            settled.append(Settled(row, rejected.get(row.seq)))
            self.base = row.end + 1
        if not settled:
            return []
        self._backoff = 0
        newest = settled[-1].row
        if newest.sends == 1:  # Karn: what was sent twice says nothing of the time that it took.
            self._measure(now - newest.sent_at)
        if self.base > self._recover:
            self.cwnd = min(self.cwnd + len(settled) / self.cwnd, LARGEST_CWND)
        return settled

    def _measure(self, sample: float) -> None:
        """RFC 6298, section 2."""
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
        self._lose(proven[::-1])

    def _under_way(self, last: int) -> list[Row]:
        """The rows up to ``last`` that were sent and are not settled, in order."""
        found = []
        seq = self.base
        while seq <= last and seq < self.fresh:
            row = self.rows[seq]
            found.append(row)
            seq = row.end + 1
        return found

    def _lose(self, lost: list[Row]) -> None:
        """Send rows again, and halve the congestion window, once for what was under way at the time."""
        if not lost:
            return
        if self.base > self._recover:
            self.cwnd = max(LEAST_CWND, self.cwnd / 2)
            self._recover = self.fresh - 1
            self._episode += 1
        waiting = {row.seq for row in self._resend}
        for row in lost:
            row.episode = self._episode
            if row.seq not in waiting:
                self._resend.append(row)
