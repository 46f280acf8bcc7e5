"""The rows of many processes as those of one run, whatever became of the processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edri_sim import trace
from edri_sim.realtime.rows import Life, RowFile, merge
from edri_sim.run import Run
from edri_sim.trace import Recorder, Trace

NOTHING: Callable[[], dict[int, tuple[int, int, int, dict[str, int]]]] = dict


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Two processes: b's event 1 is handled by a, whose event 1 comes of it and fails."""
    first = RowFile(tmp_path / "a", 0, NOTHING)
    number = first.recorder.names.number
    node, pool, ours, theirs = map(number, ("a", "a/pool", "a/1", "b/1"))
    ask, order, code = map(number, ("Ask", "Order", "no_route"))
    first.recorder.slots["a/pool"] = 2
    caused = trace.cause_detail(theirs, 1, ours)
    first.recorder.open += [20, trace.STARTED, node, pool, theirs, 1, order, 1]
    first.recorder.open += [30, trace.CREATED, node, node, ours, 1, ask, caused]
    first.recorder.open += [40, trace.FAILED, node, node, ours, 1, ask, code]
    first.recorder.open += [50, trace.FINISHED, node, pool, theirs, 1, order, 1]
    first.close()
    second = RowFile(tmp_path / "b", 0, lambda: {0: (3, 1, 0, {"no_route": 2})})
    number = second.recorder.names.number
    order, node, theirs = map(number, ("Order", "b", "b/1"))
    second.recorder.open += [10, trace.CREATED, node, node, theirs, 1, order, 0]
    second.flush()
    second.recorder.open += [60, trace.REPLIED, node, node, theirs, 1, order, 0]
    second.close()
    return [tmp_path / "a", tmp_path / "b"]


def test_rows_of_two_processes_are_one_run(paths: list[Path]) -> None:
    own = Recorder()
    clock = iter((15, 35))
    faults = Trace("full", "main", lambda: next(clock), recorder=own)
    for stage in (trace.FAULT_BEGINS, trace.FAULT_ENDS):
        faults.mark(stage, faults.component("faults"), "kill a")
    run = Run(merge(map(Life, paths), own, 0), simulated=False)
    assert [row[0] for row in run.recorder.rows()] == [10, 15, 20, 30, 35, 40, 50, 60]
    order, ask = run.spans
    assert (order.event_id, order.type, order.outcome) == ("b/1/1", "Order", "replied")
    assert [(visit.component, visit.slot, visit.started, visit.finished) for visit in order.visits] == [
        ("a/pool", 1, 20, 50)
    ]
    assert (ask.event_id, ask.cause, ask.outcome) == ("a/1/1", "b/1/1", "failed:no_route")
    assert run.recorder.slots["a/pool"] == 2
    assert [(name, *period) for name, period in run.traffic.faults] == [("kill a", 15, 35)]


def test_what_a_killed_process_wrote_last_counts_and_a_torn_piece_does_not(paths: list[Path]) -> None:
    whole = paths[1].read_bytes()
    assert Life(paths[1]).counts == {0: (3, 1, 0, {"no_route": 2})}
    seen = []
    for size in range(len(whole) + 1):
        paths[1].write_bytes(whole[:size])
        seen.append(tuple(row[0] for row in Life(paths[1]).rows()))
    assert list(dict.fromkeys(seen)) == [(), (10,), (10, 60)]
    assert seen == sorted(seen)
    paths[1].unlink()
    assert list(Life(paths[1]).rows()) == []


def test_a_cap_holds_for_each_process_and_for_the_run(tmp_path: Path) -> None:
    for name in "ab":
        file = RowFile(tmp_path / name, 3, NOTHING)
        number = file.recorder.names.number(name)
        for time in range(5):
            file.recorder.open += [time, trace.CREATED, number, number, number, time, number, 0]
        file.close()
    merged = merge([Life(tmp_path / name) for name in "ab"], Recorder(), 4)
    assert len(merged) == 4
    assert merged.lost == 6
