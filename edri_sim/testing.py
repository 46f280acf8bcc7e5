"""For tests of one's own systems: a fixture that simulates scenarios, and assertions about runs.

``pytest_plugins = ["edri_sim.testing"]`` in a ``conftest.py`` brings the fixture :func:`simulated`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from edri_sim.invariants import Rule, check
from edri_sim.run import Run
from edri_sim.scenario import Scenario
from edri_sim.simulation.scenarios import simulate

Simulate = Callable[..., Run]


@pytest.fixture
def simulated() -> Simulate:
    """A function ``simulated(scenario, seed=7, seeds=None, rules=())``, which returns the run, or the last of several.

    Each seed's run is checked against all invariants, and ``rules`` of one's own. Whatever fails names its seed.
    """
    return run_all


def run_all(
    scenario: Scenario, seed: int = 7, *, seeds: Sequence[int] | None = None, rules: Sequence[Rule] = ()
) -> Run:  # fmt: skip
    """Simulate a scenario with each seed; see :func:`simulated`.

    Raises:
        InvariantBroken: a run broke a rule; the first one that does is the last.
    """
    listed = [seed] if seeds is None else list(seeds)
    assert listed, "simulated(seeds=[]): expected one seed or more"
    *others, last = listed
    for each in others:
        simulate(scenario, each, rules=rules)
    return simulate(scenario, last, rules=rules)


def assert_delivered(
    run: Run, type_: str | None = None, *, source: str | None = None, target: str | None = None,
    count: int | None = None,
) -> None:  # fmt: skip
    """Fail unless all that one router accepted for another was delivered there, once; None stands for any.

    ``count`` is how many there must have been; without it, there must have been one at least.
    """
    ways = [way for way in run.traffic.between(source, target) if type_ in (None, way.type)]
    what = f"{type_ or 'events'} from {source or 'anyone'} to {target or 'anyone'}"
    lost = [way.event_id for way in ways if way.delivered is None]
    assert not lost, f"seed {run.seed}: {len(lost)} of {len(ways)} {what} were not delivered: {', '.join(lost[:5])}"
    assert ways, f"seed {run.seed}: there were no {what}"
    assert count in (None, len(ways)), f"seed {run.seed}: there were {len(ways)} {what}, and {count} were expected"


def assert_ended(run: Run, type_: str | None = None) -> None:
    """Fail unless every event of a type, or of any, has ended well: was replied to, or handled."""
    open_ = [span for span in run.spans if type_ in (None, span.type) and span.outcome not in ("replied", "handled")]
    words = ", ".join(f"{span.event_id} {span.outcome}" for span in open_[:5])
    assert not open_, f"seed {run.seed}: {len(open_)} events of {type_ or 'any type'} did not end well: {words}"


__all__ = ["assert_delivered", "assert_ended", "check", "run_all", "simulated"]
