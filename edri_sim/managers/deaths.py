"""How often the workers of a pool have died lately, and so how long it waits before it replaces one."""

from __future__ import annotations

from collections import deque

MOST_DOUBLINGS = 30


class Deaths:
    """Counts deaths, and failures to start. All times are in seconds on the clock of the node's loop.

    More than ``restarts`` of them ``within`` some seconds are too many. The pause before the next start is ``first``,
    doubles with each death in a row up to ``most``, and is ``most`` as long as there were too many.
    """

    def __init__(self, restarts: int, within: float, first: float, most: float) -> None:
        self.in_a_row = 0
        """Deaths since a handler has last returned."""
        self._within = within
        self._first = first
        self._most = most
        self._last: deque[float] = deque(maxlen=restarts + 1)

    def note(self, now: float) -> None:
        """One more has died."""
        self.in_a_row += 1
        self._last.append(now)

    @property
    def clear_at(self) -> float:
        """Until when there are too many, if nobody dies meanwhile; a time that has passed: there are not."""
        full = len(self._last) == self._last.maxlen
        return self._last[0] + self._within if full else 0.0

    def too_many(self, now: float) -> bool:
        """Whether more have died lately than may."""
        return now < self.clear_at

    def pause(self, now: float) -> float:
        """Seconds until the next start."""
        if self.too_many(now):
            return self._most
        return min(self._first * 2.0 ** min(max(self.in_a_row - 1, 0), MOST_DOUBLINGS), self._most)
