"""Faults of a simulation: when they begin and end, what they do to links and hosts, and what the trace says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import Manager, Notification, Simulation, Topology, event, handles
from edri_sim.errors import DeclarationError, HostDown, SimulationError, SimulationQuiet
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ConnectionReset,
    Crash,
    Fault,
    Kill,
    OneWay,
    Outage,
    Pause,
)
from edri_sim.trace import FAULT_BEGINS, FAULT_ENDS, STAGES
from tests.simulation.connections import echo

LATENCY = 0.01


def photos(**link: Any) -> Topology:
    topology = Topology("photos")
    topology.switch("hub")
    topology.node("web", switch="hub")
    topology.link("web", "hub", **{"latency": LATENCY, **link})
    return topology


def marks(simulation: Simulation) -> list[tuple[float, str, str]]:
    """What the trace says of faults: when, the stage, and the fault."""
    names = simulation.recorder.names.list()
    rows = [row for row in simulation.recorder.rows() if row[1] in (FAULT_BEGINS, FAULT_ENDS)]
    assert all((names[row[2]], names[row[3]]) == ("main", "faults") for row in rows)
    return [(row[0] / 1e9, STAGES[row[1]], names[row[6]]) for row in rows]


async def serve_echo() -> None:
    async with await asyncio.start_server(echo, port=25) as server:
        await server.serve_forever()


class Caller:
    """On web: asks the hub at fixed times, and notes when each answer came, or what went wrong."""

    def __init__(self, *times: float) -> None:
        self.times = times
        self.log: list[object] = []

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("hub", 25)
        try:
            for when in self.times:
                await asyncio.sleep(when - loop.time())
                writer.write(b"x")
                if not await reader.read(1):
                    self.log.append("end")
                    return
                self.log.append(round(loop.time(), 6))
        except OSError as error:
            self.log.append(type(error).__name__)
        finally:
            writer.close()


def answers(caller: Caller, *faults: Fault, topology: Topology | None = None) -> Simulation:
    """Run a caller on web and an echo on the hub, in each of the hub's lives, with faults."""
    with Simulation(topology or photos(), faults=faults) as simulation:
        simulation.switches["hub"].host.boot(serve_echo)
        simulation.run(simulation.hosts["web"].call(caller), until=2_000)
        simulation.run(until=2_000)
    return simulation


# Links ----------------------------------------------------------------------------------------------------------------

QUICK = 2 * LATENCY


def test_without_faults_answers_are_quick() -> None:
    caller = Caller(1, 2)
    assert marks(answers(caller)) == []
    assert caller.log == [1 + QUICK, 2 + QUICK]


@pytest.mark.parametrize(
    ("fault", "log"),
    [
        (Outage("hub", "web", at=1.5, duration=2), [1.02, 5 + QUICK, 6.02]),
        (OneWay("web", "hub", at=1.5, duration=2), [1.02, 5 + QUICK, 6.02]),
        (OneWay("hub", "web", at=1.5, duration=2), [1.02, 5.01 + LATENCY, 6.02]),
        (AddedLatency("web", "hub", at=1.5, duration=2, latency=0.5), [1.02, 3.02, 6.02]),
        (Bandwidth("web", "hub", at=1.5, duration=2, rate=2), [1.02, 3.02, 6.02]),
    ],
    ids=str,
)
def test_a_link_fault_begins_and_ends(fault: Fault, log: list[float]) -> None:
    # What is written at 2 s into a cut link is sent again at 2.2, 2.6, 3.4 and 5 s.
    caller = Caller(1, 2, 6)
    simulation = answers(caller, fault)
    assert caller.log == pytest.approx(log)
    assert marks(simulation) == [(1.5, "fault begins", str(fault)), (3.5, "fault ends", str(fault))]


def test_a_reset_ends_the_connections_that_cross_the_link_at_both_ends() -> None:
    topology = photos()
    topology.switch("spare")
    topology.node("other")
    topology.link("other", "spare")
    with Simulation(topology, faults=[ConnectionReset("web", "hub", at=2)]) as simulation:
        ended: list[str] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            except ConnectionResetError:
                ended.append("served")
            writer.close()

        async def call(host: str) -> None:
            for _ in range(2):  # a new connection can be made at once
                reader, writer = await asyncio.open_connection(host, 25)
                try:
                    async with asyncio.timeout(5):
                        await reader.read()
                except (ConnectionResetError, TimeoutError) as error:
                    ended.append(f"{host} {type(error).__name__} {simulation.now:.2f}")
                writer.close()

        async def listens() -> None:
            async with await asyncio.start_server(serve, port=25) as server:
                await server.serve_forever()

        for switch in simulation.switches.values():
            switch.host.boot(listens)
        simulation.hosts["other"].boot(lambda: call("spare"))
        simulation.hosts["web"].boot(lambda: call("hub"))
        simulation.run(until=20)
        assert sorted(ended) == [
            "hub ConnectionResetError 2.00", "hub TimeoutError 7.02", "served",
            "spare TimeoutError 10.00", "spare TimeoutError 5.00",
        ]  # fmt: skip
        assert marks(simulation) == [(2, "fault begins", "reset web-hub"), (2, "fault ends", "reset web-hub")]


