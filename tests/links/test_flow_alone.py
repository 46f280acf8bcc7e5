"""500 seeds of flows alone, under faults: see :mod:`tests.links.flow_model`, also for how one is seen again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.links.flow_faults import CLASSES
from tests.links.flow_model import EVENTS_LEAST, FAULTS_LEAST, Model, Report

SEEDS, CHUNK = 500, 25
EACH_CLASS = 20
"""How often each fault has to take effect, over all seeds."""
TUNNELS_WHOLE = 1_000
"""Tunnels that have to come to their end with all items, over all seeds."""


@pytest.fixture(scope="module")
def reports() -> Iterator[list[Report]]:
    return []


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_or_doubled(first: int, reports: list[Report]) -> None:
    for seed in range(first, first + CHUNK):
        report = Model(seed).run()
        assert report.events >= EVENTS_LEAST
        assert report.faults >= FAULTS_LEAST
        reports.append(report)


def test_every_fault_took_effect(reports: list[Report], capsys: pytest.CaptureFixture[str]) -> None:
    if len(reports) < SEEDS:
        pytest.skip("only some of the seeds ran")
    effects: Counter[str] = Counter()
    tunnels: Counter[str] = Counter()
    for report in reports:
        effects.update(report.effects)
        tunnels.update({name: report.counts.get(name, 0) for name in ("tunnels whole", "tunnels lost", "items")})
    with capsys.disabled():
        print(f"\nflows alone: {len(reports)} seeds, {sum(report.events for report in reports)} events; took effect:")
        for fault in CLASSES:
            print(f"  {fault}: {effects[fault]}")
        print(
            f"  tunnels whole: {tunnels['tunnels whole']}, lost: {tunnels['tunnels lost']}, items: {tunnels['items']}"
        )
    assert tunnels["tunnels whole"] >= TUNNELS_WHOLE
    assert {fault: effects[fault] for fault in CLASSES if effects[fault] < EACH_CLASS} == {}
