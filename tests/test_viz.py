"""Pictures of a run: what they show, that they need no pyplot, and that they are the same every time."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from edri_sim import Manager, Node, Notification, Pool, Request, Run, Simulation, Topology, Worker, event, handles, part
from edri_sim.errors import MissingExtra, SettingsError
from edri_sim.service import Constant, Service
from edri_sim.settings import Settings

pytest.importorskip("matplotlib")
pytest.importorskip("networkx")

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.transforms import Bbox

from edri_sim.viz import theme
from edri_sim.viz.flows import OUTSIDE, Flow, flows, places, pool_modes
from edri_sim.viz.latency import tick

ROOT = Path(__file__).parents[1]


@event
class Brew(Request[str]):
    kind: str


@event
class Heat(Request[float]):
    litres: float


@event
class Grind(Request[int]):
    grams: int


@event
class Served(Notification):
    kind: str


class Kettle(Worker):
    @handles
    async def heat(self, event: Heat) -> float:
        return event.litres


class Mill(Worker):
    @handles
    async def grind(self, event: Grind) -> int:
        return event.grams


class Bar(Manager):
    kettles = Pool(Kettle, mode="process", size=2)
    mills = Pool(Mill, mode="thread")

    @handles
    async def brew(self, event: Brew) -> str:
        await self.request(Grind(20))
        await self.request(Heat(0.3))
        await self.notify(Served(event.kind))
        return event.kind


class Guests(Manager):
    def __init__(self, seats: int) -> None:
        self.seats = seats

    @handles
    async def served(self, event: Served) -> None:
        self.seats -= 1


def cafe() -> Topology:
    topology = Topology("cafe")
    topology.node("bar", Bar, part(Guests, 3), cores=2)
    return topology


def simulate(seed: int = 1, *, heat: float = 0.5) -> Run:
    """Six cups for three clients: the mill is quick, and the kettles take ``heat`` seconds."""
    services = {Heat: Service(cpu=Constant(heat)), Grind: Service(cpu=Constant(0.1))}

    async def client(simulation: Simulation) -> None:
        for _ in range(2):
            await simulation.node("bar").request(Brew("mocha"))

    async def main(simulation: Simulation) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(client(simulation))

    patient = Settings(request_timeout=100 * (1 + heat))
    with Simulation(cafe(), seed=seed, service=services, settings=patient) as simulation:
        simulation.run(main(simulation))
        return simulation.result()


@pytest.fixture(scope="module", autouse=True)
def fonts() -> None:
    """Have matplotlib open its font files, which it keeps open from then on, before a test is watched for leaks."""
    ax = theme.axes(None, 2, 2)
    theme.title(ax, "bold")
    theme.svg(theme.figure_of(ax))


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    return simulate()


def words(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


# The network graph


def test_flows_say_who_sent_what_to_whom(run: Run) -> None:
    assert flows(run) == {
        Flow(OUTSIDE, "bar/Bar", "Brew"): 6,
        Flow("bar/Bar", "bar/Bar.mills", "Grind"): 6,
        Flow("bar/Bar", "bar/Bar.kettles", "Heat"): 6,
        Flow("bar/Bar", "bar/Guests", "Served"): 6,
    }


def test_events_run_from_left_to_right_and_no_two_components_share_a_place(run: Run) -> None:
    at = places(flows(run))
    assert at[OUTSIDE][0] < at["bar/Bar"][0] < at["bar/Bar.mills"][0]
    assert len(dict.fromkeys(at.values())) == len(at) == 5


@event(name="viz.Order")
class Order(Request[str]):
    kind: str


class Desk(Manager):
    @handles
    async def order(self, event: Order) -> str:
        await self.notify(Served("water"))
        return await self.request(Brew(event.kind))


class Barista(Manager):
    @handles
    async def brew(self, event: Brew) -> str:
        await self.notify(Served(event.kind))
        return event.kind


@pytest.fixture(scope="module")
def abroad() -> Run:
    """A desk, a bar and a hall, each a node: an order at the desk is a cup at the bar, and the hall gets both."""
    topology = Topology("cafe")
    topology.switch("hub")
    topology.node("desk", Desk, switch="hub")
    topology.node("bar", Barista, switch="hub")
    topology.node("hall", part(Guests, 3), switch="hub")

    async def main(simulation: Simulation) -> None:
        for name in ("desk", "bar"):
            await simulation.node(name).subscribed(Served)
        await simulation.node("desk").request(Order("mocha"))

    with Simulation(topology, seed=1) as simulation:
        simulation.run(main(simulation))
        simulation.run(until=simulation.now + 1)
        return simulation.result()


def test_what_a_handler_of_another_nodes_event_publishes_comes_from_that_handler(abroad: Run) -> None:
    assert flows(abroad) == {
        Flow(OUTSIDE, "desk/Desk", "viz.Order"): 1,
        Flow("desk/Desk", "bar/Barista", "Brew"): 1,
        Flow("desk/Desk", "hall/Guests", "Served"): 1,
        Flow("bar/Barista", "hall/Guests", "Served"): 1,
    }


def test_an_arrow_passes_the_boxes_between_its_ends(abroad: Run) -> None:
    ax = abroad.plot.flows()
    boxes = [patch.get_bbox().padded(-0.02) for patch in ax.patches if patch.get_zorder() == 3]
    arrows = [patch.get_path().interpolated(50) for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    assert (len(boxes), len(arrows)) == (4, 4)
    for arrow in arrows:
        assert not any(box.contains(x, y) for box in boxes for x, y in arrow.vertices)


def test_a_cycle_is_laid_out_all_the_same() -> None:
    at = places({Flow(OUTSIDE, "a", "X"): 1, Flow("a", "b", "Y"): 1, Flow("b", "a", "Z"): 1, Flow("b", "b", "Z"): 1})
    assert [at[name][0] for name in (OUTSIDE, "a", "b")] == [0, 1, 2]


def test_the_topology_tells_the_modes_of_pools_behind_factories_too() -> None:
    topology = cafe()
    topology.node("annex", part(Bar))
    assert pool_modes(topology) == {
        "bar/Bar.kettles": "process",
        "bar/Bar.mills": "thread",
        "annex/Bar.kettles": "process",
        "annex/Bar.mills": "thread",
    }


def test_the_graph_names_components_sizes_modes_and_counts(run: Run) -> None:
    shown = words(run.plot.flows(cafe()))
    for wanted in ("your program", "node bar", "Bar", "Guests", "kettles", "mills", "6 × Brew", "6 × Served"):  # noqa: RUF001
        assert wanted in shown
    assert "pool of Bar: 2 processes" in shown
    assert "pool of Bar: 1 thread" in shown


def test_without_the_topology_the_graph_knows_slots_alone(run: Run) -> None:
    shown = words(run.plot.flows())
    assert "pool of Bar: 2 slots" in shown
    assert "pool of Bar: 1 slot" in shown


def shop(*nodes: str, switches: tuple[str, ...] = ("hub",)) -> Topology:
    topology = Topology("shop")
    for name in switches:
        topology.switch(name)
    for name in nodes:
        topology.node(name, part(Guests, 1), switch=switches)
    return topology


def rooms(ax: Axes) -> list[Bbox]:
    """The frames of the nodes, and the box of whoever is outside."""
    return [patch.get_bbox() for patch in ax.patches if patch.get_zorder() == 1] + [
        patch.get_bbox() for patch in ax.patches if to_hex(patch.get_facecolor()) == "#eceff1"
    ]


def overlapping(ax: Axes) -> list[tuple[Bbox, Bbox]]:
    return [pair for pair in itertools.combinations(rooms(ax), 2) if pair[0].overlaps(pair[1])]


def test_frames_of_nodes_do_not_overlap() -> None:
    ax = two_nodes_in_a_column()
    assert len(rooms(ax)) == 4
    assert overlapping(ax) == []


class HastyBar(Bar):
    @handles
    async def brew(self, event: Brew) -> str:
        await self.request(Grind(20))
        await self.notify(Served(event.kind))
        await asyncio.sleep(1)
        await self.request(Heat(0.3))
        return event.kind


def bar_and_hall() -> Run:
    """The guests sit in a node of their own, and between the other one's pools, by the order of first use."""
    topology = Topology("cafe")
    topology.switch("hub")
    topology.node("bar", HastyBar, switch="hub")
    topology.node("hall", part(Guests, 3), switch="hub")

    async def main(simulation: Simulation) -> None:
        await simulation.node("bar").subscribed(Served)
        await simulation.node("bar").request(Brew("mocha"))

    with Simulation(topology, seed=1) as simulation:
        simulation.run(main(simulation))
        simulation.run(until=2)
        return simulation.result()


