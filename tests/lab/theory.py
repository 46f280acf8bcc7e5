"""Queues of the textbooks, built from real managers and workers, and what came of many independent runs of them."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edri_sim import Manager, Notification, Pool, Simulation, Topology, Worker, event, handles, part, service
from edri_sim.run.intervals import Interval, t_quantile
from edri_sim.service import Distribution, Service
from tests.lab.innovations import SPANS, Draws, Figures, Innovation, arrival, service_time, way

ROOT = Path(__file__).parents[2]
RUNS = 80
"""Independent replications of each model."""
BUSY = 0.9
"""Times the load of the busiest station: those above it make what chance does to the whole."""
ENDLESS = 10_000_000
"""A queue that is never full."""


@dataclass(frozen=True)
class Station:
    """One queue: its servers, their service times (seconds, mean 1), and where its customers go next.

    ``servers`` are slots of a pool; ``on_cores``: cores of the machine. ``ways`` are probabilities of the other
    stations; with the rest a customer leaves. ``rate`` is that of the Poisson stream that comes from outside.
    """

    rate: float
    servers: int = 1
    service: Distribution = field(default_factory=lambda: service.Exponential(1.0))
    ways: tuple[float, ...] = ()
    on_cores: bool = False


@dataclass(frozen=True)
class Network:
    """Some stations, run for ``length`` seconds after a warm-up of ``warm_up``."""

    stations: tuple[Station, ...]
    length: float
    warm_up: float
    slower: float = 1.0
    """By what service takes longer than the theory is told."""


class Seen(NamedTuple):
    """What one run saw of one station, or of several together."""

    waiting: float
    """Arrivals a second times the mean wait of each."""
    number: float
    """The mean number of customers there, over time."""
    busy: float
    """The mean number of busy servers."""
    little: float
    """The number there by Little's law: arrivals a second times the mean time there."""


class Outcome(NamedTuple):
    """What one run saw of each station, and what chance brought into it."""

    stations: list[Seen]
    controls: list[float]


def together(stations: Sequence[Seen]) -> Seen:
    """What was seen of all stations: each is a sum."""
    return Seen(*(math.fsum(figures) for figures in zip(*stations, strict=True)))


class Meter:
    """Counts customers in one station, from the warm-up on."""

    def __init__(self, station: Station, since: float) -> None:
        self._servers = station.servers
        self._since = self._last = since
        self._now_there = 0
        self._area = self._busy = self._stays = 0.0
        self._came = self._left = 0

    def come(self, now: float) -> None:
        self._move(now, 1)
        self._came += now >= self._since

    def leave(self, now: float, came: float) -> None:
        self._move(now, -1)
        if came >= self._since:
            self._left += 1
            self._stays += now - came

    def _move(self, now: float, change: int) -> None:
        if now > self._last:
            span, self._last = now - self._last, now
            self._area += self._now_there * span
            self._busy += min(self._now_there, self._servers) * span
        self._now_there += change

    def seen(self, end: float) -> Seen:
        self._move(end, 0)
        length, stay = end - self._since, self._stays / self._left
        rate, busy = self._came / length, self._busy / length
        return Seen(rate * stay - busy, self._area / length, busy, rate * stay)


@event(name="theory.A")
class A(Notification):
    came: float


@event(name="theory.B")
class B(Notification):
    came: float


@event(name="theory.C")
class C(Notification):
    came: float


KINDS: tuple[type[Any], ...] = (A, B, C)


class Plan:
    """What the workers of one run share."""

    def __init__(self, network: Network, seed: int) -> None:
        self.stations = network.stations
        self.meters = [Meter(station, network.warm_up) for station in network.stations]
        self.random = random.Random(f"ways/{seed}")
        self.draws = Draws()

    def next(self, number: int) -> int | None:
        """Where a customer of a station goes."""
        draw, ways = self.random.random(), self.stations[number].ways
        shares = enumerate(accumulate(ways))
        other = next((other for other, below in shares if draw < below), len(self.stations))
        self.draws.add(_kind_of_way(self.stations, number, other), 0.0)
        return other if other < len(self.stations) else None


