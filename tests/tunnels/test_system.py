"""Tunnels under faults, seed by seed: cuts and switches that die lose nothing; nodes that die end what they had."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.tunnels.system import TunnelSystem


@pytest.mark.parametrize("first", range(0, 12, 4))
def test_no_cut_and_no_switch_that_dies_loses_an_item_or_ends_a_tunnel(first: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(first, first + 4):
        ends += TunnelSystem(seed, nodes=False).run()
    assert ends["done"] > 0.9 * ends.total()


@pytest.mark.parametrize("first", range(100, 112, 4))
def test_a_node_that_dies_ends_its_tunnels_with_an_error(first: int) -> None:
    ends: Counter[str] = Counter()
    for seed in range(first, first + 4):
        ends += TunnelSystem(seed, nodes=True).run()
    assert ends["done"] > 0.5 * ends.total()
    assert ends["TunnelLost"] + ends["ProviderLost"] + ends["HostDown"]