def test_a_node_of_several_columns_has_no_other_within_its_frame() -> None:
    run = bar_and_hall()
    at = places(flows(run))
    assert at["bar/HastyBar"][0] < at["bar/HastyBar.mills"][0] == at["hall/Guests"][0]
    ax = run.plot.flows()
    assert len(rooms(ax)) == 3
    assert overlapping(ax) == []
    (low, high), (left, right) = ax.get_ylim(), ax.get_xlim()
    assert all(low < room.y0 < room.y1 < high and left < room.x0 < room.x1 < right for room in rooms(ax))


@pytest.mark.parametrize("seed", range(30))
def test_whoever_sends_what_to_whom_each_node_has_a_place_of_its_own(seed: int) -> None:
    chance = Random(seed)
    parts = [f"{node}/{manager}" for node in "abcd" for manager in "xyz"]
    counts = {Flow(chance.choice([OUTSIDE, *parts]), chance.choice(parts), "E"): 1 for _ in range(14)}
    at = places(counts)
    assert len(dict.fromkeys(at.values())) == len(at)
    boxes: dict[str, Bbox] = {}
    for node in dict.fromkeys(name.partition("/")[0] for name in at):
        ours = [point for name, point in at.items() if name.partition("/")[0] == node]
        boxes[node] = Bbox([[f(axis) for axis in zip(*ours, strict=True)] for f in (min, max)]).padded(0.45)
    assert [pair for pair in itertools.combinations(boxes.values(), 2) if pair[0].overlaps(pair[1])] == []