class Server(Worker):
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def serve(self, number: int, came: float) -> None:
        now = self.loop.time()
        self.plan.meters[number].leave(now, came)
        if self.plan.stations[number].ways and (other := self.plan.next(number)) is not None:
            self.plan.meters[other].come(now)
            await self.notify(KINDS[other](now))


class ServerA(Server):
    @handles
    async def on(self, event: A) -> None:
        await self.serve(0, event.came)


class ServerB(Server):
    @handles
    async def on(self, event: B) -> None:
        await self.serve(1, event.came)


class ServerC(Server):
    @handles
    async def on(self, event: C) -> None:
        await self.serve(2, event.came)


SERVERS = (ServerA, ServerB, ServerC)


class Source(Manager):
    """Customers from outside: a Poisson stream."""

    def __init__(self, plan: Plan, number: int, seed: int) -> None:
        self._plan = plan
        self._number = number
        self._random = random.Random(f"source/{seed}/{number}")

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._feed())

    async def stop(self) -> None:
        self._task.cancel()

    async def _feed(self) -> None:
        loop, meter = asyncio.get_running_loop(), self._plan.meters[self._number]
        rate, kind = self._plan.stations[self._number].rate, KINDS[self._number]
        while True:
            pause = self._random.expovariate(rate)
            self._plan.draws.add(self._number, pause - 1 / rate)
            await asyncio.sleep(pause)
            meter.come(loop.time())
            await self.notify(kind(loop.time()))


def run(network: Network, seed: int) -> Outcome:
    """What came of one run."""
    plan = Plan(network, seed)
    topology = Topology("queues")
    managers: list[Any] = []
    costs: dict[Any, Service] = {}
    for number, station in enumerate(network.stations):
        size = 1_000 if station.on_cores else station.servers
        pool = Pool(SERVERS[number], mode="thread", size=size, queue=ENDLESS, args=(plan,))
        managers.append(type(f"Station{number}", (Manager,), {"servers": pool}))
        longer = Longer(station.service, network.slower, plan.draws, len(network.stations) + number)
        costs[KINDS[number]] = Service(cpu=longer, gil=0) if station.on_cores else Service(wait=longer)
        if station.rate:
            managers.append(part(Source, plan, number, seed))
    topology.node("desk", *managers, cores=max(station.servers for station in network.stations))
    end = network.warm_up + network.length
    with Simulation(topology, seed=seed, service=costs, trace="off") as simulation:
        simulation.run(until=end)
    controls = plan.draws.controls(innovations(network.stations), *stretches(network.stations), end)
    return Outcome([meter.seen(end) for meter in plan.meters], controls)


@dataclass(frozen=True)
class Longer:
    """A distribution that tells what it has drawn, and makes of every draw so many times as long a service."""

    of: Distribution
    times: float
    draws: Draws
    kind: int

    @property
    def mean(self) -> float:
        return self.of.mean * self.times

    def draw(self, stream: Any) -> float:
        drawn = self.of.draw(stream)
        self.draws.add(self.kind, drawn - self.of.mean)
        return drawn * self.times


def innovations(stations: Sequence[Station]) -> list[Innovation]:
    """What each kind of draw does to the work of each station: arrivals, service times, and then each way."""
    visits, ways = _visits(stations)
    loads = np.array([rate / one.servers for rate, one in zip(rates(stations), stations, strict=True)])
    brings = np.vstack([visits, np.zeros(len(stations))])
    found = [arrival(one.rate, brings[number] / loads) for number, one in enumerate(stations)]
    found += [service_time(one.service, np.eye(len(stations))[number]) for number, one in enumerate(stations)]
    for shares in ways:
        left = np.append(shares, 1 - sum(shares))
        found += [way(left, brings, other) for other in range(len(left))]
    return found


def _kind_of_way(stations: Sequence[Station], number: int, other: int) -> int:
    """The place of a way in the :func:`innovations`; who leaves goes to a station more."""
    return (2 + number) * len(stations) + number + other


