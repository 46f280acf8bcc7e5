"""A timer that counts only while something waits for it."""

from __future__ import annotations

from collections.abc import Callable


class Alarm:
    """The callback of a timer; while ``idle()``, the timer keeps no simulation running."""

    def __init__(self, ring: Callable[[], None], idle: Callable[[], bool]) -> None:
        self._ring = ring
        self._idle = idle

    def idle(self) -> bool:
        """Whether nothing waits for it."""
        return self._idle()

    def __call__(self) -> None:
        """Ring."""
        self._ring()
