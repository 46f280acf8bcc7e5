"""What moves in a replay: read from a trace, whichever loop wrote it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from edri_sim import Node, Run, trace
from edri_sim.trace import Recorder
from edri_sim.viz.flows import OUTSIDE
from edri_sim.viz.replay.film import AGAIN, DUPLICATE, LOST, REPLY, SENT, Film, Flight
from edri_sim.viz.replay.motion import SHOWN, Geometry, Motion
from edri_sim.viz.replay.widget import Replay
from tests.viz.towns import Letter, Office, Question, Reader, simulate, towns


class Writer:
    """Writes the rows of crossings by hand, at whole seconds."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        for name in ("left", "right"):
            self.recorder.slots[f"{name}/router"] = 0
            self.write(0, trace.LINK_UP, name, "hub", number=0)

    def write(self, second: int, stage: int, node: str, other: str, *, number: int = 1) -> None:
        name = self.recorder.names.number
        origin, kind = (name("left/1"), name("Note")) if number else (0, name(other))
        place, there = name(f"{node}/connector"), name(other)
        self.recorder.open.extend((second * 10**9, stage, name(node), place, origin, number, kind, there))

    def flights(self) -> list[tuple[float, float, int]]:
        film = Film(Run(self.recorder, duration=100, simulated=True, seed=1))
        return [(flight.start, flight.end, flight.way) for flight in film.flights]


def sent(*seconds: int) -> Writer:
    writer = Writer()
    for place, second in enumerate(seconds):
        writer.write(second, trace.RESENT if place else trace.SENT, "left", "right")
    return writer


def test_an_event_that_arrives_is_on_its_way_from_sent_to_delivered() -> None:
    writer = sent(1)
    writer.write(2, trace.DELIVERED, "right", "left")
    assert writer.flights() == [(1, 2, SENT)]


def test_what_was_lost_is_told_from_what_was_sent_again() -> None:
    writer = sent(1, 5)
    writer.write(6, trace.DELIVERED, "right", "left")
    assert writer.flights() == [(1, 1, LOST), (5, 6, AGAIN)]


def test_a_duplicate_is_the_transmission_that_came_last() -> None:
    writer = sent(1, 5)
    writer.write(2, trace.DELIVERED, "right", "left")
    writer.write(6, trace.DUPLICATE, "right", "left")
    assert writer.flights() == [(1, 2, SENT), (5, 6, DUPLICATE)]


def test_what_a_cut_line_held_arrives_in_the_order_in_which_it_was_sent() -> None:
    writer = sent(1, 3, 7)
    writer.write(8, trace.DELIVERED, "right", "left")
    writer.write(8, trace.DUPLICATE, "right", "left")
    writer.write(8, trace.DUPLICATE, "right", "left")
    assert writer.flights() == [(1, 8, SENT), (3, 8, DUPLICATE), (7, 8, DUPLICATE)]


def test_a_run_has_all_its_transmissions_and_replies(replay: Replay, run: Run) -> None:
    ways = Counter(flight.way for flight in replay.film.flights)
    crossings = run.traffic.crossings.values()
    assert sum(ways[way] for way in (SENT, AGAIN, DUPLICATE, LOST)) == sum(len(each.sent) for each in crossings)
    assert ways[DUPLICATE] == sum(len(each.duplicates) for each in crossings) > 0
    abroad = [span for span in run.spans if span.type == "towns.Question" and span.outcome == "replied"]
    assert ways[REPLY] == len(abroad) > 0


def test_events_go_by_the_switch_and_replies_come_back(replay: Replay) -> None:
    film = replay.film
    hub, clerks = film.scene.numbers["hub"], film.scene.numbers["town2"]
    assert {flight.via for flight in film.flights} == {hub}
    assert {flight.source for flight in film.flights if flight.way == REPLY} == {clerks}


def test_of_two_switches_it_is_one_to_which_both_lines_stand() -> None:
    topology = towns(3, switches=2)
    run = simulate(topology, rounds=16)
    film = Film(run, topology)
    first, second = (film.scene.numbers[name] for name in topology.switches)
    vias = {flight.via for flight in film.flights if 0.6 < flight.start < 0.9 and flight.way == SENT}
    assert {flight.via for flight in film.flights} <= {first, second}
    assert vias  # The cut is not known to the ends until they miss each other's signs of life.


