"""What every run keeps: each rule is broken once, on purpose, and the check sees it. And what users test with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from edri_sim import Node, Run, faults, load, trace
from edri_sim.invariants import RULES, InvariantBroken, check
from edri_sim.links import connector
from edri_sim.links.flow.holdings import Holdings
from edri_sim.links.flow.items import Limits
from edri_sim.links.flow.receive import ReceiveLane
from edri_sim.links.flow.send import SendLane
from edri_sim.links.frames import NOTIFY
from edri_sim.links.inlet import Inlet
from edri_sim.links.interest import InterestBook
from edri_sim.routing.mailbox import Mailbox
from edri_sim.scenario import Scenario
from edri_sim.service import Service
from edri_sim.simulation.scenarios import simulate
from edri_sim.testing import assert_delivered, assert_ended, run_all, simulated
from edri_sim.trace import Recorder
from tests.lab import shop

__all__ = ["simulated"]

Row = tuple[int, ...]
SERVICE = {shop.Order: Service(wait=0.02)}
take = Inlet.take


def street(**given: Any) -> Scenario:
    """Orders from the door, and sales that the door tells to the office; the shop lives through a kill."""
    orders = load.Poisson(shop.order, rate=20, node="door", timeout=20)
    sales = load.Poisson(shop.sold, rate=20, node="door")
    kill = faults.Kill("shop", at=2, restart_after=0.5)
    return Scenario(
        shop.street(),
        **{"duration": 5, "load": [orders, sales], "faults": [kill], "service": SERVICE, **given},
    )  # fmt: skip


@pytest.fixture(scope="module")
def good() -> Run:
    return simulate(street())


def altered(run: Run, change: Callable[[list[Row]], Iterable[Row]]) -> Run:
    """The same run with other rows."""
    recorder = Recorder()
    for name in run.recorder.names.list():
        recorder.names.number(name)
    recorder.slots = dict(run.recorder.slots)
    for row in change(list(run.recorder.rows())):
        recorder.open.extend(row)
    return Run(recorder, duration=run.duration, simulated=True, seed=run.seed)


def of(run: Run, stage: int, type_: str) -> Callable[[Row], bool]:
    kind = run.recorder.names.list().index(type_)
    return lambda row: row[1] == stage and row[6] == kind


def twice(match: Callable[[Row], bool]) -> Callable[[list[Row]], Iterable[Row]]:
    """The tenth row that matches comes twice."""

    def change(rows: list[Row]) -> Iterable[Row]:
        tenth = [row for row in rows if match(row)][9]
        return [each for row in rows for each in ([row, row] if row is tenth else [row])]

    return change


def without(match: Callable[[Row], bool]) -> Callable[[list[Row]], Iterable[Row]]:
    return lambda rows: [row for row in rows if not match(row)]


def swapped(match: Callable[[Row], bool]) -> Callable[[list[Row]], Iterable[Row]]:
    """The ninth and the tenth row that match have changed their places, but not their times."""

    def change(rows: list[Row]) -> Iterable[Row]:
        ninth, tenth = [place for place, row in enumerate(rows) if match(row)][8:10]
        a, b = rows[ninth], rows[tenth]
        rows[ninth], rows[tenth] = (a[0], *b[1:]), (b[0], *a[1:])
        return rows

    return change


def test_a_good_run_keeps_all_of_them(good: Run) -> None:
    assert sum(fault[0] == "kill shop" for fault in good.traffic.faults) == 1
    check(good)
    assert check(altered(good, lambda rows: rows)) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda run: twice(of(run, trace.DELIVERED, "lab.Sold")), "delivered once: lab.Sold door/.* delivered twice"),
        (lambda run: twice(of(run, trace.REPLIED, "lab.Order")), "requests end once: lab.Order door/.* ended twice"),
        (lambda run: without(of(run, trace.SENT, "lab.Sold")), "delivered was sent: .*had not been sent.*; and .*"),
        (lambda run: swapped(of(run, trace.DELIVERED, "lab.Sold")), "delivered in order: lab.Sold door/.* came to"),
        (lambda run: twice(of(run, trace.FINISHED, "lab.Order")), "work within slots: shop/Shop.sellers handles -1"),
        (
            lambda run: without(of(run, trace.FINISHED, "lab.Order")),
            "work within slots: shop/Shop.sellers handles 3 events at once, with 2 slots",
        ),
    ],
)  # fmt: skip
def test_each_rule_sees_what_breaks_it(good: Run, change: Callable[[Run], Any], words: str) -> None:
    broken = altered(good, change(good))
    with pytest.raises(InvariantBroken, match=words) as caught:
        check(broken)
    assert caught.value.run is broken


def test_a_load_with_more_ends_than_events(good: Run) -> None:
    run = altered(good, lambda rows: rows)
    run.tallies = good.tallies
    check(run)
    run.tallies[0].ended += 1
    try:
        with pytest.raises(InvariantBroken, match=r"loads are accounted for: Poisson load on door: .*more ends"):
            check(run)
    finally:
        run.tallies[0].ended -= 1


def test_a_duplicate_that_is_planted_in_a_router_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(inlet: Inlet, news: Any) -> None:
        take(inlet, news)
        if news.data.kind == NOTIFY and news.data.event % 20 == 0:
            take(inlet, news)

    monkeypatch.setattr(Inlet, "take", plant)
    with pytest.raises(InvariantBroken, match=r"seed 5: a run broke what every run keeps\ndelivered once: lab.Sold"):
        simulate(street(), seed=5)
    assert simulate(street(), seed=5, rules=None).types  # Who wants to look at it all the same, can.


def test_a_delay_that_is_planted_in_a_router_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(inlet: Inlet, news: Any) -> None:
        late = news.data.kind == NOTIFY and news.data.event % 20 == 0
        asyncio.get_running_loop().call_later(0.3 if late else 0.0, take, inlet, news)

    monkeypatch.setattr(Inlet, "take", plant)
    with pytest.raises(InvariantBroken, match=r"delivered in order: lab.Sold"):
        simulate(street())


def test_a_hole_that_is_planted_in_a_lane_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ReceiveLane.data

    def plant(lane: ReceiveLane, seq: int, *news: Any) -> list[Any]:
        found = data(lane, seq, *news)
        return [] if seq == 20 else found

    monkeypatch.setattr(ReceiveLane, "data", plant)
    words = r"lanes have no holes: lane 1 from door to office: places 21 to 21 came, and 20 was next"
    with pytest.raises(InvariantBroken, match=words):
        simulate(street(faults=[]))


def test_an_outbox_without_bounds_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "Limits", lambda: Limits(events=5))
    outage = street(faults=[faults.Outage("door", "hub", at=1, duration=3)])
    simulate(outage)
    monkeypatch.setattr(Holdings, "make_room", lambda *_: None)
    with pytest.raises(InvariantBroken, match=r"bounds hold: the outbox of door/connector for shop holds \d+"):
        simulate(outage)


SALES = [load.Poisson(shop.sold, rate=500, node="door")]


def heedless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are two events wide, and senders pass over that."""
    transmit = SendLane.transmit

    def plant(lane: SendLane, now: float) -> Any:
        told, lane.window = lane.window, 1_000_000
        found = transmit(lane, now)
        lane.window = told
        return found

    monkeypatch.setattr(connector, "Limits", lambda: Limits(window=2))
    monkeypatch.setattr(SendLane, "transmit", plant)


