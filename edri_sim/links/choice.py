"""Over which of several lines a router is best reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edri_sim.links.line import DOUBT, SwitchLine


class Choice:
    """Chooses among ``lines``, anew after each :meth:`forget`.

    A line may be cut without a word at this end or at the other, and only what is heard shows that it is not. So a
    router is answered the way that it was heard last, and while it is not heard at all, each way is tried in turn.
    """

    def __init__(self, lines: Sequence[SwitchLine], now: Callable[[], float]) -> None:
        self._lines = lines
        self._now = now
        self._chosen: dict[str, SwitchLine | None] = {}

    def forget(self) -> None:
        """Choose anew."""
        self._chosen.clear()

    def best(self, dst: str) -> SwitchLine | None:
        """The line to a router; None if it is present nowhere."""
        if dst in self._chosen:
            return self._chosen[dst]
        lines = [line for line in self._lines if line.up and dst in line.present]
        best = lines[0] if lines else None
        if len(lines) > 1:
            best = self._best(lines, dst)
            best.doubt()
        self._chosen[dst] = best
        return best

    def _best(self, lines: list[SwitchLine], dst: str) -> SwitchLine:
        # A router that began a new life may be half-open at another switch, where what is sent would be lost.
        first = min(_standing(line, dst) for line in lines)
        equal = sorted((line for line in lines if _standing(line, dst) == first), key=_name)
        now = self._now()
        heard = [line for line in equal if now - line.heard.get(dst, -math.inf) < DOUBT]
        # Both ends choose by name where they heard each other both ways, or they might swap lines for ever.
        return heard[0] if heard else equal[int(now / DOUBT) % len(equal)]


def _standing(line: SwitchLine, dst: str) -> tuple[int, bool, bool, bool]:
    """The less, the better."""
    return -line.present[dst], line.leaving, line.mute, line.full


def _name(line: SwitchLine) -> str:
    return line.switch
