"""The two parts in numbers: one table that the terminal, the report and ``--json`` all show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from edri_sim.demo.recording import Recording
from edri_sim.demo.show import Side
from edri_sim.run import Run
from edri_sim.viz.utilisation import busy_pools

TIMED = ("Prepare", "Resize", "Describe")
"""The event types whose work has a cost in the model, so that their latencies can be compared."""


class Line(NamedTuple):
    """One figure of both parts, in words, and simulated divided by real where that says anything."""

    name: str
    real: str
    simulated: str
    ratio: str = ""


class Group(NamedTuple):
    """Lines under one heading."""

    heading: str
    lines: list[Line]


def compare(real: Side, simulated: Side, recording: Recording) -> list[Group]:
    """All figures, real beside simulated."""
    return [
        Group("photos", _photo_lines(real, simulated, recording)),
        *(Group(f"latency of {type_}, ms", _latency_lines(real.run, simulated.run, type_)) for type_ in TIMED),
        Group("busy share of the pools", _busy_lines(real.run, simulated.run)),
    ]


def _photo_lines(real: Side, simulated: Side, recording: Recording) -> list[Line]:
    return [
        Line("answered", *(str(len(side.answers.cards)) for side in (real, simulated))),
        Line("failed", *(str(side.answers.failed) for side in (real, simulated))),
        Line("seconds", *_numbers(real.run.duration, simulated.run.duration)),
        Line("photos per second", *_numbers(photo_rate(real.run), photo_rate(simulated.run))),
        Line("cores that others took", *_others(recording)),
    ]


def _others(recording: Recording) -> tuple[str, str]:
    taken = recording.others
    return ("unknown", "0") if taken is None else (f"{taken:.2f}", f"{taken:.2f}")


def photo_rate(run: Run) -> float:
    """Photos per second that got their card."""
    return run.throughput("Prepare")


def _latency_lines(real: Run, simulated: Run, type_: str) -> list[Line]:
    pairs = zip(real.percentiles(type_).items(), simulated.percentiles(type_).values(), strict=True)
    return [Line(f"p{level:.0f}", *_numbers(1000 * a, 1000 * b)) for (level, a), b in pairs]


def _busy_lines(real: Run, simulated: Run) -> list[Line]:
    first, second = busy_pools(real), busy_pools(simulated)
    return [
        Line(f"{name.partition('/')[2]} ({real.recorder.slots[name]})", f"{share:.0%}", f"{second.get(name, 0):.0%}",
             _ratio(share, second.get(name, 0)))
        for name, share in first.items()
    ]  # fmt: skip


def _numbers(real: float, simulated: float) -> tuple[str, str, str]:
    return _number(real), _number(simulated), _ratio(real, simulated)


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _ratio(real: float, simulated: float) -> str:
    return f"{simulated / real:.2f}" if real > 0 and simulated > 0 else ""


def as_json(side: Side) -> dict[str, Any]:
    """One part for programs; times in seconds."""
    run = side.run
    return {
        "answered": len(side.answers.cards),
        "failed": side.answers.failed,
        "errors": side.answers.errors,
        "catalogue": len(side.answers.catalogue),
        "duration": run.duration,
        "wall": side.wall,
        "throughput": photo_rate(run),
        "digest": run.digest,
        "events": {type_: _type_json(run, type_) for type_ in run.types},
        "busy": busy_pools(run),
    }


def _type_json(run: Run, type_: str) -> Mapping[str, float | None]:
    ranks = {f"p{level:.0f}": None if math.isnan(rank) else rank for level, rank in run.percentiles(type_).items()}
    failed = run.count(type_, "failed") + run.count(type_, "dropped")
    return {"ok": len(run.latencies(type_)), "failed": failed, **ranks}
