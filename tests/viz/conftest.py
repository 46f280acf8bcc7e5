"""What the tests of pictures share: a run to be pictured, and a browser where there is one."""

from __future__ import annotations

import pytest

pytest.importorskip("anywidget")
pytest.importorskip("matplotlib")

from edri_sim import Run
from edri_sim.viz import theme
from edri_sim.viz.replay.widget import Replay
from tests.viz.towns import simulate, towns


@pytest.fixture(scope="session", autouse=True)
def opened() -> None:
    """Have open what stays open from the first use on, before a test is watched for leaks: the fonts."""
    ax = theme.axes(None, 2, 2)
    theme.title(ax, "bold")
    theme.svg(theme.figure_of(ax))


@pytest.fixture(scope="session")
def run() -> Run:
    """Three towns of which one is cut off for a while, and one crashes."""
    return simulate(towns(3))


@pytest.fixture(scope="session")
def replay(run: Run) -> Replay:
    return run.plot.replay(towns(3))
