"""The public face: run on both loops here, type-checked in test_typing."""

from __future__ import annotations

from tests.typing import face
from tests.worlds import World


def test_by_hand(world: World) -> None:
    path, *seen = world.run(face.by_hand)
    assert path == "cat.jpg.small"
    assert sorted(seen) == ["cat.jpg", "dog.jpg"]


def test_a_topology_in_simulated_time() -> None:
    run = face.simulated()
    assert run.count("face.Resize", "replied") == 1
    assert 0.11 < run.percentiles("face.Resize")[50] < 1
