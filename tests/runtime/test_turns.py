"""Work that takes turns at the cores and the GIL of a simulated host, against what is worked out by hand."""

from __future__ import annotations

from functools import partial

import pytest

from edri_sim import Simulation
from edri_sim.service import Costs


def turns_of(quantum: float, works: list[tuple[float, float]], cores: int = 1) -> list[float]:
    """When works, each its seconds and its share of the GIL, end that begin together, in seconds."""
    found = [0.0] * len(works)
    with Simulation() as simulation:
        processor = simulation.host("box", cores=cores, costs=Costs(quantum=quantum)).processor

        def done(number: int) -> None:
            found[number] = simulation.now

        for number, (seconds, gil) in enumerate(works):
            processor.compute(seconds, gil, processor.gil, 0.0, partial(done, number))
        simulation.run()
    return found


@pytest.mark.parametrize(
    ("quantum", "works", "cores", "expected"),
    [
        (0, [(3, 0), (1, 0)], 1, [3, 4]),
        (1, [(3, 0), (1, 0)], 1, [4, 2]),
        (2, [(3, 0), (1, 0)], 1, [4, 3]),
        (1, [(3, 1), (1, 1)], 1, [4, 2]),  # The GIL goes round as the core does,
        (1, [(3, 1), (1, 1)], 2, [4, 2]),  # and is given up where there is a core for each.
        (1, [(3, 1), (2, 0)], 1, [5, 3]),  # The second has the core first, as it needs no GIL.
        (0.5, [(2, 0), (2, 0), (2, 0)], 2, [2.5, 3, 3]),
        (0.1, [(0.4, 0), (0.4, 0)], 1, [0.7, 0.8]),  # What rounding leaves of the fourth turn is no fifth one.
        (1, [(4, 0.5), (2, 0.5)], 1, [6, 3]),
    ],
)
def test_work_takes_turns_of_a_quantum_while_others_wait(
    quantum: float, works: list[tuple[float, float]], cores: int, expected: list[float]
) -> None:
    assert turns_of(quantum, works, cores) == pytest.approx(expected)


def test_work_that_nobody_waits_for_keeps_its_core_from_turn_to_turn() -> None:
    with Simulation() as simulation:
        processor = simulation.host("box", costs=Costs(quantum=0.1)).processor
        processor.compute(1.0, 0.0, processor.gil, 0.0, lambda: None)
        asked: list[float] = []
        request = processor.cores.request
        processor.cores.request = lambda: asked.append(simulation.now) or request()
        simulation.run()
    assert asked == [0.0]


def test_work_that_takes_turns_stops_at_a_crash() -> None:
    ended: list[str] = []
    with Simulation() as simulation:
        host = simulation.host("box", costs=Costs(quantum=0.1))
        for name in ("one", "two"):
            host.processor.compute(5.0, 0.5, host.processor.gil, 0.0, partial(ended.append, name))
        simulation.run(until=1)
        processor = host.processor
        host.crash()
        simulation.run(until=100)
    assert ended == []
    assert (processor.cores.count, processor.gil.count) == (0, 0)
