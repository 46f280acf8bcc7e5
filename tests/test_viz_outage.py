"""Pictures of an outage: the timeline between two nodes, and the network at a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("networkx")

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from edri_sim import Manager, Node, Notification, Run, Simulation, Topology, event, handles, trace
from edri_sim.errors import SettingsError
from edri_sim.faults import Fault, Kill, OneWay, Outage
from edri_sim.trace import Recorder
from edri_sim.traffic import Period
from edri_sim.viz import network, theme, timeline
from edri_sim.viz.moment import Load, loads_at
from edri_sim.viz.network import draw_network
from edri_sim.viz.replay.scene import scene_of

OUTAGE = Outage("left", "hub", 0.2, 0.3)
COUNT, EVERY = 80, 0.01


@event(name="picture.Note")
class Note(Notification):
    number: int


class Reader(Manager):
    @handles
    async def note(self, event: Note) -> None:
        """It is enough that it came."""


def pair() -> Topology:
    topology = Topology("pair")
    topology.switch("hub")
    topology.node("left", switch="hub")
    topology.node("right", Reader, switch="hub")
    return topology


def simulate(faults: Sequence[Fault] = (OUTAGE,), *, seconds: float = 2.0) -> Run:
    """Left writes to right every 10 ms, 80 times."""

    async def main(simulation: Simulation) -> None:
        left = simulation.node("left")
        await left.subscribed(Note)
        for number in range(COUNT):
            await left.notify(Note(number))
            await asyncio.sleep(EVERY)
        await asyncio.sleep(seconds - COUNT * EVERY)

    with Simulation(pair(), seed=1, faults=faults) as simulation:
        simulation.run(main(simulation))
        return simulation.result()


@pytest.fixture(scope="module", autouse=True)
def fonts() -> None:
    """Have matplotlib open its font files, which it keeps open from then on, before a test is watched for leaks."""
    ax = theme.axes(None, 2, 2)
    theme.title(ax, "bold")
    theme.svg(theme.figure_of(ax))


@pytest.fixture(scope="module")
def run() -> Run:
    return simulate()


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def curve(ax: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def legend(ax: Axes) -> list[str]:
    shown = ax.get_legend()
    assert shown is not None
    return [text.get_text() for text in shown.get_texts()]


def strips(ax: Axes, colour: str) -> list[tuple[float, float]]:
    """From when to when each band over the axes has this colour."""
    return [
        (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in ax.patches
        if isinstance(patch, Rectangle) and patch.get_y() > 1 and to_hex(patch.get_facecolor()) == colour.lower()
    ]


# The timeline


def test_the_curves_count_what_was_accepted_and_what_arrived(run: Run) -> None:
    ax = run.plot.timeline("left", "right")
    for label in ("sent: accepted by the outbox", "delivered, or given up"):
        times, totals = curve(ax, label)
        assert (times[0], totals[0]) == (0, 0)
        assert (times[-1], totals[-1]) == (run.duration, COUNT)
        assert times == sorted(times)
        assert totals == sorted(totals)
    assert ax.get_title("left") == "What left sent to right"
    assert ax.get_xlabel().startswith(f"seconds\nowed {COUNT} = delivered {COUNT} + given up 0 + pending 0; held ")


def test_while_the_link_is_cut_one_curve_climbs_and_the_other_stands_still(run: Run) -> None:
    ax = run.plot.timeline("left", "right")
    until = OUTAGE.at + OUTAGE.duration
    grown = {}
    for label in ("sent: accepted by the outbox", "delivered, or given up"):
        times, totals = curve(ax, label)
        grown[label] = sum(OUTAGE.at + 0.01 < time < until for time in times[1:-1])
        assert totals[-1] == COUNT
    assert grown["sent: accepted by the outbox"] >= 25
    assert grown["delivered, or given up"] == 0


def test_marks_and_the_hatched_fault_are_named(run: Run) -> None:
    ax = run.plot.timeline("left", "right")
    crossings = run.traffic.between("left", "right")
    held = sum(each.held is not None for each in crossings)
    again = sum(len(each.resent) for each in crossings)
    assert held > 0
    assert again > 0
    assert f"held in the outbox ({held})" in legend(ax)
    assert f"sent again ({again})" in legend(ax)
    assert "outage left-hub" in words(ax)
    (hatched,) = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch() == "//"]
    assert (hatched.get_x(), hatched.get_width()) == pytest.approx((OUTAGE.at, OUTAGE.duration))


def test_without_an_outage_nothing_is_held_or_sent_again() -> None:
    ax = simulate([], seconds=1.0).plot.timeline("left", "right")
    assert legend(ax) == ["backlog", "sent: accepted by the outbox", "delivered, or given up"]
    assert not [patch for patch in ax.patches if patch.get_hatch() == "//"]


def test_a_band_for_each_line_shows_when_it_was_up() -> None:
    run = simulate([Kill("hub", 0.3, restart_after=0.4)])
    ax = run.plot.timeline("left", "right")
    assert [word for word in words(ax) if "\N{RIGHTWARDS ARROW}" in word] == ["right → hub", "left → hub"]
    assert strips(ax, timeline.DOWN) == [(0, run.duration)] * 2
    up = strips(ax, timeline.UP)
    assert len(up) == 4
    for before, after in (up[:2], up[2:]):
        assert before[1] == pytest.approx(0.3, abs=0.01)
        assert after[0] > 0.7
        assert after[1] == run.duration


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_the_senders_band_is_on_top_whichever_line_came_up_first(order: tuple[str, str]) -> None:
    recorder = Recorder()
    name = recorder.names.number
    for here in order:
        row = (0, trace.LINK_UP, name(here), name(f"{here}/connector"), 0, 0, name("hub"), 0)
        recorder.open.extend(row)
    recorder.open.extend(
        (1, trace.SENT, name("left"), name("left/connector"), name("left/1"), 1, name("Note"), name("right"))
    )
    ax = Run(recorder, simulated=True).plot.timeline("left", "right")
    heights = {text.get_text(): text.xy[1] for text in ax.texts if isinstance(text, Annotation)}
    assert heights["left → hub"] > heights["right → hub"] > 1


def test_a_fault_that_does_not_end_is_hatched_to_the_end() -> None:
    run = simulate([Outage("left", "hub", 0.2, 50)], seconds=1.0)
    ax = run.plot.timeline("left", "right")
    (hatched,) = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch() == "//"]
    assert hatched.get_x() + hatched.get_width() == pytest.approx(run.duration)


@pytest.mark.parametrize(
    ("source", "target", "heading"),
    [
        (None, None, "What passed between the nodes"),
        ("left", None, "What left sent to any node"),
        (None, "right", "What any node sent to right"),
    ],
)
def test_either_end_may_be_any(run: Run, source: str | None, target: str | None, heading: str) -> None:
    ax = run.plot.timeline(source, target)
    assert ax.get_title("left") == heading
    assert curve(ax, "delivered, or given up")[1][-1] == COUNT


def test_an_unknown_node_is_an_error_that_lists_those_that_took_part(run: Run) -> None:
    with pytest.raises(SettingsError, match=r"timeline\('hub'\): no such node took part: expected one of left, right"):
        run.plot.timeline("hub", "right")
    nothing = Run(Recorder(), simulated=True)
    with pytest.raises(SettingsError, match=r"no such node took part: nothing passed between nodes"):
        nothing.plot.timeline("left")


def test_a_run_without_traffic_can_be_drawn() -> None:
    ax = Run(Recorder(), simulated=True).plot.timeline()
    assert "owed 0 = delivered 0" in ax.get_xlabel()


def test_real_time_begins_with_the_first_row() -> None:
    recorder = Recorder()
    name = recorder.names.number
    ids = name("here"), name("left/connector"), name("left/1")
    for time, stage, component in ((7e9, trace.SENT, ids[1]), (8e9, trace.DELIVERED, name("right/connector"))):
        other = name("right" if stage == trace.SENT else "left")
        recorder.open.extend((int(time), stage, ids[0], component, ids[2], 1, name("Note"), other))
    times, totals = curve(Run(recorder, simulated=False).plot.timeline(), "delivered, or given up")
    assert (times, totals) == ([0, 1, 1], [0, 1, 1])


# The network


def broken(run: Run, node: str, at: float) -> bool:
    """Whether the line between a node and the switch was broken at a time."""
    scene = scene_of(run, pair())
    (link,) = [place for place, link in enumerate(scene.links) if scene.vertices[link.a].name == node]
    return scene.broken(link, at)


def test_a_link_that_is_cut_is_at_fault_though_its_ends_take_it_for_whole(run: Run) -> None:
    assert run.traffic.lines["left", "hub"] == [Period(run.traffic.lines["left", "hub"][0].start, None)]
    assert broken(run, "left", 0.4)
    assert not broken(run, "right", 0.4)
    loads = loads_at(run, 0.4)
    assert 15 <= loads["left"].crossed == loads["right"].crossed <= 20
    assert loads["left"].held >= 15
    assert loads["right"].waiting == 0  # They wait at left, and not at the node that they are for.
    assert str(loads["left"]) == f"{loads['left'].held} wait"


def test_before_and_after_the_outage_the_line_is_whole(run: Run) -> None:
    assert [broken(run, "left", at) for at in (0.0, 0.1, 1.0)] == [False] * 3
    assert scene_of(run, pair()).unknown(0, 0.0)  # It is still to be made.
    assert not broken(run, "left", run.duration)
    assert loads_at(run, run.duration)["left"] == Load(crossed=COUNT)
    assert loads_at(run, 0.0) == {}


def test_the_rate_is_that_of_late(run: Run) -> None:
    assert loads_at(run, 0.19)["left"].rate == pytest.approx(1 / EVERY, rel=0.1)
    assert loads_at(run, 0.45)["left"].rate == 0
    assert loads_at(run, run.duration)["left"].rate == 0


@pytest.mark.parametrize("fault", [OneWay("hub", "left", 0.2, 0.3), OUTAGE])
def test_a_fault_is_the_links_from_whichever_end_it_is_named(fault: Fault) -> None:
    run = simulate([fault])
    assert broken(run, "left", 0.4)
    assert not broken(run, "right", 0.4)


def test_a_line_is_down_while_its_switch_is() -> None:
    run = simulate([Kill("hub", 0.3, restart_after=0.4)])
    assert broken(run, "left", 0.5)
    ax = run.plot.topology(pair(), t=0.5)
    assert [word.partition("\n")[0] for word in words(ax) if "passed" in word] == ["down", "down"]
    assert "kill hub" in words(ax)
    assert not broken(run, "left", run.duration - 0.01)


def test_the_picture_names_machines_and_colours_lines(run: Run) -> None:
    ax = run.plot.topology(pair(), t=0.4)
    assert ax.get_title("left") == "pair at 0.4 s"
    passed = loads_at(run, 0.4)["left"].crossed
    for wanted in ("hub", "left", "right", f"outage\n{passed} passed", f"{passed} passed"):
        assert wanted in words(ax)
    drawn = {line.get_color(): line.get_linestyle() for line in ax.lines if line.get_marker() == "None"}
    assert drawn == {network.DOWN: "--", network.UP: "-"}
    assert run.plot.topology(pair()).get_title("left") == f"pair at {run.duration:g} s"


def test_what_is_on_its_way_is_a_dot_and_more_rows_make_a_wider_line(run: Run) -> None:
    before, cut = (run.plot.topology(pair(), t=t) for t in (0.19, 0.45))
    dots = [line for line in before.lines if line.get_marker() == "o"]
    assert dots
    widths = [max(line.get_linewidth() for line in ax.lines if line.get_marker() == "None") for ax in (before, cut)]
    assert widths[0] > widths[1]


def test_a_time_outside_the_run_is_refused(run: Run) -> None:
    for t in (-0.1, 99.0):
        with pytest.raises(SettingsError, match=rf"t={t}: expected seconds of the run, 0 to 2"):
            run.plot.topology(t=t)


def test_without_a_run_the_lines_are_grey_and_have_no_figures() -> None:
    ax = draw_network(None, pair())
    assert sorted(words(ax)) == ["hub", "left", "right"]
    assert {line.get_color() for line in ax.lines if line.get_marker() == "None"} == {theme.FAINT}
    assert ax.get_title("left") == "pair"


def test_the_picture_is_as_high_as_its_machines_need(run: Run) -> None:
    assert run.plot.topology(pair()).get_ylim() == (-0.4, 0.4)
    crowd = Topology("crowd")
    crowd.switch("hub")
    for number in range(8):
        crowd.node(f"n{number}", switch="hub")
    low, high = draw_network(None, crowd).get_ylim()
    assert low < -1 < 1 < high


def test_many_nodes_have_small_labels_and_no_figures_on_their_lines(run: Run) -> None:
    crowd = Topology("crowd")
    crowd.switch("hub")
    for number in range(50):
        crowd.node(f"n{number}", switch="hub")
    ax = draw_network(None, crowd, run)
    assert len(words(ax)) == 51
    assert not any("passed" in word for word in words(ax))


def test_a_topology_without_switches_has_its_nodes_in_a_ring() -> None:
    topology = Topology("alone")
    for name in ("a", "b"):
        topology.node(name)
    topology.link("a", "b")
    ax = draw_network(None, topology)
    assert words(ax) == ["a", "b"]


@pytest.mark.parametrize("picture", ["timeline", "topology"])
def test_given_axes_are_drawn_into_and_equal_runs_give_equal_bytes(run: Run, picture: str) -> None:
    arguments = [pair()] if picture == "topology" else []
    mine = Figure().add_subplot()
    assert getattr(run.plot, picture)(*arguments, ax=mine) is mine
    first, second = (theme.svg(theme.figure_of(getattr(one.plot, picture)(*arguments))) for one in (run, simulate()))
    assert first == second


def test_a_real_run_can_be_drawn() -> None:
    async def main() -> Run:
        async with Node("left", Reader, trace="full") as node:
            await node.notify(Note(1))
        return Run(node.trace.recorder, simulated=False)

    run = asyncio.run(main())
    assert run.plot.timeline().get_title("left") == "What passed between the nodes"
    assert run.plot.topology().get_title("left") == "Who sends what to whom"  # A single node has no network.
