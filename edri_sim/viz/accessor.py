"""``run.plot``: the pictures of one run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edri_sim.errors import SettingsError
from edri_sim.viz import theme
from edri_sim.viz.comparison import draw_comparison
from edri_sim.viz.dark import darken
from edri_sim.viz.graph import draw_flows
from edri_sim.viz.latency import draw_latency, types_with_latency
from edri_sim.viz.network import draw_network
from edri_sim.viz.replay.scene import scene_of
from edri_sim.viz.sequence import draw_sequence
from edri_sim.viz.timeline import draw_timeline
from edri_sim.viz.utilisation import draw_utilisation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edri_sim.run import Run
    from edri_sim.topology import Topology
    from edri_sim.viz.replay.widget import Replay


class Plots:
    """Pictures of a run, each as matplotlib axes; ``run.plot.dark`` has the same for a dark page.

    ``ax`` draws into axes of one's own; without it a new figure is made, which Jupyter shows and pyplot does not know.
    ``against`` draws a second run beside the first. ``topology`` adds what the trace does not speak of: machines that
    never connected, links between switches, and the mode of each pool.
    """

    def __init__(self, run: Run, *, dark: bool = False) -> None:
        self._run = run
        self._dark = dark

    @property
    def dark(self) -> Plots:
        """The same pictures in colours for a dark page."""
        return Plots(self._run, dark=True)

    def topology(self, topology: Topology | None = None, *, t: float | None = None, ax: Axes | None = None) -> Axes:
        """The machines and the links between them as they were ``t`` seconds into the run, by default at its end.

        A box says how many handlers were at work and how many events waited; a link, how many events had passed, and
        how many a second of late: a node with several links has the same figures at each. A dashed orange link was
        down, or suffered the fault that is written on it. Dots are events on their way. A run of a single node has no
        network: it is drawn as by :meth:`flows`.

        Raises:
            SettingsError: ``t`` is not within the run.
        """
        if not scene_of(self._run, topology).machines:
            return self.flows(topology, ax=ax)
        return self._shown(draw_network(ax, topology, self._run, t))

    def flows(self, topology: Topology | None = None, *, ax: Axes | None = None) -> Axes:
        """Who sent which events to whom, and how many."""
        return self._shown(draw_flows(ax, self._run, topology))

    def sequence(
        self, what: str | tuple[float, float] | None = None, *, topology: Topology | None = None, ax: Axes | None = None
    ) -> Axes:
        """A line for each node, time to the right, and arrows for events on their way: Lamport's space-time diagram.

        ``what`` is an event's id, in full or as "node/number": it is drawn with what led to it and what came of it. Or
        it is a window in seconds of the run, (begin, end); by default all of it.

        Raises:
            SettingsError: there is no such event, the window is empty, or there are too many arrows for one picture.
        """
        return self._shown(draw_sequence(ax, self._run, what, topology))

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
        return self._shown(ax)

    def replay(self, topology: Topology | None = None) -> Replay:
        """The run, to be played in the browser: events on their way, step by step, there and back in time.

        See :meth:`~edri_sim.viz.replay.widget.Replay.save_html` for a file that plays without a notebook.
        """
        replay: Replay = import_module("edri_sim.viz.replay.widget").Replay(self._run, topology)
        return replay

    def latency(self, type_: str | None = None, *, against: Run | None = None, ax: Axes | None = None) -> Axes:
        """The share of events, of one type or of each, that had ended by each latency; p50 and p95 are marked.

        Of all types, those that took no time at all are left out: a logarithmic axis has no place for them.

        Raises:
            SettingsError: no event of ``type_`` occurred.
        """
        runs = self._beside(against)
        types = [type_] if type_ is not None else types_with_latency(runs)
        known = self._run.types
        if type_ is not None and type_ not in known:
            raise SettingsError(f"latency({type_!r}): no such event occurred; expected one of {', '.join(known)}")
        ax = theme.axes(ax, 7, 4)
        draw_latency(ax, runs, types)
        return self._shown(ax)

    def utilisation(self, *, against: Run | None = None, ax: Axes | None = None) -> Axes:
        """The share of its slots that each pool kept busy."""
        ax = theme.axes(ax, 7, 2.6)
        draw_utilisation(ax, self._beside(against))
        return self._shown(ax)

    def compare(self, other: Run, *, ax: Axes | None = None) -> Axes:
        """The latencies of this run and another, type by type: p50, p95 and p99."""
        return self._shown(draw_comparison(ax, (self._run, other)))

    def _beside(self, other: Run | None) -> list[Run]:
        return [self._run] if other is None else [self._run, other]

    def _shown(self, ax: Axes) -> Axes:
        return darken(ax) if self._dark else ax
