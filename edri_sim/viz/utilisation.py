"""How busy the pools were, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from edri_sim.run import Run
from edri_sim.viz.latency import run_label
from edri_sim.viz.theme import INK, REAL, SIMULATED, quiet_frame, title


def busy_pools(run: Run) -> dict[str, float]:
    """The utilisation of each pool, 0 to 1; a manager's own handlers have no slots to be short of, and are left out."""
    return {label: share for label, share in run.utilisation().items() if "." in label.partition("/")[2]}


def draw_utilisation(ax: Axes, runs: Sequence[Run]) -> None:
    """Draw a group of bars for each pool, one bar for each run, with its share in words."""
    shares = [busy_pools(run) for run in runs]
    labels = list(dict.fromkeys(label for share in shares for label in share))
    height = 0.8 / max(1, len(runs))
    for place, (run, share) in enumerate(zip(runs, shares, strict=True)):
        middles = [number + (place - (len(runs) - 1) / 2) * height for number in range(len(labels))]
        widths = [share.get(label, 0.0) for label in labels]
        bars = ax.barh(
            middles, widths, height * 0.9, color=SIMULATED if run.simulated else REAL, label=run_label(run),
            hatch="///" if place else None, edgecolor="white", linewidth=0,
        )  # fmt: skip
        ax.bar_label(bars, [f"{width:.0%}" for width in widths], padding=4, fontsize=9, color=INK)
    slots = runs[0].recorder.slots
    names = [f"{label.partition('/')[2]}\n{slots.get(label, 1)} slots" for label in labels]
    ax.set_yticks(range(len(labels)), names)
    quiet_frame(ax)
    ax.grid(False, axis="y")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    ax.set_xlabel("share of the time in which a slot was busy", fontsize=9, color=INK)
    title(ax, "How busy the pools were")
    if labels:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=len(runs), fontsize=9, frameon=False)
