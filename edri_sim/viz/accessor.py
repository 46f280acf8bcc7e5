"""``run.plot``: the pictures of one run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edri_sim.errors import SettingsError
from edri_sim.viz import theme
from edri_sim.viz.graph import draw_flows
from edri_sim.viz.latency import draw_latency, types_with_latency
from edri_sim.viz.network import draw_network
from edri_sim.viz.timeline import draw_timeline
from edri_sim.viz.utilisation import draw_utilisation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edri_sim.run import Run
    from edri_sim.topology import Topology
    from edri_sim.viz.replay.widget import Replay


class Plots:
    """Pictures of a run, each as matplotlib axes.

    ``ax`` draws into axes of one's own; without it a new figure is made, which Jupyter shows and pyplot does not know.
    ``against`` draws a second run beside the first.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def topology(self, topology: Topology | None = None, *, ax: Axes | None = None) -> Axes:
        """Who sent which events to whom, and how many. ``topology`` adds the mode of each pool."""
        return draw_flows(ax, self._run, topology)

    def network(self, topology: Topology, *, at: float | None = None, ax: Axes | None = None) -> Axes:
        """The nodes and switches of a topology, and how their lines were ``at`` so many seconds (by default the end).

        A green line was up, a dashed orange one down or at fault; the figures are the events that its node had sent and
        got by then, and those that waited in its outbox. A node with several lines has the same figures at each.
        """
        return draw_network(ax, topology, self._run, at)

    def timeline(self, source: str | None = None, target: str | None = None, *, ax: Axes | None = None) -> Axes:
        """What passed from a node to another over time (None: any): accepted, delivered, the backlog between them.

        The bands above say when each node's line to a switch was up; marks below, what was held, sent again, or came
        twice. Faults are hatched.

        Raises:
            SettingsError: no such node took part.
        """
        known = list(dict.fromkeys(name for pair in self._run.traffic.pairs for name in pair))
        for name in (source, target):
            if name is not None and name not in known:
                others = f"expected one of {', '.join(known)}" if known else "nothing passed between nodes"
                raise SettingsError(f"timeline({name!r}): no such node took part: {others}")
        ax = theme.axes(ax, 8.5, 4.6)
        draw_timeline(ax, self._run, source, target)
        return ax

    def replay(self, topology: Topology | None = None) -> Replay:
        """The run, to be played in the browser: events on their way, step by step, there and back in time.

        ``topology`` adds the machines and links that the trace does not speak of. See
        :meth:`~edri_sim.viz.replay.widget.Replay.save_html` for a file that plays without a notebook.
        """
        replay: Replay = import_module("edri_sim.viz.replay.widget").Replay(self._run, topology)
        return replay

    def latency(self, type_: str | None = None, *, against: Run | None = None, ax: Axes | None = None) -> Axes:
        """The share of events, of one type or of each, that had ended by each latency; p50 and p95 are marked.

        Of all types, those that took no time at all are left out: a logarithmic axis has no place for them.

        Raises:
            SettingsError: no event of ``type_`` occurred.
        """
        runs = [self._run] if against is None else [self._run, against]
        types = [type_] if type_ is not None else types_with_latency(runs)
        known = self._run.types
        if type_ is not None and type_ not in known:
            raise SettingsError(f"latency({type_!r}): no such event occurred; expected one of {', '.join(known)}")
        ax = theme.axes(ax, 7, 4)
        draw_latency(ax, runs, types)
        return ax

    def utilisation(self, *, against: Run | None = None, ax: Axes | None = None) -> Axes:
        """The share of its slots that each pool kept busy."""
        ax = theme.axes(ax, 7, 2.6)
        draw_utilisation(ax, [self._run] if against is None else [self._run, against])
        return ax
