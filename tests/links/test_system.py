"""100 seeds of the whole system, under faults: see :mod:`tests.links.system_model`, also for how one is seen again."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.links.system_faults import CLASSES
from tests.links.system_model import Model, Report

SEEDS, CHUNK = 100, 10
EACH_CLASS = 20
"""How often each fault has to take effect, over all seeds."""
WAYS_TO_END = ("reply", "DeadlineExceeded", "ProviderLost", "host down")
"""How requests have to end at least once each, over all seeds."""


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    return []


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_system_keeps_its_promises(first: int, reports: list[Report]) -> None:
    for seed in range(first, first + CHUNK):
        reports.append(Model(seed).run())


def test_every_fault_took_effect(reports: list[Report], capsys: pytest.CaptureFixture[str]) -> None:
    if len(reports) < SEEDS:
        pytest.skip("only some of the seeds ran")
    effects: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for report in reports:
        effects += report.effects
        ends += report.ends
    with capsys.disabled():
        crossings = sum(report.crossings for report in reports)
        print(
            f"\nthe whole system: {SEEDS} seeds, {crossings} events between routers, the longest to come to rest took"
        )
        print(f"  {max(report.drained for report in reports):.1f} s; requests ended: {dict(ends)}; took effect:")
        for fault in CLASSES:
            print(f"  {fault.__name__}: {effects[fault.__name__]}")
    assert [fault for fault in CLASSES if effects[fault.__name__] < EACH_CLASS] == []
    assert [way for way in WAYS_TO_END if not ends[way]] == []
