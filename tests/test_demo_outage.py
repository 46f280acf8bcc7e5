"""The demo's outage: what arrives in both loops, and when."""

from __future__ import annotations

import pytest

from edri_sim.demo import outage
from edri_sim.demo.outage import ALBUM, CAMERA, OutageShow, Plan

PLAN = Plan(["a/one.png", "b/two.png"], cut=0.1, duration=0.25, length=0.6)
"""120 photos, of which some 50 are taken while the link is cut."""


@pytest.fixture(scope="module")
def crossed() -> OutageShow:
    return outage.perform(PLAN, seed=1, advance=lambda: None)


def test_all_photos_cross_the_outage_once_each_and_in_order_in_both_loops(crossed: OutageShow) -> None:
    assert crossed.complete
    for side in (crossed.real, crossed.simulated):
        assert side.filed == list(range(120))
        owed = side.account
        assert (owed.owed, owed.delivered, owed.given_up, owed.pending) == (121, 121, 0, 0)
        assert owed.held > 0
        ((name, period),) = side.run.traffic.faults
        assert name == "outage camera-hub"
        assert period.end is not None
        assert (period.end - period.start) / 1e9 >= PLAN.duration - 1e-9
        assert side.longest_wait > PLAN.duration - 0.1


def test_nothing_passes_while_the_link_is_cut(crossed: OutageShow) -> None:
    for side in (crossed.real, crossed.simulated):
        ((_, period),) = side.run.traffic.faults
        assert period.end is not None
        passed = [each.delivered for each in side.run.traffic.between(CAMERA, ALBUM) if each.delivered is not None]
        # What had passed the link just before the cut arrives a moment after it.
        assert not [time for time in passed if period.start + 50_000_000 < time < period.end]


def test_in_simulated_time_the_backlog_waits_for_the_next_retransmission(crossed: OutageShow) -> None:
    ((_, period),) = crossed.simulated.run.traffic.faults
    assert period.end is not None
    times = [each.delivered for each in crossed.simulated.run.traffic.between(CAMERA, ALBUM) if each.delivered]
    # The first loss is at 0.1 s or up to 5 ms later: 0.2 and then 0.4 s after it, bytes are sent again.
    assert min(time for time in times if time > period.end) / 1e9 == pytest.approx(0.705, abs=0.01)


def test_equal_seeds_give_equal_outages(crossed: OutageShow) -> None:
    again = [outage.simulate(crossed.topology, PLAN, seed).run.digest for seed in (1, 2)]
    assert again[0] == crossed.simulated.run.digest
    assert again[1] != again[0]


def test_an_album_that_does_not_answer_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "PATIENCE", 0.01)
    plan = Plan(["one.png"], cut=0.02, duration=5.0, length=0.1)
    side = outage.simulate(outage.topology(lambda: None), plan, seed=1)
    assert side.filed == []
    assert side.account.pending > 10
