"""What an outage did: events accepted and delivered over time, the backlog between them, and the lines above."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from edri_sim.run import SECOND, Run
from edri_sim.traffic import Crossing, Period, account, steps
from edri_sim.viz.theme import FAINT, INK, quiet_frame, title

ACCEPTED, DELIVERED, BACKLOG, UP, DOWN, RESENT, DUPLICATE = (
    "#0072B2", "#009E73", "#E69F00", "#8fd0b8", "#D55E00", "#CC79A7", "#24292f",
)  # fmt: skip
_STRIP = 0.055
"""The height of a line's strip over the axes, as a share of the axes."""

ToSeconds = Callable[[int], float]
"""Seconds on the time axis, of nanoseconds in the trace."""
Curve = tuple[list[float], list[int]]


def draw_timeline(ax: Axes, run: Run, source: str | None, target: str | None) -> None:
    """Draw what ``source`` sent to ``target`` (None: any), the lines of the routers that took part, and faults."""
    crossings = run.traffic.between(source, target)
    seconds = _axis(run)
    _curves(ax, run, crossings, seconds)
    _rug(ax, crossings, seconds)
    for name, period in run.traffic.faults:
        _fault(ax, run, name, period, seconds)
    taking_part = {name: None for each in crossings for name in (each.source, each.target)}
    lines = {key: run.traffic.lines[key] for name in taking_part for key in run.traffic.lines if key[0] == name}
    for place, ((node, switch), periods) in enumerate(reversed(lines.items())):  # From below: the sender on top.
        _strip(ax, run, place, f"{node} \N{RIGHTWARDS ARROW} {switch}", periods, seconds)
    _finish(ax, run, str(account(crossings)), len(lines), _heading(source, target))


def _heading(source: str | None, target: str | None) -> str:
    if source is None and target is None:
        return "What passed between the nodes"
    return f"What {source or 'any node'} sent to {target or 'any node'}"


def _axis(run: Run) -> ToSeconds:
    """Simulated time begins at 0, real time with the first row."""
    start = run.began
    return lambda time: (time - start) / SECOND


def _curves(ax: Axes, run: Run, crossings: Sequence[Crossing], seconds: ToSeconds) -> None:
    accepted = _total(run, (each.accepted for each in crossings), seconds)
    settled = _total(run, (_settled(each) for each in crossings), seconds)
    times = sorted([*accepted[0], *settled[0]])
    ax.fill_between(
        times, _at(accepted, times), _at(settled, times), step="post", color=BACKLOG, alpha=0.45, linewidth=0,
        label="backlog",
    )  # fmt: skip
    ax.step(*accepted, where="post", color=ACCEPTED, linewidth=2, label="sent: accepted by the outbox")
    ax.step(*settled, where="post", color=DELIVERED, linewidth=2, linestyle="--", label="delivered, or given up")


def _settled(crossing: Crossing) -> int | None:
    return crossing.delivered if crossing.delivered is not None else crossing.given_up


def _total(run: Run, moments: Iterable[int | None], seconds: ToSeconds) -> Curve:
    times, totals = steps((moment, 1) for moment in moments if moment is not None)
    return [0.0, *map(seconds, times), run.duration], [0, *totals, totals[-1] if totals else 0]


def _at(curve: Curve, times: Sequence[float]) -> list[int]:
    """The values of a stepped curve at these times, which are in order."""
    xs, ys = curve
    found = []
    place = 0
    for time in times:
        while place + 1 < len(xs) and xs[place + 1] <= time:
            place += 1
        found.append(ys[place])
    return found


def _rug(ax: Axes, crossings: Sequence[Crossing], seconds: ToSeconds) -> None:
    """Marks along the lower edge: what was held, what was sent again, what came twice and was dropped."""
    kinds = (
        ("held in the outbox", BACKLOG, "|", [each.held for each in crossings if each.held is not None]),
        ("sent again", RESENT, "^", [time for each in crossings for time in each.resent]),
        ("duplicate, dropped", DUPLICATE, "x", [time for each in crossings for time in each.duplicates]),
    )
    for height, (label, colour, shape, times) in enumerate(kinds):
        if times:
            ax.plot(
                [*map(seconds, times)], [0.02 + 0.035 * height] * len(times), shape, color=colour, markersize=6,
                transform=ax.get_xaxis_transform(), label=f"{label} ({len(times):,})", zorder=5, linestyle="none",
            )  # fmt: skip


def _fault(ax: Axes, run: Run, name: str, period: Period, seconds: ToSeconds) -> None:
    start = seconds(period.start)
    end = run.duration if period.end is None else seconds(period.end)
    ax.axvspan(start, end, facecolor="none", edgecolor=FAINT, hatch="//", alpha=0.35, linewidth=0, zorder=0)
    ax.axvline(start, color=FAINT, linewidth=1, linestyle=":")
    ax.annotate(
        name, (start, 0.97), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points", fontsize=9,
        color=INK, va="top", zorder=6,
    )  # fmt: skip


def _strip(ax: Axes, run: Run, place: int, label: str, periods: Sequence[Period], seconds: ToSeconds) -> None:
    """A band over the axes: the line is up where it is green, and down where it is dark and hatched."""
    low = 1.02 + place * _STRIP
    across = ax.get_xaxis_transform()
    height = _STRIP * 0.72
    ax.add_patch(
        Rectangle(
            (0, low),
            run.duration,
            height,
            transform=across,
            facecolor=DOWN,
            edgecolor="white",
            hatch="////",
            linewidth=0,
            clip_on=False,
        )
    )
    for period in periods:
        start = seconds(period.start)
        end = run.duration if period.end is None else seconds(period.end)
        ax.add_patch(
            Rectangle((start, low), end - start, height, transform=across, facecolor=UP, linewidth=0, clip_on=False)
        )
    ax.annotate(
        label, (0, low + height / 2), xycoords=("axes fraction", "axes fraction"), xytext=(-6, 0), va="center",
        textcoords="offset points", ha="right", fontsize=8, color=INK, annotation_clip=False,
    )  # fmt: skip


def _finish(ax: Axes, run: Run, words: str, lines: int, heading: str) -> None:
    quiet_frame(ax)
    ax.set_xlim(0, run.duration or 1.0)
    ax.set_ylim(bottom=0)
    ax.margins(y=0.12)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("events", fontsize=9, color=INK)
    ax.set_xlabel(f"seconds\n{words}", fontsize=9, color=INK)
    title(ax, heading)
    ax.set_title(ax.get_title("left"), loc="left", pad=8 + 16 * lines, fontsize=11, fontweight="bold", color=INK)
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.93), fontsize=8.5, frameon=False)