def stretches(stations: Sequence[Station]) -> tuple[list[int], list[int]]:
    """The busiest stations, and how many draws make up each of the :data:`SPANS` there."""
    each = rates(stations)
    loads = [rate / one.servers for rate, one in zip(each, stations, strict=True)]
    busiest = [number for number, load in enumerate(loads) if load > BUSY * max(loads)]
    draws = sum(one.rate + rate * (1 + bool(one.ways)) for rate, one in zip(each, stations, strict=True))
    per_customer = draws / each[busiest[0]]
    return busiest, [math.ceil(span / (1 - max(loads)) ** 2 * per_customer) for span in SPANS]


def replications(networks: Sequence[Network]) -> list[list[Outcome]]:
    """For each network, what came of its runs; on all cores, in fresh processes."""
    jobs = [(network, seed) for network in networks for seed in range(RUNS)]
    count = os.cpu_count() or 1
    command = [sys.executable, "-c", "from tests.lab import theory; theory.main()"]
    # Not a pool of multiprocessing's: it leaves a process of its own behind.
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(count)
    ]
    with ThreadPoolExecutor(count) as threads:
        told = [pickle.dumps(jobs[first::count]) for first in range(count)]
        answers = list(threads.map(lambda child, words: child.communicate(words)[0], children, told))
    found: list[Outcome] = [Outcome([], [])] * len(jobs)
    for first, answer in enumerate(answers):
        found[first::count] = pickle.loads(answer)
    return [found[first : first + RUNS] for first in range(0, len(jobs), RUNS)]


def estimate(runs: Sequence[Outcome], of: Callable[[Seen], float], level: float) -> Interval:
    """The confidence interval of a mean of all stations together, less what chance has done.

    The values are regressed on the control variates, whose true means are zero, and each of these takes a degree of
    freedom: Lavenberg and Welch (1981), equations 11 to 14.
    """
    controls = np.column_stack([np.ones(len(runs)), [one.controls for one in runs]])
    controls /= np.maximum(np.abs(controls).max(axis=0), 1e-12)
    values = np.array([of(together(one.stations)) for one in runs])
    # Some say the same, or nothing: of a constant service time, or where there is one way only.
    solve = np.linalg.pinv(controls, rcond=1e-9)
    found = solve @ values
    freedom = len(runs) - round(float(np.trace(solve @ controls)))
    residual = values - controls @ found
    error = math.sqrt(float(residual @ residual) / freedom * float(solve[0] @ solve[0]))
    return Interval(float(found[0]), t_quantile((1 + level) / 2, freedom) * error, len(runs), level)


# What the textbooks say: mean waits in a queue (seconds), with service times of mean 1


def mmc(load: float, servers: int) -> float:
    """Erlang's C: an M/M/c queue, with ``load`` the utilisation of each server."""
    offered = load * servers
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) / (1 - load)
    return last / (math.fsum(terms) + last) / (servers - offered)


def mg1(load: float, cv: float) -> float:
    """Pollaczek and Khinchine: an M/G/1 queue, ``cv`` being the coefficient of variation of its service times."""
    return load * (1 + cv * cv) / (2 * (1 - load))


def rates(stations: Sequence[Station]) -> list[float]:
    """Jackson's traffic equations: customers a second that come to each station, from outside and from others."""
    visits, _ = _visits(stations)
    return [float(rate) for rate in np.array([station.rate for station in stations]) @ visits]


def _visits(stations: Sequence[Station]) -> tuple[Figures, Figures]:
    """How often who comes to one station (row) is expected at each, and the probabilities of all ways."""
    ways = np.zeros((len(stations), len(stations)))
    for number, station in enumerate(stations):
        ways[number, : len(station.ways)] = station.ways
    return np.linalg.inv(np.eye(len(stations)) - ways).astype(np.float64), ways


def main() -> None:
    """One of the processes: jobs come on standard input, and what they saw goes to standard output."""
    jobs = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps([run(*job) for job in jobs]))