def test_what_waits_and_what_is_busy_adds_up_to_nothing_left(run: Run) -> None:
    film = Film(run)
    totals: Counter[tuple[int, int]] = Counter()
    for change in film.changes:
        totals[change.vertex, change.what] += change.by
    assert [totals[vertex, 1] for vertex in range(len(film.scene.vertices))] == [0, 0, 0, 0]
    owed, pending = (sum(getattr(account, name) for account in accounts(run)) for name in ("owed", "pending"))
    assert owed > pending == sum(totals[vertex, 0] for vertex in range(4))


def accounts(run: Run) -> list[object]:
    from edri_sim.traffic import account

    return [account(run.traffic.between(*pair)) for pair in run.traffic.pairs]


def test_without_a_topology_machines_and_links_are_those_that_the_trace_names(run: Run) -> None:
    scene, declared = Film(run).scene, Film(run, towns(3)).scene
    assert [vertex[:3] for vertex in scene.vertices] == [vertex[:3] for vertex in declared.vertices]
    ends = [{scene.vertices[link.a].name, scene.vertices[link.b].name} for link in scene.links]
    assert sorted(map(sorted, ends)) == [["hub", "town0"], ["hub", "town1"], ["hub", "town2"]]


def test_faults_are_of_their_link_or_of_their_machine(run: Run) -> None:
    cut, crash = Film(run).scene.troubles
    scene = Film(run).scene
    assert (cut.name, cut.period, cut.vertex) == ("outage town1-hub", (0.4, 0.9), None)
    assert [{scene.vertices[scene.links[link].a].name} for link in cut.links] == [{"town1"}]
    assert (crash.name, crash.links, crash.vertex) == ("crash town2", [], scene.numbers["town2"])
    assert [scene.broken(cut.links[0], time) for time in (0.3, 0.5, 1.0)] == [False, True, False]


def test_a_single_node_shows_its_components() -> None:
    async def main() -> Run:
        async with Node("alone", Reader, Office, trace="full") as node:
            await node.notify(Letter(1))
            await node.request(Question(2))
        return Run(node.trace.recorder, simulated=False)

    film = Film(asyncio.run(main()))
    assert not film.scene.machines
    assert list(film.scene.numbers) == [OUTSIDE, "alone/Reader", "alone/Office.clerks"]
    ways = [(film.scene.vertices[f.source].label, film.scene.vertices[f.target].label, f.way) for f in film.flights]
    assert sorted(ways) == [
        ("Office.clerks", "your program", REPLY),
        ("your program", "Office.clerks", SENT),
        ("your program", "Reader", SENT),
    ]
    assert min(flight.start for flight in film.flights) < 1  # Seconds since the run began, and not since the epoch.


def test_an_empty_run_has_an_empty_film() -> None:
    film = Film(Run(Recorder(), simulated=True))
    assert (film.flights, film.changes, film.scene.vertices) == ([], [], [])


# In motion


def test_an_event_is_seen_for_a_while_however_quick_it_was(replay: Replay) -> None:
    motion = Motion(replay.film, speed=1.0)
    flight = replay.film.flights[0]
    seen = [flight in dict(motion.at(flight.start + later)) for later in (-0.01, 0.0, SHOWN * 0.9, SHOWN * 1.1)]
    assert seen == [False, True, True, False]


def test_what_is_held_up_stands_at_its_source_and_is_seen_once(replay: Replay) -> None:
    film = replay.film
    held = next(flight for flight in film.flights if flight.way == SENT and flight.end - flight.start > 0.3)
    motion = Motion(film, speed=0.01)
    shown = dict(motion.at((held.start + held.end) / 2))
    assert shown[held] < 0.1
    assert [flight.way for flight in shown if flight.event == held.event] == [SENT]


def test_there_and_back_run_on_two_sides_of_the_link(replay: Replay) -> None:
    where = Geometry(replay.film.scene, 800)
    there = Flight(0, 0, None, 2, 0, 1, SENT)
    back = there._replace(source=2, target=0)
    (ax, ay), (bx, by) = where.point(there, 0.5), where.point(back, 0.5)
    assert (ax - bx) ** 2 + (ay - by) ** 2 == pytest.approx(10**2)
