"""What was heard of one other router's interest, and what it was told."""

from __future__ import annotations

import math

from edri_sim.links.frames import Interest

FIRST_REPEAT, LAST_REPEAT = 0.2, 5.0
"""Seconds until unanswered wishes are repeated: at first, and at most; they double."""


class Other:
    """What is known of one other router, and what it was told."""

    def __init__(self, name: str, incarnation: int) -> None:
        self.name = name
        self.incarnation = incarnation
        self.reachable = False
        self.wants: dict[str, Interest] = {}
        self.unfit: dict[str, str] = {}
        """Of what it wants, the types in whose schemas it can't have them, with the reasons."""
        self.barred: dict[str, None] = {}
        """Types that do not get through to it, for as long as it is present."""
        self.refuses: dict[str, str] = {}
        """Of what we want of it, the types that we can't have, with the reasons."""
        self.answered = -1
        """The revision of our wishes that it has answered."""
        self.excused = False
        """Whether it had time enough to answer, and has not."""
        self.counter = 0
        self.repeat = math.inf
        self.pause = FIRST_REPEAT
        self.wishes: dict[str, str] = {}
        self.revision = -1
        self.told: dict[str, Interest] = {}
        self.told_counter = 0
        self.digest_at = math.inf

    def rest(self) -> None:
        """Nothing is to be said to it for now."""
        self.reachable = False
        self.repeat = self.digest_at = math.inf
