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
    for report in reports:
        effects.update(report.effects)
    with capsys.disabled():
        print(f"\nflows alone: {len(reports)} seeds, {sum(report.events for report in reports)} events; took effect:")
        for fault in CLASSES:
            print(f"  {fault}: {effects[fault]}")
    assert {fault: effects[fault] for fault in CLASSES if effects[fault] < EACH_CLASS} == {}