class Waiter(Manager):
    @handles
    async def brew(self, event: Brew) -> str:
        await self.notify(Served(event.kind))
        return event.kind


def two_nodes_in_a_column() -> Axes:
    topology = Topology("cafe")
    topology.switch("hub")
    topology.node("bar", Waiter, switch="hub")
    for name in ("left", "right"):
        topology.node(name, part(Guests, 3), switch="hub")

    async def main(simulation: Simulation) -> None:
        await simulation.node("bar").subscribed(Served, 2)
        await simulation.node("bar").request(Brew("mocha"))

    with Simulation(topology, seed=1) as simulation:
        simulation.run(main(simulation))
        simulation.run(until=2)
        return simulation.result().plot.flows(topology)


# The network


def test_two_nodes_and_a_switch_have_room(run: Run) -> None:
    low, high = run.plot.topology(shop("a", "b")).get_ylim()
    assert low <= -0.3
    assert high >= 0.3


@pytest.mark.parametrize("count", range(1, 9))
def test_no_link_to_a_switch_runs_through_another_switch(run: Run, count: int) -> None:
    nodes = [f"n{number}" for number in range(count)]
    ax = run.plot.topology(shop(*nodes, switches=("left", "right")))
    at = {text.get_text(): text.get_position() for text in ax.texts}
    (left_x, left_y), (right_x, right_y) = at["left"], at["right"]
    for name in nodes:
        x, y = at[name]
        cross = (left_x - x) * (right_y - y) - (left_y - y) * (right_x - x)
        assert abs(cross) > 0.05, name


# Latency


def test_the_curve_is_the_share_of_events_by_latency(run: Run) -> None:
    ax = run.plot.latency("Brew")
    curve = ax.lines[0]
    assert sorted(dict.fromkeys(curve.get_xdata())) == pytest.approx(
        sorted(dict.fromkeys(1000 * latency for latency in run.latencies("Brew")))
    )
    assert (curve.get_ydata()[0], curve.get_ydata()[-1]) == (0, 1)
    assert ax.get_title("left") == "Brew"
    assert ax.get_xlabel() == "milliseconds (logarithmic)"
    assert ax.get_ylabel() == "share of events that had ended"


def test_two_runs_are_told_apart_and_their_percentiles_are_written_out(run: Run) -> None:
    slower = simulate(seed=2, heat=1.0)
    ax = run.plot.latency("Brew", against=slower)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["simulated, seed 1", "simulated, seed 2"]
    for one in (run, slower):
        for level, value in one.percentiles("Brew", (50, 95)).items():
            assert any(word.startswith(f"p{level}  ") and f"{1000 * value:,.0f} ms" in word for word in words(ax))


