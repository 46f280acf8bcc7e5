"""Where machines stand: nobody on top of another, however many they are."""

from __future__ import annotations

import itertools

import pytest

from edri_sim.viz.layout import WIDE, places


def star(nodes: int, switches: int) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    hubs = [f"hub{number}" for number in range(switches)]
    names = [f"node{number}" for number in range(nodes)]
    return names, hubs, [(name, hubs[place % switches]) for place, name in enumerate(names) if hubs]


@pytest.mark.parametrize("switches", [0, 1, 2, 3])
@pytest.mark.parametrize("nodes", [1, 2, 3, 8, 12, 13, 20, 21, 30, 40, 41, 100, 300])
def test_each_machine_has_room_of_its_own_within_the_field(nodes: int, switches: int) -> None:
    at, (wide, high) = places(*star(nodes, switches))
    assert len(at) == nodes + switches
    assert all(abs(x) <= WIDE + 1e-9 and abs(y) <= 1 + 1e-9 for x, y in at.values())
    apart = [abs(ax - bx) >= 0.999 * wide or abs(ay - by) >= 0.999 * high for (ax, ay), (bx, by) in pairs(at)]
    assert all(apart)


def pairs(at: dict[str, tuple[float, float]]) -> itertools.combinations[tuple[tuple[float, float], ...]]:
    return itertools.combinations(at.values(), 2)


def test_of_many_nodes_each_stands_in_the_grid_of_its_switch() -> None:
    at, _ = places(*star(100, 2))
    left, right = at["hub0"][0], at["hub1"][0]
    assert left < right
    for number in range(100):
        x = at[f"node{number}"][0]
        assert (abs(x - left) < abs(x - right)) == (number % 2 == 0)
