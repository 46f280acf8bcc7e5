"""Two runs beside each other: the latencies of every event type that occurred in either."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from edri_sim.run import Run
from edri_sim.viz.latency import figures, run_label, tick
from edri_sim.viz.theme import FAINT, INK, PAPER, SERIES, axes, quiet_frame, title

LEVELS = ((50.0, "o"), (95.0, "D"), (99.0, "s"))
"""Percentiles, and the shape that marks each."""


def draw_comparison(ax: Axes | None, runs: tuple[Run, Run]) -> Axes:
    """Draw for each event type and run a line from p50 to p99, with how many events there were and their p95.

    A type that took no time at all in either run has no place on a logarithmic axis, and is left out.
    """
    types = [
        name
        for name in dict.fromkeys(name for run in runs for name in run.types)
        if any(run.percentiles(name, (99,))[99] > 0 for run in runs)
    ]  # fmt: skip
    ax = axes(ax, 8.0, 1.7 + 0.75 * max(1, len(types)))
    for row, name in enumerate(types):
        for place, run in enumerate(runs):
            _bar(ax, run, name, row + (place - (len(runs) - 1) / 2) * 0.36, SERIES[place])
    _finish(ax, runs, types)
    return ax


def _bar(ax: Axes, run: Run, name: str, height: float, colour: str) -> None:
    values = [1000 * value for value in run.percentiles(name, [level for level, _ in LEVELS]).values()]
    if any(math.isnan(value) or value <= 0 for value in values):
        return
    ax.plot((values[0], values[-1]), (height, height), color=colour, linewidth=2, zorder=2)
    for value, (_, shape) in zip(values, LEVELS, strict=True):
        ax.plot(value, height, shape, color=colour, markersize=7, markeredgecolor=PAPER, zorder=3)
    words = f"{len(run.latencies(name)):,} events, p95 {figures(values[1])} ms"
    ax.annotate(
        words, (values[-1], height), xytext=(9, 0), textcoords="offset points", va="center", fontsize=8.5, color=INK
    )  # fmt: skip


def _finish(ax: Axes, runs: Sequence[Run], types: Sequence[str]) -> None:
    quiet_frame(ax)
    ax.grid(False, axis="y")
    ax.set_xscale("log")
    ax.set_yticks(range(len(types)), types)
    ax.set_ylim(max(1, len(types)) - 0.45, -0.55)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("milliseconds (logarithmic)", fontsize=9, color=INK)
    if types:
        left, right = ax.get_xlim()
        ax.set_xlim(left, right * (right / left) ** 0.55)  # Room for the words.
    handles = [Line2D([], [], color=SERIES[place], linewidth=3) for place in range(len(runs))]
    handles += [Line2D([], [], color=FAINT, marker=shape, linestyle="none") for _, shape in LEVELS]
    names = [f"{which}: {run_label(run)}" for which, run in zip(("this", "other"), runs, strict=True)]
    labels = [*names, *(f"p{level:.0f}" for level, _ in LEVELS)]
    below = -0.32 / max(1, len(types)) - 0.12
    ax.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0, below), ncols=len(labels), frameon=False, fontsize=8.5,
        labelcolor=INK,
    )  # fmt: skip
    title(ax, "Latency, run beside run")