def test_all_types_in_one_picture_have_a_colour_each(run: Run) -> None:
    ax = run.plot.latency()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Brew", "Grind", "Heat"]
    curves = ax.lines[::3]  # Each is followed by its two marks. Served took no time: it has no place on this axis.
    assert len(dict.fromkeys(curve.get_color() for curve in curves[:3])) == 3


def test_a_type_that_did_not_occur_is_an_error_that_lists_those_that_did(run: Run) -> None:
    with pytest.raises(SettingsError, match=r"latency\('Tea'\): no such event occurred; expected one of Brew, Grind"):
        run.plot.latency("Tea")


def test_long_latencies_are_written_out_with_commas_and_short_ones_without_exponents() -> None:
    ax = simulate(seed=2, heat=2_500.0).plot.latency("Brew")
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert "2,000,000" in ticks
    assert any(word.endswith("5,000,025 ms") for word in words(ax))
    assert [tick(value) for value in (0.0001, 0.000002, 0.5, 1, 100, 20_000)] == [
        "0.0001", "0.000002", "0.5", "1", "100", "20,000",
    ]  # fmt: skip


# Utilisation


def test_bars_are_the_shares_of_the_pools(run: Run) -> None:
    ax = run.plot.utilisation()
    busy = run.utilisation()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Bar.mills\n1 slots", "Bar.kettles\n2 slots"]
    assert [bar.get_width() for bar in ax.patches] == [busy["bar/Bar.mills"], busy["bar/Bar.kettles"]]
    assert words(ax) == [f"{share:.0%}" for share in (busy["bar/Bar.mills"], busy["bar/Bar.kettles"])]


def test_two_runs_have_a_bar_each(run: Run) -> None:
    ax = run.plot.utilisation(against=simulate(seed=2))
    assert len(ax.patches) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["simulated, seed 1", "simulated, seed 2"]


# Axes, figures, files


@pytest.mark.parametrize("picture", ["topology", "latency", "utilisation"])
def test_given_axes_are_drawn_into_and_returned(run: Run, picture: str) -> None:
    mine = Figure().add_subplot()
    assert getattr(run.plot, picture)(ax=mine) is mine
    assert mine.get_title("left")


def test_a_notebook_shows_the_axes_as_an_image(run: Run) -> None:
    shown = run.plot.latency("Brew")._repr_html_()  # type: ignore[attr-defined]
    assert shown.startswith('<img src="data:image/svg+xml;base64,')
    assert 'alt="Brew"' in shown


def test_axes_without_a_figure_are_refused() -> None:
    ax = theme.axes(None, 2, 2)
    ax.remove()
    with pytest.raises(ValueError, match="is in no figure any more"):
        theme.figure_of(ax)


def test_a_run_without_events_can_be_drawn() -> None:
    with Simulation(cafe()) as simulation:
        nothing = simulation.result()
    for draw in (nothing.plot.flows, nothing.plot.latency, nothing.plot.utilisation):
        assert isinstance(draw(), Axes)


def test_a_real_run_has_its_own_colour_and_name() -> None:
    async def main() -> Run:
        async with Node("bar", Bar2, part(Guests, 3), trace="full") as node:
            await node.request(Brew("mocha"))
        return Run(node.trace.recorder, simulated=False)

    run = asyncio.run(main())
    ax = run.plot.latency("Brew")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["real time"]
    assert ax.lines[0].get_color() == theme.REAL


class Bar2(Bar):
    kettles = Pool(Kettle)
    mills = Pool(Mill)


PICTURES = """
import hashlib, sys
from tests.test_viz import cafe, simulate
from edri_sim.viz import theme
run = simulate()
for ax in (run.plot.flows(cafe()), run.plot.latency(), run.plot.latency("Brew", against=simulate(seed=2)),
           run.plot.utilisation()):
    print(hashlib.sha256(theme.svg(theme.figure_of(ax))).hexdigest())
print("matplotlib.pyplot" in sys.modules)
"""


def in_a_fresh_process(hash_seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PICTURES], cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
    return done.stdout.split()


def test_pictures_are_the_same_bytes_in_fresh_processes_and_pyplot_is_not_needed() -> None:
    first, second = in_a_fresh_process("1"), in_a_fresh_process("2")
    assert first == second
    assert len(dict.fromkeys(first)) == 5  # The four pictures differ from each other.
    assert first[-1] == "False"


def test_without_matplotlib_the_error_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("edri_sim.viz")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"run\.plot needs the extra 'lab': pip install 'edri-sim\[lab\]'"):
        run.plot.latency()
