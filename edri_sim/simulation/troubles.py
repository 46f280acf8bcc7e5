"""What is wrong with a simulated host for a while, though it runs: slow handlers, a slow or full disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edri_sim.errors import StorageError

if TYPE_CHECKING:
    from edri_sim.simulation.slots import ModelledProcessSlot


class Troubles:
    """The troubles of one host, each by what causes it: several of them add up. They outlive a restart."""

    def __init__(self) -> None:
        self.slowness = 0.0
        """Seconds that each event takes longer in a handler."""
        self.delay = 0.0
        """Seconds that each commit takes longer."""
        self.workers: dict[tuple[str, int], ModelledProcessSlot] = {}
        """The process workers of the present life, by pool and index."""
        self._full = 0

    def slow(self, seconds: float) -> None:
        """Let handlers take longer by so much; below 0, undo that."""
        self.slowness = _sum(self.slowness, seconds)

    def slow_disk(self, seconds: float) -> None:
        """Let commits take longer by so much; below 0, undo that."""
        self.delay = _sum(self.delay, seconds)

    def fill_disk(self, times: int) -> None:
        """Let the disk be full; -1 undoes one 1."""
        self._full += times

    def check_room(self, place: str) -> None:
        """Raise StorageError while the disk is full."""
        if self._full:
            raise StorageError(f"storage {place}: the disk is full: make room, or change the data folder")


def _sum(total: float, change: float) -> float:
    """The sum without what rounding leaves when all is undone."""
    return 0.0 if abs(total + change) < 1e-12 else total + change