def test_a_sender_beyond_its_window_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    heedless(monkeypatch)
    with pytest.raises(InvariantBroken, match=r"bounds hold: lane 1 from door/connector to office is beyond its wind"):
        simulate(street(faults=[], load=SALES))


def test_a_receiver_that_holds_more_than_its_window_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    heedless(monkeypatch)
    monkeypatch.setattr(ReceiveLane, "_admits", lambda *_: True)
    monkeypatch.setattr(ReceiveLane, "unpark", lambda *_: None)
    monkeypatch.setattr(Inlet, "take", lambda inlet, news: (news.lane.park(1), take(inlet, news)))
    with pytest.raises(InvariantBroken, match=r"bounds hold: .*lane 1 from door to office/connector holds more"):
        simulate(street(faults=[], load=SALES))


def test_a_queue_without_a_bound_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Mailbox.offer

    def plant(mailbox: Mailbox, envelope: Any) -> bool:
        mailbox.limit += 1
        return offer(mailbox, envelope)

    flood = Scenario(
        shop.corner(), duration=5, service=SERVICE, load=[load.Poisson(shop.order, rate=100, node="corner")]
    )
    simulate(flood)
    monkeypatch.setattr(Mailbox, "offer", plant)
    with pytest.raises(
        InvariantBroken, match=r"bounds hold: corner/Corner.sellers has \d+ events queued, and room for"
    ):
        simulate(flood)


