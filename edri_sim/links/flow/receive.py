"""The receiving end of one lane: order, duplicates, window, and what to acknowledge. No I/O and no clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

WINDOW = 1024
"""Events that a receiver admits beyond those that have found their room."""
ROOM_BYTES = 64 << 20
"""Bytes that a receiver holds of one lane, out of order or parked, before it drops what comes."""
ACK_EVERY, ACK_WITHIN = 16, 0.02
"""Events and seconds after which a receiver acknowledges at the latest."""
ACK_WEIGHT = 64 << 10
"""Bytes for which an event counts once more, so that its sender need not keep megabytes for want of word."""
MOST_RANGES = 32
"""Selective ranges in one acknowledgement."""
LONGEST_REASON = 64
"""Characters of the reason for which an event is rejected."""

Arrived = tuple[int, int, Any]
"""The first and last place that an item fills, and the item."""


class ReceiveLane:
    """The receiving end of one flow: ``outbox`` and ``generation`` tell it from the flows before it.

    ``wake`` is called when there is something to acknowledge though no frame has come.
    """

    def __init__(self, outbox: int, generation: int, wake: Callable[[], None], *, window: int = WINDOW) -> None:
        self.outbox = outbox
        self.generation = generation
        self.next = 1
        """The seq that is delivered next."""
        self.base = 1
        self.parked = 0
        """Delivered events that wait for room in a mailbox: they take up the window."""
        self.parked_bytes = 0
        self.duplicates = 0
        self.refused = 0
        """Events dropped because they lay beyond the window, or because too many bytes were held."""
        self.due = math.inf
        """When to acknowledge at the latest."""
        self.sync = 0
        """The number of the Sync that came last."""
        self._wake = wake
        self._limit = window
        self._window = window
        self._told = window
        self._waiting: dict[int, tuple[int, int, Any]] = {}
        self._waiting_bytes = 0
        self._rejected: deque[tuple[int, str]] = deque()
        self._unacked = 0

    def data(self, seq: int, places: int, base: int, size: int, item: Any, now: float) -> list[Arrived]:
        """Take the item that fills ``places`` from ``seq`` on, of ``size`` bytes; returns what is in order now.

        ``base`` is the sender's: all below it is settled.
        """
        if base > self.base:
            self.base = base
        if seq != self.next or self._waiting or not self._admits(seq, size):
            return self._out_of_order(seq, places, size, item, now)
        self.next = seq + places
        self._unacked += 1 + size // ACK_WEIGHT
        if self._unacked >= ACK_EVERY:
            self.due = now
        elif self.due == math.inf:
            self.due = now + ACK_WITHIN
        return [(seq, seq + places - 1, item)]

    def _admits(self, seq: int, size: int) -> bool:
        """Whether there is room. What is next in order can't wait for what waits behind it."""
        if seq > self._window:
            return False
        held = self.parked_bytes if seq == self.next else self.parked_bytes + self._waiting_bytes
        return not held or held + size <= ROOM_BYTES

    def _out_of_order(self, seq: int, places: int, size: int, item: Any, now: float) -> list[Arrived]:
        self.due = now
        if seq < self.next < seq + places:  # A sender that restarted joins what it gives up in other runs.
            seq, places = self.next, seq + places - self.next
        if seq < self.next or seq in self._waiting:
            self.duplicates += 1
            return []
        if not self._admits(seq, size) or (seq > self.next and len(self._waiting) >= self._limit):
            self.refused += 1
            return []
        self._waiting[seq] = (places, size, item)
        self._waiting_bytes += size
        return self._in_order()

    def _in_order(self) -> list[Arrived]:
        waiting = self._waiting
        found = []
        while self.next in waiting:
            first = self.next
            places, size, item = waiting.pop(first)
            self._waiting_bytes -= size
            self.next += places
            found.append((first, self.next - 1, item))
            if places > 1:
                self._trim()
        if not waiting:
            self._unacked = 0
        return found

    def _trim(self) -> None:
        """Drop of what waits the places that a run of given up events has covered."""
        for seq in [seq for seq in self._waiting if seq < self.next]:
            places, size, item = self._waiting.pop(seq)
            if seq + places > self.next and self.next not in self._waiting:
                self._waiting[self.next] = (seq + places - self.next, size, item)
            else:
                self._waiting_bytes -= size

    @property
    def overfull(self) -> bool:
        """Whether more events wait, for others or for room, than the window admits."""
        return max(len(self._waiting), self.parked) > self._limit

    def park(self, size: int) -> None:
        """An event that was delivered has found no room yet."""
        self.parked += 1
        self.parked_bytes += size

    def unpark(self, size: int, now: float) -> None:
        """It has found its room, or was given up; a sender that may wait for the window is told."""
        self.parked -= 1
        self.parked_bytes -= size
        if self._room() - self._told >= self._limit // 4:
            self.due = now
            self._wake()

    def reject(self, seq: int, reason: str) -> None:
        """An event that was delivered can't be taken: the sender is told, and the flow goes on.

        To be said before frames are pulled again: the acknowledgement that settles the event tells of it.
        """
        self._rejected.append((seq, reason[:LONGEST_REASON]))

    def hurry(self, now: float) -> None:
        """The sender can't go on before it is answered."""
        self.due = now

    def synchronise(self, base: int, sync: int, now: float) -> None:
        """A Sync came: acknowledge at once."""
        self.base = max(self.base, base)
        self.sync = sync
        self.due = now

    def _room(self) -> int:
        self._window = max(self._window, self.next - 1 + self._limit - self.parked)
        return self._window

    def acknowledgement(self) -> tuple[int, list[tuple[int, int]], int, int, list[tuple[int, str]]]:
        """(cum, ranges, window, sync, rejected) as of now; saying so counts as sending it."""
        self.due = math.inf
        self._unacked = 0
        rejected = self._rejected
        while rejected and rejected[0][0] < self.base:
            rejected.popleft()
        self._told = self._room()
        return self.next - 1, self._ranges() if self._waiting else [], self._told, self.sync, list(rejected)

    def _ranges(self) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = []
        for seq in sorted(self._waiting):
            end = seq + self._waiting[seq][0] - 1
            if ranges and ranges[-1][1] >= seq - 1:
                ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
            elif len(ranges) < MOST_RANGES:
                ranges.append((seq, end))
            else:
                break
        return ranges
