"""Cores, the GIL and the costs of work in simulated time, against what is worked out by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from edri_sim import Manager, Node, Pool, Request, Simulation, Topology, Worker, event, handles, sleep
from edri_sim.errors import BadEvent, BadReply, DeadlineExceeded, DeclarationError, HostDown, SettingsError
from edri_sim.service import (
    Constant,
    Costs,
    Empirical,
    Exponential,
    LogNormal,
    Service,
    ServiceTable,
)
from tests.runtime.cast import Ask, Echo, PlainEcho, Told
from tests.runtime.faulty import Count, Wrong
from tests.worlds import pool_of

Given = Mapping[Any, Any]


def ends(
    manager: type[Manager], service: Given, *, requests: int = 4, cores: int = 1, costs: Costs | None = None
) -> list[float]:
    """When each of some requests that are made together is answered, in seconds; nothing else takes time."""
    topology = Topology("compute")
    topology.node("solo", manager, cores=cores, costs=costs)
    with Simulation(topology, service=service) as simulation:
        node = simulation.node("solo")

        async def ask(number: int) -> float:
            assert await node.request(Ask(str(number)), timeout=1_000) == str(number)
            return simulation.now

        async def main() -> list[float]:
            return list(await asyncio.gather(*[ask(number) for number in range(requests)]))

        found = simulation.run(main())
        assert found is not None
        return found


@pytest.mark.parametrize("worker", [Echo, PlainEcho])
@pytest.mark.parametrize(
    ("mode", "gil", "cores", "expected"),
    [
        ("process", 1.0, 1, [1, 2, 3, 4]),
        ("process", 1.0, 2, [1, 1, 2, 2]),
        ("process", 1.0, 4, [1, 1, 1, 1]),
        ("thread", 1.0, 4, [1, 2, 3, 4]),
        ("thread", 0.0, 4, [1, 1, 1, 1]),
        ("thread", 0.0, 2, [1, 1, 2, 2]),
        ("thread", 1.0, 1, [1, 2, 3, 4]),
        # As on a real loop: all four began in one turn, and nobody hears of a reply before that turn is over.
        ("method", 0.0, 4, [4, 4, 4, 4]),
    ],
)
def test_cores_and_the_gil_limit_the_work(
    mode: str, gil: float, cores: int, expected: list[float], worker: type[Worker]
) -> None:
    service = {Ask: Service(cpu=1, gil=gil)}
    assert ends(pool_of(worker, mode, size=4), service, cores=cores) == pytest.approx(expected)


def test_half_of_the_work_under_the_gil() -> None:
    """The halves with the GIL come one after the other, each half without follows at once on a core of its own."""
    service = {Ask: Service(cpu=1, gil=0.5)}
    assert ends(pool_of(Echo, "thread", size=4), service, cores=4) == pytest.approx([1, 1.5, 2, 2.5])


def test_waiting_holds_nothing(mode: str) -> None:
    assert ends(pool_of(Echo, mode, size=4), {Ask: Service(wait=1)}) == pytest.approx([1, 1, 1, 1])


def test_waiting_comes_after_the_cpu() -> None:
    service = {Ask: Service(cpu=1, wait=10)}
    for mode in ("method", "thread", "process"):
        assert ends(pool_of(Echo, mode, size=4), service) == pytest.approx([11, 12, 13, 14])


def test_the_work_comes_before_the_body() -> None:
    """Never 'busy until' after it: the reply would leave early."""
    began: list[float] = []

    class Noting(Worker):
        @handles
        async def ask(self, event: Ask) -> str:
            began.append(asyncio.get_running_loop().time())
            return event.text

    assert ends(pool_of(Noting, "thread", size=2), {Ask: 1.5}, requests=2) == pytest.approx([1.5, 3])
    assert began == pytest.approx([1.5, 3])


class Ticking(Manager):
    """Has a pool, and a ticker that says which ticks of the node's loop came in time."""

    pool = Pool(Echo)

    def __init__(self, ticks: list[float]) -> None:
        self.ticks = ticks

    async def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.tick())

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.ticks.append(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        self.task.cancel()


@pytest.mark.parametrize(("mode", "stalls"), [("method", True), ("thread", False), ("process", False)])
def test_cpu_in_a_method_stalls_its_node_and_no_other(mode: str, stalls: bool) -> None:
    here: list[float] = []
    there: list[float] = []

    def ticking(ticks: list[float]) -> Any:
        return lambda: type("T", (Ticking,), {"pool": Pool(Echo, mode=mode)})(ticks)

    topology = Topology("stall")
    topology.node("busy", ticking(here))
    topology.node("other", ticking(there))
    with Simulation(topology, service={Ask: 5.0}) as simulation:

        async def main() -> None:
            await asyncio.sleep(0.5)
            assert await simulation.node("busy").request(Ask("x"), timeout=100) == "x"
            assert simulation.now == pytest.approx(5.5)

        simulation.run(main())
        simulation.run(until=6.5)
    assert there == pytest.approx([1, 2, 3, 4, 5, 6])
    assert here == pytest.approx([5.5] if stalls else [1, 2, 3, 4, 5, 6])


def test_nothing_overlaps_in_a_method_not_even_other_managers() -> None:
    class Two(Manager):
        first = Pool(Echo, size=4)

        @handles
        async def told(self, event: Told) -> None:
            heard.append(asyncio.get_running_loop().time())

    heard: list[float] = []
    topology = Topology("overlap")
    topology.node("solo", Two, cores=8)
    with Simulation(topology, service={Ask: 2.0, Told: 1.0}) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = [asyncio.ensure_future(node.request(Ask("x"), timeout=100)) for _ in range(2)]
            await asyncio.sleep(0)
            await node.notify(Told(1))
            await asyncio.gather(*asked)

        simulation.run(main())
        simulation.run(until=10)
    assert heard == [pytest.approx(5)]


def test_the_most_specific_service_counts() -> None:
    class Special(Echo):
        pass

    cases: list[tuple[Given, float]] = [
        ({Special: 1.0}, 1),
        ({Echo: 2.0}, 2),
        ({Echo: 2.0, Special: 1.0}, 1),
        ({Special: 1.0, Ask: 3.0}, 3),
        ({Special: 1.0, Ask: 3.0, Special.ask: 4.0}, 4),
        ({Told: 9.0}, 0),
    ]
    for service, seconds in cases:
        assert ends(pool_of(Special, "process"), service, requests=1) == pytest.approx([seconds])


@event
class Base(Request[str]):
    pass


@event
class Derived(Base):
    pass


def test_a_service_for_a_base_class_counts_for_its_subclasses() -> None:
    table = ServiceTable.of({Base: 1.0})
    assert table.find(None, Derived, Echo) == Service(cpu=Constant(1.0))
    assert table.find(None, Ask, Echo) is None


def test_a_skipped_body_does_not_run_and_its_result_is_given(mode: str) -> None:
    class Untouched(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            raise AssertionError("the body must not run")

    service = {Ask: Service(cpu=1, body="skip", result=lambda event: event.text)}
    expected = [2, 2] if mode == "method" else [1, 2]
    assert ends(pool_of(Untouched, mode, size=2), service, requests=2) == pytest.approx(expected)


def test_a_result_that_raises_fails_the_request() -> None:
    def refuse(event: Ask) -> str:
        raise LookupError("nothing was recorded")

    with pytest.raises(Exception, match="nothing was recorded"):
        ends(pool_of(Echo), {Ask: Service(body="skip", result=refuse)}, requests=1)


def crash_while_working(mode: str, at: float) -> list[str]:
    ran: list[str] = []

    class Noting(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            ran.append(event.text)
            return event.text

    topology = Topology("crash")
    topology.node("solo", pool_of(Noting, mode))
    with Simulation(topology, service={Ask: 2.0}) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=100))
            await asyncio.sleep(at)
            node.host.crash()
            with pytest.raises(HostDown):
                await asked
            await asyncio.sleep(10)

        simulation.run(main())
    return ran


def test_a_crash_before_the_end_of_the_work_means_that_the_body_never_ran(mode: str) -> None:
    assert crash_while_working(mode, 1.9) == []


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_requester_that_gave_up_does_not_stop_a_plain_body_that_works(mode: str) -> None:
    ran: list[float] = []

    class Noting(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            ran.append(asyncio.get_running_loop().time())
            return event.text

    topology = Topology("gave-up")
    topology.node("solo", pool_of(Noting, mode))
    with Simulation(topology, service={Ask: 2.0}) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            with pytest.raises(DeadlineExceeded):
                await node.request(Ask("x"), timeout=1)
            await asyncio.sleep(5)

        simulation.run(main())
    assert ran == pytest.approx([2])


def test_a_loop_that_a_method_holds_sees_no_deadline_pass() -> None:
    """As on a real loop: the body has replied before the timer of the deadline gets its turn."""
    topology = Topology("held")
    topology.node("solo", pool_of(PlainEcho))
    with Simulation(topology, service={Ask: 2.0}) as simulation:
        assert simulation.run(simulation.node("solo").request(Ask("late"), timeout=1)) == "late"
        assert simulation.now == 2


def test_an_async_body_of_a_requester_that_gave_up_does_not_run(mode: str) -> None:
    ran: list[float] = []

    class Noting(Worker):
        @handles
        async def ask(self, event: Ask) -> str:
            ran.append(asyncio.get_running_loop().time())
            return event.text

    topology = Topology("gave-up")
    topology.node("solo", pool_of(Noting, mode))
    with Simulation(topology, service={Ask: Service(cpu=1, wait=2)}) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            with pytest.raises(DeadlineExceeded):
                await node.request(Ask("x"), timeout=2)
            assert await node.request(Ask("next"), timeout=100) == "next"

        simulation.run(main())
    assert len(ran) == 1


def test_the_costs_of_the_runtime() -> None:
    crew = pool_of(Echo, "process", size=1)
    # The spawn comes before the first event; bytes cost on the way in and on the way out.
    entry = Ask.__edri__  # type: ignore[attr-defined]
    bytes_in, bytes_out = len(entry.codec.encode(Ask("0"))), len(entry.reply_codec.encode("0"))
    assert ends(crew, {}, requests=1, costs=Costs(spawn=3)) == pytest.approx([3])
    assert ends(crew, {}, requests=1, costs=Costs(byte=0.5)) == pytest.approx([0.5 * (bytes_in + bytes_out)])
    assert ends(pool_of(Echo), {}, requests=3, costs=Costs(event=0.25))[-1] == pytest.approx(0.75, abs=0.26)


def test_what_cannot_travel_to_a_process_shows_in_the_simulation_too() -> None:
    async def main() -> None:
        async with Node("solo", pool_of(Wrong, "process"), pool_of(Echo, "process")) as node:
            with pytest.raises(BadReply, match=r"the reply cannot be sent: .*int"):
                await node.request(Count("text"))
            with pytest.raises(BadEvent, match=r"Ask\.text"):
                await node.request(Ask(5))  # type: ignore[arg-type]
            assert await node.request(Ask("fine")) == "fine"

    with Simulation() as simulation:
        simulation.run(main())


def test_a_blocking_body_sleeps_after_its_work() -> None:
    class Sleeper(Worker):
        @handles
        def ask(self, event: Ask) -> str:
            sleep(10)
            return event.text

    assert ends(pool_of(Sleeper, "thread", size=2), {Ask: 1.0}, requests=2) == pytest.approx([11, 12])


def test_the_draws_of_a_distribution_have_its_mean() -> None:
    with Simulation(seed=1) as simulation:
        stream = simulation.host("dice").random("service")
        for distribution in (Constant(2), Exponential(2), LogNormal(2, 0.5), Empirical([1, 2, 3])):
            draws = [distribution.draw(stream) for _ in range(20_000)]
            assert sum(draws) / len(draws) == pytest.approx(2, rel=0.03)
            assert distribution.mean == 2
            assert min(draws) >= 0


BAD: list[tuple[Any, str]] = [
    (lambda: Service(gil=1.5), r"Service\(gil=1\.5\): expected a share from 0 to 1"),
    (lambda: Service(gil="all"), r"Service\(gil='all'\): expected a share from 0 to 1"),  # type: ignore[arg-type]
    (lambda: Service(result="x"), r"Service\(result='x'\): a result takes a body's place: say body='skip'"),
    (lambda: Service(body="drop"), r"Service\(body='drop'\): expected one of run, skip"),
    (lambda: Service(cpu=-1), r"Service\(cpu=-1\): expected a number, 0 or more"),
    (lambda: Service(wait="long"), r"Service\(wait='long'\): expected seconds or a distribution"),
    (lambda: Exponential(0), r"Exponential\(mean=0\): expected a number above 0"),
    (lambda: LogNormal(1, float("inf")), r"LogNormal\(cv=inf\): expected a number above 0"),
    (lambda: Empirical([]), r"Empirical\(samples=\(\)\): expected at least one duration in seconds"),
    (lambda: Empirical([1, -1]), r"Empirical\(sample=-1\): expected a number, 0 or more"),
    (lambda: Constant(float("nan")), r"Constant\(value=nan\): expected a number, 0 or more"),
    (lambda: Costs(quantum=-1), r"Costs\(quantum=-1\): expected a number, 0 or more"),
    (lambda: Costs(spawn=-1), r"Costs\(spawn=-1\): expected a number, 0 or more"),
    (
        lambda: Simulation(service={"Ask": 1}),
        r"service for 'Ask': expected an event type, a handler or a worker class",
    ),
    (lambda: Simulation(service={Ask: "slow"}), r"service for <class '.*Ask'>.*expected seconds or a distribution"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_services_and_costs_are_told(make: Any, message: str) -> None:
    with pytest.raises((DeclarationError, SettingsError), match=message):
        make()
