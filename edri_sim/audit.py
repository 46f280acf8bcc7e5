"""What the rules of a run look at and no row of its trace tells: kept beside the rows, and in no digest."""

from __future__ import annotations

from typing import NamedTuple


class FlowLane(NamedTuple):
    """One lane of one flow, as its receiver knows it; a new life of either router has others."""

    target: str
    incarnation: int
    source: str
    outbox: int
    generation: int
    lane: int

    def __str__(self) -> str:
        return f"lane {self.lane} from {self.source} to {self.target}"


class Audit:
    """Looks at what happens in one run, as it happens, and notes in words what must not be."""

    def __init__(self) -> None:
        self.holes: list[str] = []
        """Places of lanes that did not come right after those before them."""
        self._last: dict[FlowLane, int] = {}

    def placed(self, lane: FlowLane, first: int, last: int) -> None:
        """These places of a lane came to its receiver: events that were delivered, or that their sender gave up."""
        before = self._last.get(lane, 0)
        if not first == before + 1 <= last:
            self.holes.append(f"{lane}: places {first} to {last} came, and {before + 1} was next")
        self._last[lane] = last
