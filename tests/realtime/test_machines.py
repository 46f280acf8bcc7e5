"""Scenarios in real time with a process for each machine: what can befall one, and that none is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Manager, Request, Topology, event, faults, handles, load
from edri_sim.errors import DeclarationError, EdriError
from edri_sim.node import part
from edri_sim.realtime.machine import LAST_ROWS
from edri_sim.realtime.scenarios import run_real
from edri_sim.scenario import Scenario
from edri_sim.settings import Settings
from tests.lab import shop
from tests.realtime.programs import PATIENCE, ROOT, descendants, environment, gone
from tests.realtime.test_scenarios import owed


@event(name="machines.Leave")
class Leave(Request[int]):
    pass


class Rude(Manager):
    """Ends its process when it is asked to."""

    @handles
    async def leave(self, event: Leave) -> int:
        os._exit(3)


class Broken(Manager):
    """Does not start."""

    async def start(self) -> None:
        raise ValueError("the shutter is stuck")


def street(*wanted: faults.Fault, duration: float = 1.5) -> Scenario:
    """60 orders and 60 sales."""
    orders = load.Constant(shop.order, rate=60 / duration, node="door", timeout=PATIENCE)
    sales = load.Constant(shop.sold, rate=60 / duration, node="shop")
    return Scenario(shop.street(), duration=duration, load=[orders, sales], faults=wanted, drain=PATIENCE)


def alone(*parts: Any, **given: Any) -> Scenario:
    topology = Topology("alone")
    topology.node("solo", *parts)
    return Scenario(topology, **{"duration": 0.2, **given})


async def test_a_killed_node_comes_back_and_goes_on_with_its_load() -> None:
    run = await run_real(street(faults.Kill("shop", at=0.5, restart_after=0.1), duration=6))
    orders, sales = run.tallies
    assert orders.offered == sales.offered == 60
    assert orders.open == sales.open == 0
    assert sales.missed > 0
    assert sales.ended + sales.missed == 60
    assert set(orders.failed) <= {"provider_lost", "no_route"}
    assert orders.ended + orders.failed.total() == 60
    (name, (begin, end)) = run.traffic.faults[0]
    assert name == "kill shop"
    assert end is not None
    assert [line.end is not None for line in run.traffic.lines["shop", "hub"]] == [False, True]
    lives = {span.event_id.rpartition("/")[0] for span in run.spans if span.type == "lab.Sold"}
    assert len(lives) == 2  # The rows of the life that was killed are there, and those of the next.
    assert (
        max(span.created for span in run.spans if span.event_id.startswith("shop/") and span.created < end)
        <= begin + 3e8
    )
    sold = [span for span in run.spans if span.type == "lab.Sold"]
    assert len(sold) == sales.ended


async def test_a_crash_is_silent_until_the_restart_and_a_pause_loses_nothing() -> None:
    crash = faults.Crash("hub", at=0.4, restart_after=0.4)
    pause = faults.Pause("shop", at=0.3, duration=0.6)
    run = await run_real(street(crash, pause), settings=Settings(route_grace=PATIENCE))
    assert [tally.ended for tally in run.tallies] == [60, 60]
    assert owed(run) == {("door", "shop"): (60, 60), ("shop", "office"): (60, 60)}
    periods = {name.split()[0]: period for name, period in run.traffic.faults}
    first = run.traffic.lines["door", "hub"][0]
    assert first.end is not None
    assert first.end >= periods["crash"].start + 0.4e9  # A killed switch is missed at once.
    begin, end = periods["pause"]
    assert end is not None
    shop_number = run.recorder.names.number("shop")
    times = [row[0] for row in run.recorder.rows() if row[2] == shop_number]
    # It has something to publish every 25 ms, and stood still once it had written its last rows.
    assert max(b - a for a, b in pairwise(times) if a < end and b > begin) > (0.6 - LAST_ROWS) * 1e9


async def test_a_node_that_stays_down_misses_the_rest_of_its_load() -> None:
    orders = load.Constant(shop.order, rate=40, node="solo")
    run = await run_real(alone(shop.Shop, load=[orders], duration=1, faults=[faults.Kill("solo", at=0.5)]))
    tally = run.tallies[0]
    assert tally.offered == 40
    assert tally.ended + tally.missed == 40
    assert 15 <= tally.ended <= 25
    assert run.traffic.faults[0][1].end is None


async def test_what_a_part_or_a_maker_raises_ends_the_run_as_it_is() -> None:
    with pytest.raises(ValueError, match="the shutter is stuck") as raised:
        await run_real(alone(Broken))
    assert raised.value.__notes__ == ["in the process of solo"]


async def test_a_process_that_ends_by_itself_ends_the_run() -> None:
    once = load.Burst(lambda _: Leave(), size=1, every=9, node="solo")
    with pytest.raises(EdriError, match="solo: its process ended with exit code 3"):
        await run_real(alone(Rude, load=[once]))


OWN = """
import asyncio
from edri_sim import Manager, Notification, Request, Scenario, Topology, event, handles, load, run_real

@event
class Ask(Request[int]):
    number: int

@event
class Told(Notification):
    number: int

class Desk(Manager):
    @handles
    async def ask(self, event: Ask) -> int:
        await self.notify(Told(event.number))
        return event.number

class Ear(Manager):
    @handles
    async def told(self, event: Told) -> None:
        pass

if __name__ == "__main__":
    topology = Topology("own")
    topology.switch("hub")
    topology.node("desk", Desk, switch="hub")
    topology.node("ear", Ear, switch="hub")
    asked = load.Burst(lambda number: Ask(number), size=5, every=9, node="desk", start=0.5)
    run = asyncio.run(run_real(Scenario(topology, duration=1, load=[asked])))
    print(run.tallies[0].ended, run.account("desk", "ear").delivered)
"""


def test_events_of_a_program_itself_are_known_to_its_machines(tmp_path: Path) -> None:
    program = tmp_path / "own.py"
    program.write_text(OWN, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("5 5\n", "")


async def test_what_cannot_be_sent_is_refused_before_anything_starts() -> None:
    held = threading.Lock()
    with pytest.raises(DeclarationError, match=re.escape("solo: what it needs of the scenario cannot be sent")):
        await run_real(alone(part(lambda: (held, shop.Shop())[1])))


async def test_a_run_that_is_cancelled_leaves_no_process() -> None:
    running: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def seen(_: float) -> None:
        if not running.done():
            running.set_result(None)

    task = asyncio.create_task(run_real(alone(shop.Press, duration=60), progress=seen))
    await running
    below = descendants(os.getpid())
    assert len(below) == 3  # the node, and two workers
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(below)


def test_a_run_that_is_killed_leaves_no_process_not_even_a_paused_one() -> None:
    program = subprocess.Popen([sys.executable, "-m", "tests.realtime.crowd"], cwd=ROOT)
    try:
        end = time.monotonic() + PATIENCE
        while not any(map(stopped, descendants(program.pid))):
            assert program.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        below = descendants(program.pid)
        assert len(below) == 5  # the switch, two nodes, and two workers
    finally:
        program.kill()
        program.wait()
    assert gone(below)


def stopped(pid: int) -> bool:
    """Whether a process is held by SIGSTOP."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"
    return False
