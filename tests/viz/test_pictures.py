"""The pictures beside stored ones. `EDRI_BASELINE=1` stores them anew: look at each before you keep it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from benchmarks.crowd import crowd, crowd_topology
from edri_sim import Run
from edri_sim.errors import SettingsError
from edri_sim.viz import theme
from edri_sim.viz.accessor import Plots
from edri_sim.viz.network import draw_network
from tests.viz.towns import simulate, towns

BASELINE = Path(__file__).with_name("baseline")
TOLERANCE = 4
"""The root of the mean squared difference of two pictures, of 255: less than a line that is missing."""


def event_with_a_duplicate(run: Run) -> str:
    return next(each.event_id for each in run.traffic.crossings.values() if each.duplicates)


def a_whole_one(_: Run) -> Run:
    return simulate(towns(3), broken=False)


PICTURES: dict[str, Callable[[Run], Axes]] = {
    "topology-before": lambda _: draw_network(None, towns(5, switches=2)),
    "topology-3": lambda run: run.plot.topology(towns(3), t=0.6),
    "topology-3-dark": lambda run: run.plot.dark.topology(towns(3), t=1.3),
    "topology-30": lambda _: simulate(towns(30), rounds=30).plot.topology(towns(30), t=1.3),
    "topology-300": lambda _: crowd().plot.topology(crowd_topology(), t=12.0),
    "topology-300-dark": lambda _: crowd(rows=5_000).plot.dark.topology(crowd_topology(), t=1.0),
    "flows": lambda run: run.plot.flows(towns(3)),
    "flows-dark": lambda run: run.plot.dark.flows(towns(3)),
    "sequence-event": lambda run: run.plot.sequence(event_with_a_duplicate(run)),
    "sequence-window": lambda run: run.plot.sequence((0.35, 1.0)),
    "sequence-dark": lambda run: run.plot.dark.sequence((1.1, 1.7)),
    "timeline": lambda run: run.plot.timeline("town0", "town1"),
    "timeline-dark": lambda run: run.plot.dark.timeline("town0", "town1"),
    "latency": lambda run: run.plot.latency(),
    "latency-against": lambda run: run.plot.latency("towns.Question", against=a_whole_one(run)),
    "utilisation-dark": lambda run: run.plot.dark.utilisation(),
    "compare": lambda run: run.plot.compare(a_whole_one(run)),
    "compare-dark": lambda run: run.plot.dark.compare(a_whole_one(run)),
}


def stored(ax: Axes, path: Path) -> None:
    """Write the picture: in 80 dots an inch, and in the font that comes with matplotlib."""
    with rc_context({"font.sans-serif": ["DejaVu Sans"]}):
        theme.figure_of(ax).savefig(path, dpi=80, metadata={"Software": None})


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(run: Run, name: str, tmp_path: Path) -> None:
    expected = BASELINE / f"{name}.png"
    stored(PICTURES[name](run), tmp_path / expected.name)
    if os.environ.get("EDRI_BASELINE") == "1":
        BASELINE.mkdir(exist_ok=True)
        shutil.copy(tmp_path / expected.name, expected)
    assert compare_images(str(expected), str(tmp_path / expected.name), tol=TOLERANCE) is None


def test_another_picture_is_told_from_the_stored_one(run: Run, tmp_path: Path) -> None:
    stored(run.plot.topology(towns(3), t=1.0), tmp_path / "other.png")
    said = compare_images(str(BASELINE / "topology-3.png"), str(tmp_path / "other.png"), tol=TOLERANCE)
    assert said is not None
    assert "RMS Value" in said


# What is asked of all of them


@pytest.mark.parametrize("method", ["topology", "flows", "sequence", "timeline", "latency", "utilisation"])
def test_given_axes_are_drawn_into_and_returned(run: Run, method: str) -> None:
    mine = Figure().add_subplot()
    assert getattr(run.plot, method)(ax=mine) is mine
    assert mine.has_data() or mine.patches


def test_compare_draws_into_given_axes_too(run: Run) -> None:
    mine = Figure().add_subplot()
    assert run.plot.compare(run, ax=mine) is mine


@pytest.mark.parametrize("method", ["topology", "flows", "sequence", "timeline", "latency", "utilisation"])
def test_on_a_dark_page_no_dark_words_are_left(run: Run, method: str) -> None:
    ax = getattr(Plots(run, dark=True), method)()
    words = [text for text in ax.findobj(Text) if isinstance(text, Text) and text.get_text()]
    assert words
    assert {to_hex(text.get_color()) for text in words} & {"#000000", theme.INK, theme.FAINT} == set()
    assert to_hex(theme.figure_of(ax).get_facecolor()) == "#0d1117"


# The sequence


def test_an_event_is_found_by_its_short_name_and_drawn_with_its_family(run: Run) -> None:
    long = event_with_a_duplicate(run)
    node, _, number = long.split("/")
    assert run.plot.sequence(f"{node}/{number}").get_title("left") == f"The way of towns.Letter {node}/{number}"
    with pytest.raises(SettingsError, match=r"event 'nobody/1' is unknown: expected an id of run\.events\(\)"):
        run.plot.sequence("nobody/1")


def test_a_window_must_have_a_length_and_not_too_many_arrows(run: Run) -> None:
    with pytest.raises(SettingsError, match=r"sequence\(\(1, 1\)\): expected a window of seconds \(begin, end\)"):
        run.plot.sequence((1, 1))
    with pytest.raises(SettingsError, match=r"14,\d+ arrows in one picture are too many: expected an event, or a"):
        crowd().plot.sequence()


def test_the_sequence_marks_what_was_sent_again_and_what_came_twice(run: Run) -> None:
    legend = run.plot.sequence((0.3, 1.1)).get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["towns.Letter", "towns.Question", "sent", "duplicate, dropped", "reply", "handler at work"]


# The comparison


def test_the_comparison_has_a_line_for_each_type_and_run_with_its_figures(run: Run) -> None:
    ax = run.plot.compare(a_whole_one(run))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["towns.Letter", "towns.Question"]
    words = [text.get_text() for text in ax.texts]
    assert len(words) == 4
    p95 = 1000 * run.percentiles("towns.Question", (95,))[95]
    assert f"{len(run.latencies('towns.Question')):,} events, p95 {p95:.0f} ms" in words