def test_faults_of_one_link_overlap() -> None:
    caller = Caller(1, 2, 8)
    answers(caller, Outage("web", "hub", 1.5, 1), Outage("web", "hub", 2, 2.9), OneWay("hub", "web", 4, 2))
    # Comes through at 5 s, when only the way back is cut; the answer is sent again at 5.21, 5.61 and 6.41 s.
    assert caller.log == [1.02, 6.42, 8.02]


def test_a_link_is_cut_and_healed_by_hand() -> None:
    with Simulation(photos(), faults=[Outage("web", "hub", 5, 1)]) as simulation:
        link = simulation.network.links["hub", "web"]
        assert (link.name, link.up) == ("web-hub", True)
        simulation.cut("hub", "web")
        simulation.cut("hub", "web")
        assert not link.up
        simulation.run(until=3)
        simulation.heal("web", "hub")
        assert link.up
        simulation.run(until=5.5)
        simulation.heal("web", "hub")
        assert not link.up
        simulation.run(until=7)
        assert (link.up, repr(link)) == (True, "<Link web-hub up>")
        assert [(when, stage) for when, stage, _ in marks(simulation)] == [
            (0, "fault begins"), (3, "fault ends"), (5, "fault begins"), (6, "fault ends"),
        ]  # fmt: skip
        for act in (simulation.cut, simulation.heal):
            with pytest.raises(DeclarationError, match="no link between 'web' and 'main'; there are: web-hub"):
                act("web", "main")


# Hosts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "log"),
    [
        # The system of a killed program ends its connections; nobody tells of a crash until the host is back.
        (Kill("hub", at=1.5, restart_after=2), [1.02, "end"]),
        (Crash("hub", at=1.5, restart_after=2), [1.02, "ConnectionResetError"]),
        (Crash("hub", at=1.5), [1.02, "TimeoutError"]),
        (Pause("hub", at=1.5, duration=2), [1.02, 3.51, 6.02]),
    ],
    ids=str,
)
def test_a_host_fault_begins_and_ends(fault: Fault, log: list[object]) -> None:
    caller = Caller(1, 2, 6)
    simulation = answers(caller, fault)
    assert caller.log == log
    ends = [(3.5, "fault ends", str(fault))] if fault.until < 10 else []
    assert marks(simulation) == [(1.5, "fault begins", str(fault)), *ends]
    lives = 2 if isinstance(fault, Kill | Crash) and ends else 1
    assert repr(simulation.switches["hub"]).startswith(f"<SimulatedSwitch hub on <SimulatedHost hub, life {lives}, ")


def test_a_restarted_host_runs_its_program_anew() -> None:
    begun: list[float] = []
    with Simulation(
        photos(), faults=[Crash("hub", 3, 0), Kill("hub", 2, restart_after=1), Crash("hub", 9)]
    ) as simulation:

        async def program() -> None:
            begun.append(simulation.now)

        simulation.switches["hub"].host.boot(program)
        simulation.run(until=20)
        assert begun == [0, 3]  # the second life ended at the instant at which it began
        assert not simulation.hosts["hub"].up
        assert marks(simulation) == [
            (2, "fault begins", "kill hub"), (3, "fault ends", "kill hub"),
            (3, "fault begins", "crash hub"), (3, "fault ends", "crash hub"), (9, "fault begins", "crash hub"),
        ]  # fmt: skip


def test_the_end_of_a_pause_leaves_a_new_life_alone() -> None:
    listed = [Pause("hub", 1, 4), Kill("hub", 2, 1), Pause("hub", 4, 10)]
    with Simulation(photos(), faults=listed) as simulation:
        host = simulation.hosts["hub"]
        states = []
        for when in (1.5, 2.5, 3.5, 6, 15):
            simulation.run(until=when)
            states.append(host.loop.state)
        assert states == ["paused", "shut", "open", "paused", "open"]


def test_nodes_restart_with_their_parts() -> None:
    with Simulation(photos(), faults=[Crash("web", 1, restart_after=1)]) as simulation:

        async def main() -> None:
            await asyncio.sleep(1.5)
            with pytest.raises(HostDown):
                await simulation.node("web").host.call(lambda: asyncio.sleep(0))
            await asyncio.sleep(1)
            await simulation.node("web").host.call(lambda: asyncio.sleep(0))

        simulation.run(main())
        assert simulation.hosts["web"].lives == 2


def test_a_fault_that_meets_a_host_that_was_crashed_by_hand_fails_the_run() -> None:
    with Simulation(photos(), faults=[Kill("hub", 2)]) as simulation:
        simulation.hosts["hub"].crash()
        with pytest.raises(HostDown, match="host 'hub' is down"):
            simulation.run(until=3)


