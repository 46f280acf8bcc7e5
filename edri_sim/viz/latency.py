"""How long events took: the share of them that had ended by each latency."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edri_sim.run import Run
from edri_sim.viz.theme import FAINT, INK, REAL, SERIES, SIMULATED, quiet_frame, title

_MARKS = ((50.0, "o"), (95.0, "D"))
"""Percentiles, and the shape that marks each."""
_LEAST = 1e-7
"""Seconds: what took no simulated time at all still has a place on a logarithmic axis."""

_FEW_DECADES = 10_000
"""The span of an axis that has room for 1, 2 and 5 of each decade."""


def run_label(run: Run) -> str:
    """What a run is called in a legend."""
    return f"simulated, seed {run.seed}" if run.simulated else "real time"


def draw_latency(ax: Axes, runs: Sequence[Run], types: Sequence[str]) -> None:
    """Draw one curve for each run and event type that has latencies, p50 and p95 marked with their milliseconds.

    With one type, colour tells the runs apart; with several, colour tells the types and dashes the second run.
    """
    single = len(types) == 1
    for place, run in enumerate(runs):
        for number, type_ in enumerate(types):
            seconds = sorted(run.latencies(type_))
            if not seconds:
                continue
            colour = _run_colour(run) if single else SERIES[number % len(SERIES)]
            label = run_label(run) if single else type_ if len(runs) == 1 else f"{type_}, {run_label(run)}"
            _curve(ax, run, type_, colour, "--" if place else "-", label)
    if single:
        _words(ax, runs, types[0])
    _finish(ax, types[0] if single else "Latency by event type", single=single)


def _run_colour(run: Run) -> str:
    return SIMULATED if run.simulated else REAL


def _curve(ax: Axes, run: Run, type_: str, colour: str, dashes: str, label: str) -> None:
    milliseconds = [1000 * max(value, _LEAST) for value in run.latencies(type_)]
    ax.ecdf(milliseconds, color=colour, linestyle=dashes, linewidth=1.8, label=label)
    for level, shape in _MARKS:
        value = _milliseconds(run, type_, level)
        ax.plot([value], [level / 100], shape, color=colour, markersize=7, markeredgecolor="white", zorder=5)


def _milliseconds(run: Run, type_: str, level: float) -> float:
    return 1000 * max(run.percentiles(type_, (level,))[level], _LEAST)


def _words(ax: Axes, runs: Sequence[Run], type_: str) -> None:
    """The milliseconds beside the marks: the least to the left of all curves, the others to the right."""
    for level, _ in _MARKS:
        values = [(_milliseconds(run, type_, level), _run_colour(run)) for run in runs if run.latencies(type_)]
        for place, (value, colour) in enumerate(sorted(values)):
            ax.annotate(
                f"p{level:.0f}  {figures(value)} ms", (value, level / 100), color=colour, fontsize=9, zorder=6,
                xytext=(10, -4 - 13 * (place - 1)) if place else (-10, 4), textcoords="offset points",
                ha="left" if place else "right", va="top" if place else "bottom",
            )  # fmt: skip


def _finish(ax: Axes, heading: str, *, single: bool) -> None:
    quiet_frame(ax)
    title(ax, heading)
    ax.set_xscale("log")
    ax.set_ylim(0, 1.05)
    _room(ax)
    ax.set_xlabel("milliseconds (logarithmic)", fontsize=9, color=INK)
    ax.set_ylabel("share of events that had ended", fontsize=9, color=INK)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    left, right = ax.get_xlim()
    subs = (1.0, 2.0, 5.0) if right < _FEW_DECADES * left else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    ax.xaxis.set_minor_formatter(NullFormatter())
    for level, _ in _MARKS:
        ax.axhline(level / 100, color=FAINT, linewidth=0.7, linestyle=":")
    _legend(ax, single=single)


def _legend(ax: Axes, *, single: bool) -> None:
    """Below the axes where words beside the marks leave no room inside."""
    if not ax.get_legend_handles_labels()[0]:
        return
    if single:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, fontsize=9, frameon=False)
    else:
        ax.legend(loc="best", fontsize=9, frameon=False)


def _room(ax: Axes) -> None:
    """Widen the axis on both sides, so that the words beside the marks stay inside."""
    left, right = ax.dataLim.intervalx
    if not (math.isfinite(left) and math.isfinite(right)):
        return
    spread = max(math.log10(right / left), 0.3)
    ax.set_xlim(left / 10 ** (0.25 * spread), right * 10 ** (0.45 * spread))


def tick(value: float) -> str:
    """A round number in full, with commas between thousands."""
    return f"{value:,.9f}".rstrip("0").rstrip(".")


def figures(value: float) -> str:
    """A number with three significant figures, commas between thousands and no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def types_with_latency(runs: Iterable[Run]) -> list[str]:
    """The event types that took some time in any of the runs, in order of first use."""
    return list(dict.fromkeys(type_ for run in runs for type_ in run.types if any(run.latencies(type_))))
