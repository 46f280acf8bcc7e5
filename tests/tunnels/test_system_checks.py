"""The checks of tunnels under faults catch what is planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edri_sim.links.flow.tunnel_lanes import TunnelLanes
from edri_sim.links.tunnels import Passage
from tests.tunnels.system import TunnelSystem, Violation

TAKE: Callable[[Passage, bytes], None] = Passage.take


def each(count: int, do: Callable[[Passage, bytes], None]) -> Callable[[Passage, bytes], None]:
    """Takes all items as they are, but for each so-and-so-many-th."""
    seen = 0

    def take(passage: Passage, data: bytes) -> None:
        nonlocal seen
        seen += 1
        (TAKE if seen % count else do)(passage, data)

    return take


def twice(passage: Passage, data: bytes) -> None:
    TAKE(passage, data)
    passage.wire.payload(data)


PLANTS: dict[str, tuple[type[Any], str, Any, str]] = {
    "an item lost": (Passage, "take", each(40, lambda _, data: None), "lost, twice|ended well with"),
    "an item twice": (Passage, "take", each(40, twice), "lost, twice|more than its credit"),
    "a lane that stays": (TunnelLanes, "finish", lambda *_: None, "keeps"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_is_caught(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, planted, words = PLANTS[plant]
    monkeypatch.setattr(owner, name, planted)
    with pytest.raises(Violation, match=words):
        TunnelSystem(0, nodes=False).run()