# The plan -------------------------------------------------------------------------------------------------------------


def test_a_fault_that_could_not_happen_is_refused_before_the_run() -> None:
    with pytest.raises(DeclarationError, match="crash hob: node or switch 'hob' is unknown: did you mean 'hub'"):
        Simulation(photos(), faults=[Crash("hob", 1)])
    with pytest.raises(DeclarationError, match="unknown: expected one of"):
        Simulation(photos(), faults=[Crash("main", 1)])


def test_a_fault_that_is_to_come_keeps_no_run_without_main_alive() -> None:
    with Simulation(photos(), faults=[Outage("web", "hub", 1_000, 1)]) as simulation:
        simulation.run()
        assert simulation.now < 1  # The nodes have joined the switch, and nothing else was to be done.
        assert marks(simulation) == []
        simulation.run(until=999)
        assert marks(simulation) == []
        simulation.run(until=2_000)
        assert [stage for _, stage, _ in marks(simulation)] == ["fault begins", "fault ends"]


def test_a_main_coroutine_may_wait_for_what_a_fault_brings() -> None:
    with Simulation(photos(), faults=[Kill("hub", 100, restart_after=100)]) as simulation:
        again = asyncio.Event()

        async def program() -> None:
            if simulation.hosts["hub"].lives == 2:
                again.set()

        simulation.switches["hub"].host.boot(program)
        simulation.run(again.wait())
        assert simulation.now == 200
        with pytest.raises(SimulationQuiet):
            simulation.run(asyncio.Event().wait())


def chaotic(links: Callable[[Topology], None], seed: int = 1, *, shuffle: bool = False) -> str:
    topology = Topology("photos")
    topology.switch("hub")
    for name in ("web", "images", "mail"):
        topology.node(name)
    links(topology)
    listed: list[Fault] = [
        Crash("mail", 2, 1), Pause("mail", 3, 1), Outage("web", "hub", 1, 2), Kill("hub", 3, 0),
        AddedLatency("hub", "images", 1, 3, 0.2, jitter=0.5), OneWay("hub", "mail", 3, 1),
        ConnectionReset("hub", "web", 4.5),
    ]  # fmt: skip
    with Simulation(topology, seed=seed, faults=listed, shuffle_ties=shuffle) as simulation:
        simulation.switches["hub"].host.boot(serve_echo)
        callers = [Caller(*(number / 10 for number in range(1, 60))) for _ in range(3)]
        for name, caller in zip(("web", "images", "mail"), callers, strict=True):
            simulation.hosts[name].loop.create_task(caller())
        simulation.run(until=100)
        return f"{simulation.result().digest} {[caller.log for caller in callers]}"


def forwards(topology: Topology) -> None:
    topology.link("web", "hub", jitter=0.02)
    topology.link("images", "hub", jitter=0.01, bandwidth=50)
    topology.link("mail", "hub", jitter=0.03)


def backwards(topology: Topology) -> None:
    topology.link("hub", "mail", jitter=0.03)
    topology.link("hub", "images", jitter=0.01, bandwidth=50)
    topology.link("hub", "web", jitter=0.02)


def test_a_seed_gives_one_run_whatever_the_order_in_which_links_were_declared() -> None:
    first = chaotic(forwards)
    assert first == chaotic(forwards) == chaotic(backwards)
    assert first != chaotic(forwards, seed=2)


def test_what_a_moment_brings_keeps_its_order_when_ties_are_shuffled() -> None:
    # At 3 s the hub is killed and restarted, and mail comes back and is paused: in any other order these fail the run.
    for seed in range(5):
        assert chaotic(forwards, seed, shuffle=True) == chaotic(backwards, seed, shuffle=True)


def test_a_restart_of_a_host_that_was_restarted_by_hand_says_so() -> None:
    with Simulation(photos(), faults=[Kill("hub", 1, 1)]) as simulation:
        simulation.run(until=1.5)
        simulation.hosts["hub"].restart()
        with pytest.raises(SimulationError, match="host 'hub' is up: crash or kill it before a restart"):
            simulation.run(until=3)


@event
class Tick(Notification):
    number: int


class Ticks(Manager):
    @handles
    async def tick(self, event: Tick) -> None: ...


def test_a_node_that_crashes_while_others_send_to_it_takes_the_rest_in_its_next_life() -> None:
    topology = Topology("mountain")
    topology.switch("hut")
    topology.node("summit", switch="hut")
    topology.node("valley", Ticks, switch="hut")

    async def send(simulation: Simulation) -> None:
        summit = simulation.node("summit")
        await summit.subscribed(Tick)
        for number in range(200):
            await summit.notify(Tick(number))
            await asyncio.sleep(0.1)

    with Simulation(topology, seed=7, faults=[Crash("valley", at=5, restart_after=3)]) as simulation:
        simulation.run(send(simulation))
        simulation.run(until=30)
        account = simulation.result().traffic.between("summit", "valley")
    assert len(account) == 200
    assert all(each.delivered is not None for each in account)
