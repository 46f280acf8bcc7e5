"""The pictures of the report, each as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from edri_sim.demo.figures import TIMED
from edri_sim.demo.outage import ALBUM, CAMERA, OutageShow
from edri_sim.run import Run
from edri_sim.topology import Topology
from edri_sim.viz import theme
from edri_sim.viz.accessor import Plots


def network(run: Run, topology: Topology) -> bytes:
    """Who sent what to whom."""
    return theme.svg(theme.figure_of(Plots(run).flows(topology)))


def latency(real: Run, simulated: Run) -> bytes:
    """A panel for each event type that was timed, real and simulated in each."""
    figure = theme.figure(12.5, 4.2)
    types = [type_ for type_ in TIMED if real.latencies(type_)]
    panels = [figure.add_subplot(1, len(types), place + 1) for place in range(len(types))]
    for ax, type_ in zip(panels, types, strict=True):
        Plots(real).latency(type_, against=simulated, ax=ax)
        ax.label_outer()
    _align(panels)
    return theme.svg(figure)


def _align(panels: Sequence[Axes]) -> None:
    """Give all panels one range, so that they can be compared with each other too."""
    limits = [ax.get_xlim() for ax in panels]
    for ax in panels:
        ax.set_xlim(min(left for left, _ in limits), max(right for _, right in limits))


def utilisation(real: Run, simulated: Run) -> bytes:
    """How busy each pool was."""
    figure = theme.figure(9, 2.9)
    Plots(real).utilisation(against=simulated, ax=figure.add_subplot())
    return theme.svg(figure)


def outage(show: OutageShow) -> list[bytes]:
    """What came of the outage in real time, and in simulated time, over the same seconds."""
    panels = [theme.figure(12.5, 4.3).add_subplot() for _ in (show.real, show.simulated)]
    for ax, side in zip(panels, (show.real, show.simulated), strict=True):
        Plots(side.run).timeline(CAMERA, ALBUM, ax=ax)
    _align(panels)
    return [theme.svg(theme.figure_of(ax)) for ax in panels]


def outage_network(show: OutageShow) -> bytes:
    """The machines shortly before the simulated link healed."""
    ax = theme.figure(12.5, 2.4).add_subplot()
    Plots(show.simulated.run).topology(show.topology, t=show.plan.cut + 0.9 * show.plan.duration, ax=ax)
    return theme.svg(theme.figure_of(ax))
