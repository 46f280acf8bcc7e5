"""Faults as data: their names, and each message about one that could not happen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import Manager, Pool, Request, Worker, event, faults, handles
from edri_sim.errors import DeclarationError
from edri_sim.faults import (
    AddedLatency,
    Bandwidth,
    ClockJump,
    ConnectionReset,
    Crash,
    DiskFull,
    Fault,
    Kill,
    OneWay,
    Outage,
    Pause,
    SlowConsumer,
    SlowDisk,
    WorkerCrash,
)
from edri_sim.topology import Topology


@event(name="faults.Resize")
class Resize(Request[int]):
    width: int


class Resizer(Worker):
    @handles
    def resize(self, event: Resize) -> int:
        return event.width


class Images(Manager):
    resizers = Pool(Resizer, mode="process", size=2)
    quick = Pool(Resizer, mode="thread")


@pytest.fixture
def topology() -> Topology:
    topology = Topology("photos")
    topology.switch("hub")
    topology.node("web", switch="hub")
    topology.node("images", Images, switch="hub")
    return topology


GOOD: list[tuple[Fault, str, float]] = [
    (Outage("images", "hub", at=5, duration=3), "outage images-hub", 8),
    (OneWay("hub", "images", at=5, duration=3), "one-way outage hub>images", 8),
    (AddedLatency("hub", "web", at=0, duration=1, latency=0.2), "added latency hub-web", 1),
    (Bandwidth("hub", "web", at=0, duration=1, rate=1e3), "bandwidth hub-web", 1),
    (ConnectionReset("hub", "web", at=4), "reset hub-web", 4),
    (Kill("hub", at=20, restart_after=2), "kill hub", 22),
    (Crash("web", at=20), "crash web", math.inf),
    (Pause("images", at=20, duration=2), "pause images", 22),
    (WorkerCrash("images", at=19, pool="Images.resizers", index=1), "worker crash images/Images.resizers[1]", 19),
    (SlowConsumer("images", at=20, duration=2, delay=0.1), "slow consumer images", 22),
    (SlowDisk("images", at=20, duration=2, delay=0.1), "slow disk images", 22),
    (DiskFull("images", at=20, duration=2), "disk full images", 22),
    (ClockJump("images", at=20, seconds=-3600), "clock jump images by -3600 s", 20),
]


@pytest.mark.parametrize(("fault", "name", "until"), GOOD)
def test_a_fault_has_a_name_and_an_end(fault: Fault, name: str, until: float) -> None:
    assert (str(fault), fault.until) == (name, until)


def test_good_faults_pass_in_any_order(topology: Topology) -> None:
    listed = [fault for fault, _, _ in GOOD]
    faults.check(listed, topology)
    faults.check(reversed(listed), topology)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outage("Web", "hub", 1, 1), r"host name 'Web': expected 1 to 64"),
        (lambda: Outage("web", "hub", -1, 1), r"Outage\('web', 'hub', at=-1\): expected a number, 0 or more"),
        (lambda: Outage("web", "hub", 1, 0), r"Outage\('web', 'hub', duration=0\): expected a number above 0"),
        (lambda: OneWay("web", "hub", 1, math.nan), r"OneWay\('web', 'hub', duration=nan\): expected a number above 0"),
        (lambda: AddedLatency("web", "hub", 1, 1, -0.1), r"AddedLatency\('web', 'hub', latency=-0.1\): expected a num"),
        (
            lambda: AddedLatency("web", "hub", 1, 1, 0, -1),
            r"AddedLatency\('web', 'hub', jitter=-1\): expected a number",
        ),
        (lambda: AddedLatency("web", "hub", 1, -1, 0), r"AddedLatency\('web', 'hub', duration=-1\): expected a number"),
        (lambda: Bandwidth("web", "hub", 1, 1, 0), r"Bandwidth\('web', 'hub', rate=0\): expected a number above 0"),
        (
            lambda: ConnectionReset("web", "hub", math.inf),
            r"ConnectionReset\('web', 'hub', at=inf\): expected a number",
        ),
        (lambda: Kill("hub", -1), r"Kill\('hub', at=-1\): expected a number, 0 or more"),
        (lambda: Crash("hub", 1, -1), r"Crash\('hub', restart_after=-1\): expected a number, 0 or more"),
        (lambda: Pause("hub", 1, 0), r"Pause\('hub', duration=0\): expected a number above 0"),
        (lambda: Pause("", 1, 1), r"host name '': expected 1 to 64"),
        (
            lambda: WorkerCrash("web", 1, "A.b", -1),
            r"WorkerCrash\('web', index=-1\): expected a whole number, 0 or more",
        ),
        (lambda: SlowConsumer("web", 1, 1, 0), r"SlowConsumer\('web', delay=0\): expected a number above 0"),
        (lambda: SlowDisk("web", 1, 0, 1), r"SlowDisk\('web', duration=0\): expected a number above 0"),
        (lambda: DiskFull("web", 1, -1), r"DiskFull\('web', duration=-1\): expected a number above 0"),
        (lambda: ClockJump("web", 1, math.nan), r"ClockJump\('web', seconds=nan\): expected a number"),
    ],
)
def test_bad_figures_are_refused(make: Callable[[], Fault], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        make()


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ([Kill("hob", 1)], r"kill hob: node or switch 'hob' is unknown: did you mean 'hub'\?"),
        ([Outage("web", "imags", 1, 1)], r"outage web-imags: node or switch 'imags' is unknown: did you mean 'images'"),
        ([Pause("zzz", 1, 1)], r"pause zzz: node or switch 'zzz' is unknown: expected one of web, images, hub"),
        (
            [Outage("web", "images", 1, 1)],
            r"outage web-images: topology 'photos' has no link between 'web' and 'images'; there are: web-hub, im",
        ),
        ([Kill("hub", 1), Crash("hub", 9)], r"crash hub at 9 s: 'hub' is down then, from 1 s for good"),
        ([Crash("hub", 5), Kill("hub", 1, 6)], r"crash hub at 5 s: 'hub' is down then, from 1 s until 7 s"),
        ([Crash("hub", 1, 2), Pause("hub", 2, 1)], r"pause hub at 2 s: 'hub' is down then, from 1 s until 3 s"),
        ([Pause("hub", 1, 2), Pause("hub", 2, 4)], r"pause hub at 2 s: 'hub' is paused then, from 1 s until 3 s"),
        ([Kill("hub", 1), Kill("hub", 1)], r"kill hub at 1 s: 'hub' is down then, from 1 s for good"),
        ([WorkerCrash("hub", 1, "Images.resizers")], r"node 'hub' is unknown: expected one of web, images"),
        (
            [WorkerCrash("images", 1, "Images.resizer")],
            r"pool 'Images.resizer' is unknown: did you mean 'Images.re",
        ),
        (
            [WorkerCrash("images", 1, "Images.resizers", 2)],
            r"the pool has 2 workers in mode 'process': expec",
        ),
        (
            [WorkerCrash("images", 1, "Images.quick")],
            r"the pool has 1 workers in mode 'thread': expected one of m",
        ),
        (
            [Kill("images", 1, 2), WorkerCrash("images", 2, "Images.resizers")],
            r"worker crash images/Images.resizers\[0\] at 2 s: 'images' is down then, from 1 s until 3 s",
        ),
        (["outage"], r"faults: expected faults such as Outage\(\.\.\.\), got 'outage'"),
    ],
)
def test_what_could_not_happen_is_refused(topology: Topology, listed: list[Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        faults.check(listed, topology)


def test_what_can_follow_on_a_machine(topology: Topology) -> None:
    faults.check([Kill("hub", 1, 2), Crash("hub", 3, 0), Pause("hub", 3, 9), Kill("hub", 5), Kill("web", 5)], topology)
