"""Hosts that are paused, crashed, killed and restarted, and what users' own SimPy code shares with handlers."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any, ClassVar

import pytest
import simpy

from edri_sim import Manager, Node, Request, Simulation, Topology, Worker, event, handles, sleep
from edri_sim.errors import DeclarationError, HandlerError, HostDown, NodeStopped, SimulationError
from tests.runtime.cast import Ask, Ear, Echo, Told
from tests.worlds import pool_of, records


@event
class Life(Request[str]):
    """Answered with what tells one life of a node from another."""


class Counting(Manager):
    """Every instance has a number of its own."""

    made: ClassVar[list[Counting]] = []

    def __init__(self) -> None:
        self.made.append(self)
        self.number = len(self.made)
        self.calls = 0

    @handles
    async def life(self, event: Life) -> str:
        self.calls += 1
        await asyncio.sleep(0.1)
        return f"instance {self.number}, call {self.calls}"


@pytest.fixture(autouse=True)
def _no_instances() -> None:
    Counting.made.clear()


def simulation_of(*parts: Any, **options: Any) -> Simulation:
    topology = Topology("lives")
    topology.node("solo", *parts)
    return Simulation(topology, **options)


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_a_restart_makes_new_parts_with_a_higher_incarnation(end: str) -> None:
    with simulation_of(Counting) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            for life in (1, 2, 3):
                for call in (1, 2):
                    assert await node.request(Life()) == f"instance {life}, call {call}"
                getattr(node.host, end)()
                assert repr(node.host) == f"<SimulatedHost solo, life {life}, down>"
                await asyncio.sleep(1)
                node.host.restart()

        simulation.run(main())
        ids = [span.event_id for span in simulation.result().spans]
    incarnations = [int(text.split("/")[1], 16) for text in ids]
    assert incarnations == sorted(incarnations)
    assert len(set(incarnations)) == 3
    assert len(ids) == len(set(ids))


def test_calls_to_a_host_that_is_or_goes_down_say_so() -> None:
    with simulation_of(Counting) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = asyncio.ensure_future(node.request(Life()))
            await asyncio.sleep(0.05)
            node.host.crash()
            with pytest.raises(HostDown, match="host 'solo' went down before the call returned"):
                await asked
            for call in (lambda: node.request(Life()), lambda: node.notify(Told(1))):
                with pytest.raises(HostDown, match="host 'solo' is down"):
                    await call()
            for act in (node.host.crash, node.host.kill, node.host.pause, node.host.resume):
                with pytest.raises(HostDown, match="host 'solo' is down"):
                    act()
            node.host.restart()
            assert await node.request(Life()) == "instance 2, call 1"
            with pytest.raises(SimulationError, match="host 'solo' is up: crash or kill it before a restart"):
                node.host.restart()

        simulation.run(main())


def test_a_paused_host_goes_on_where_it_was() -> None:
    with simulation_of(Counting) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = asyncio.ensure_future(node.request(Life()))
            await asyncio.sleep(0.05)
            node.host.pause()
            await asyncio.sleep(10)
            assert not asked.done()
            node.host.resume()
            assert await asked == "instance 1, call 1"
            assert simulation.now == pytest.approx(10.05)

        simulation.run(main())


def test_a_request_from_a_paused_host_waits_for_it() -> None:
    with simulation_of(Counting) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            await asyncio.sleep(1)
            node.host.pause()
            asked = asyncio.ensure_future(node.request(Life()))
            await asyncio.sleep(5)
            node.host.resume()
            assert await asked == "instance 1, call 1"
            assert simulation.now == pytest.approx(6.1)

        simulation.run(main())


class Messy(Manager):
    """Has a finally block for everything, and writes down each that runs."""

    cleaned: ClassVar[list[str]] = []

    async def start(self) -> None:
        self.background = asyncio.get_running_loop().create_task(self.work())

    async def work(self) -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            self.cleaned.append("task")
            await self.notify(Told(99))

    @handles
    async def ask(self, event: Ask) -> str:
        try:
            await asyncio.sleep(1_000)
        finally:
            self.cleaned.append("async handler")
            await self.notify(Told(98))
        return ""

    @handles
    def told(self, event: Told) -> None:
        try:
            sleep(1_000)
        finally:
            self.cleaned.append("plain handler")
            self.blocking.notify(Told(97))

    async def stop(self) -> None:
        self.cleaned.append("stop")


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_finally_blocks_of_a_dead_host_run_at_the_close_alone_and_change_nothing(
    end: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    Messy.cleaned.clear()
    with simulation_of(Messy) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = asyncio.ensure_future(node.request(Ask("x"), timeout=5_000))
            await node.notify(Told(1))
            await asyncio.sleep(1)
            getattr(node.host, end)()
            with pytest.raises(HostDown):
                await asked
            await asyncio.sleep(5_000)

        simulation.run(main())
        assert Messy.cleaned == []
        before = simulation.result()
        digest, count = before.digest, len(simulation.recorder)
    assert sorted(Messy.cleaned)[:3] == ["async handler", "plain handler", "task"]
    after = simulation.result()
    assert (after.digest, len(list(simulation.recorder.rows()))) == (digest, count)
    assert {span.outcome for span in after.spans} == {"open"}
    assert capfd.readouterr().err == ""
    assert [str(warning.message) for warning in recwarn] == []


class Loud(Manager):
    """Says that it is cleaned up, in every way."""

    async def start(self) -> None:
        self.background = asyncio.get_running_loop().create_task(self.work())

    async def work(self) -> None:
        try:
            await asyncio.sleep(1_000)
        finally:
            self.say("task")

    @handles
    def told(self, event: Told) -> None:
        try:
            sleep(1_000)
        finally:
            self.say("plain handler")

    def say(self, who: str) -> None:
        print(f"stdout: {who}")
        print(f"stderr: {who}", file=sys.stderr)
        self.log.warning(who)
        logging.getLogger("the.users").critical(who)


def test_what_a_dead_host_logs_or_prints_to_stderr_at_the_close_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with records("") as kept:
        with simulation_of(Loud) as simulation:

            async def main() -> None:
                await simulation.node("solo").notify(Told(1))
                simulation.node("solo").host.crash()

            simulation.run(main())
            before = len(kept.list)
        assert len(kept.list) == before
        logging.getLogger("the.users").info("afterwards")
        assert len(kept.list) == before + 1
    out, err = capfd.readouterr()
    assert sorted(out.splitlines()) == ["stdout: plain handler", "stdout: task"], "the clean-up did run"
    assert err == ""


def test_a_dead_hosts_handlers_do_not_run_again_after_the_restart() -> None:
    Messy.cleaned.clear()
    with simulation_of(Messy) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            await node.notify(Told(1))
            node.host.crash()
            node.host.restart()
            await asyncio.sleep(900)
            assert Messy.cleaned == []
            await asyncio.sleep(200)
            assert Messy.cleaned == ["task"], "the second life alone goes on"

        simulation.run(main())


def test_a_users_simpy_resource_is_shared_by_handlers_and_simpy_processes() -> None:
    machine: dict[str, simpy.Resource] = {}
    log: list[tuple[float, str]] = []

    class Uses(Worker):
        @handles
        async def ask(self, event: Ask) -> str:
            with machine["it"].request() as turn:
                await simulation.wait(turn)
                log.append((simulation.now, event.text))
                await asyncio.sleep(2)
            return event.text

    def drill() -> Any:
        with machine["it"].request() as turn:
            yield turn
            log.append((simulation.now, "drill"))
            yield simulation.env.timeout(3)

    with simulation_of(pool_of(Uses, size=3)) as simulation:
        machine["it"] = simpy.Resource(simulation.env, capacity=1)
        node = simulation.node("solo")

        async def main() -> None:
            first = asyncio.ensure_future(node.request(Ask("a"), timeout=100))
            await asyncio.sleep(1)
            simulation.env.process(drill())
            await asyncio.sleep(0.5)
            await asyncio.gather(first, node.request(Ask("b"), timeout=100))

        simulation.run(main())
    assert log == [(0, "a"), (2, "drill"), (5, "b")]


def test_wait_gives_the_value_or_the_exception_of_a_simpy_event() -> None:
    with Simulation() as simulation:

        def fails() -> Any:
            yield simulation.env.timeout(2)
            raise LookupError("in SimPy")

        async def main() -> None:
            assert await simulation.wait(simulation.env.timeout(1, value="done")) == "done"
            with pytest.raises(LookupError, match="in SimPy"):
                await simulation.wait(simulation.env.process(fails()))
            assert simulation.now == 3

        simulation.run(main())


def test_run_until_can_be_called_again_and_again() -> None:
    ear = Ear()
    with simulation_of(lambda: ear) as simulation:
        node = simulation.node("solo")

        async def main() -> str:
            for number in range(6):
                await node.notify(Told(number))
                await asyncio.sleep(1)
            return "finished"

        assert simulation.run(main(), until=2.5) is None
        assert (simulation.now, ear.heard) == (2.5, [0, 1, 2])
        assert simulation.run(until=4.5) is None
        assert (simulation.now, ear.heard) == (4.5, [0, 1, 2, 3, 4])
        simulation.run()
        assert ear.heard == [0, 1, 2, 3, 4, 5]


def test_step_runs_one_thing_at_a_time_until_nothing_is_left() -> None:
    ear = Ear()
    with simulation_of(lambda: ear) as simulation:
        simulation.hosts["main"].loop.create_task(simulation.node("solo").notify(Told(1)))
        steps = 0
        while simulation.step():
            steps += 1
            assert steps < 1_000
    assert ear.heard == [1]
    assert steps > 3


def test_pace_takes_at_least_the_wall_time() -> None:
    with Simulation() as simulation:
        start = time.perf_counter()
        simulation.run(asyncio.sleep(1), pace=20)
        assert time.perf_counter() - start >= 0.049
        assert simulation.now == 1


def test_hosts_have_clocks_names_and_streams_of_their_own() -> None:
    def drawn(seed: int, host: str, name: str) -> float:
        with Simulation(seed=seed) as simulation:
            return simulation.host(host).random(name).random()

    assert drawn(1, "a", "x") == drawn(1, "a", "x")
    assert len({drawn(1, "a", "x"), drawn(2, "a", "x"), drawn(1, "b", "x"), drawn(1, "a", "y")}) == 4
    with Simulation() as simulation:
        host = simulation.host("clock")
        simulation.run(asyncio.sleep(90))
        assert host.now().isoformat() == "2026-01-01T00:01:30+00:00"
        assert host.secret() != host.secret()


def test_bad_use_is_told() -> None:
    with simulation_of(Ear) as simulation:
        with pytest.raises(DeclarationError, match="no node 'web': expected one of solo"):
            simulation.node("web")
        with pytest.raises(DeclarationError, match="two hosts are named 'solo'"):
            simulation.host("solo")
        with pytest.raises(DeclarationError, match="host name 'A B': expected 1 to 64"):
            simulation.host("A B")
        with pytest.raises(DeclarationError, match="expected a time with its time zone"):
            Simulation(epoch=simulation._epoch.replace(tzinfo=None))


def test_a_node_by_hand_on_a_host_of_ones_own() -> None:
    with Simulation() as simulation:
        host = simulation.host("mine", cores=2)
        node = Node("by-hand", pool_of(Echo))

        async def program() -> None:
            async with node:
                await asyncio.get_running_loop().create_future()

        host.boot(program)

        async def main() -> None:
            await asyncio.sleep(1)
            assert await host.call(lambda: node.request(Ask("x"))) == "x"
            with pytest.raises(HandlerError) as caught:
                await host.call(lambda: refuse())
            assert caught.value.type_name == "X"
            host.kill()
            with pytest.raises(HostDown):
                await host.call(lambda: node.request(Ask("x")))

        async def refuse() -> None:
            raise HandlerError("no", type_name="X", remote_traceback="")

        simulation.run(main())


def test_a_node_that_does_not_start_fails_the_run() -> None:
    class Refuses(Manager):
        async def start(self) -> None:
            raise LookupError("no disk")

    with simulation_of(Refuses) as simulation, pytest.raises(LookupError, match="no disk"):
        simulation.run(until=1)
    with simulation_of(Refuses) as simulation, pytest.raises(LookupError, match="no disk"):
        simulation.run(simulation.node("solo").request(Life()))


def test_a_stopped_node_refuses_in_simulated_time_too() -> None:
    with Simulation() as simulation:
        node = Node("solo", Ear)

        async def main() -> None:
            with pytest.raises(NodeStopped):
                await node.notify(Told(1))

        simulation.run(main())


def test_cancelling_a_call_cancels_it_on_the_host() -> None:
    with simulation_of(Counting) as simulation:
        node = simulation.node("solo")

        async def main() -> None:
            asked = asyncio.ensure_future(node.request(Life()))
            await asyncio.sleep(0.05)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            (span,) = simulation.result().spans
            assert span.outcome == "failed:cancelled"

        simulation.run(main())
