"""The model sees what it is there to see: each planted fault breaks a rule, within 100 seeds."""

from __future__ import annotations

import pytest

from tests.links.flow_ledger import Violation
from tests.links.flow_model import Model
from tests.links.planted import PLANTS, Plant


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    def run() -> None:
        for seed in range(100):
            Model(seed).run()

    with pytest.raises(Violation, match=r"^seed \d+, t=.* s: .*\n  t=.* s: "):
        run()