def test_events_to_those_who_do_not_want_them_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(book: Any, _: str) -> tuple[str, ...]:
        return tuple(book.others)

    monkeypatch.setattr(InterestBook, "subscribers", all_of_them)
    # Who sends what the shop takes knows it, so that more may go there by mistake.
    both = [load.Constant(make, rate=1, node="door") for make in (shop.order, shop.sold)]
    with pytest.raises(InvariantBroken, match=r"takers took: lab.Sold came to shop, which takes none"):
        simulate(street(load=both, faults=[]))


def test_a_flow_that_never_drains_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    settled = Node.settled

    async def never(node: Node) -> None:
        await (asyncio.Event().wait() if node.name == "door" else settled(node))

    monkeypatch.setattr(Node, "settled", never)
    with pytest.raises(InvariantBroken, match="flows drain: door still owes others something"):
        simulate(street())


def test_every_rule_is_named_and_described() -> None:
    assert all(rule.__doc__ for rule in RULES)


# Tests of one's own systems


def slow(run: Run) -> Iterable[str]:
    """Orders take less than 100 ms."""
    worst = max(run.latencies("lab.Order"))
    return [f"an order took {worst:.3f} s"] if worst > 0.1 else []


def test_rules_of_ones_own(simulated: Any) -> None:
    quick = street(faults=[], duration=2)
    assert simulated(quick, rules=[slow]).count("lab.Order", "replied") > 20
    with pytest.raises(InvariantBroken, match=r"seed 3: a run broke what every run keeps\nslow: an order took"):
        simulated(street(), seeds=range(3, 6), rules=[slow])
    with pytest.raises(AssertionError, match="expected one seed or more"):
        run_all(quick, seeds=[])


def test_assert_delivered(good: Run) -> None:
    sales = good.tallies[1].offered
    assert_delivered(good, "lab.Sold", source="door", target="office", count=sales)
    with pytest.raises(AssertionError, match=f"there were {sales} lab.Sold from anyone to office, and 3 were expected"):
        assert_delivered(good, "lab.Sold", target="office", count=3)
    with pytest.raises(AssertionError, match=r"there were no lab.Sold from anyone to shop"):
        assert_delivered(good, "lab.Sold", target="shop")
    lost = altered(good, without(of(good, trace.DELIVERED, "lab.Sold")))
    with pytest.raises(AssertionError, match=f"{sales} of {sales} lab.Sold from door to anyone were not del"):
        assert_delivered(lost, "lab.Sold", source="door")


def test_assert_ended(good: Run) -> None:
    assert_ended(good, "lab.Sold")
    with pytest.raises(AssertionError, match=r"events of lab.Order did not end well: door/.* failed:"):
        assert_ended(good, "lab.Order")


def test_the_fixture_is_a_plugin(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["edri_sim.testing"]')
    pytester.makepyfile(
        """
        from edri_sim import Scenario, Topology

        def test_nothing(simulated):
            topology = Topology("one")
            topology.node("one")
            assert simulated(Scenario(topology, duration=1)).duration == 1
        """
    )
    pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"
    ).assert_outcomes(passed=1)
