"""Flows alone, under faults: two to four routers, one or two switches, and everything that may go wrong between them.

A seed is a run: who there is, what is sent, what breaks. To see one again, with its schedule::

    .venv/bin/python -m tests.links.flow_model 123
"""

from __future__ import annotations

import sys

import msgspec

from edri_sim.links.flow.items import EVENTS, Limits, Payload
from edri_sim.links.flow.peer import Peer
from edri_sim.links.flow.send import Row
from edri_sim.links.frames import REQUEST
from tests.links.flow_faults import BROKEN, Faults
from tests.links.flow_ledger import Ledger, Violation
from tests.links.flow_router import NESTED, POISON, UNWANTED, WANTED, Router
from tests.links.flow_tunnels import check_tunnels
from tests.links.flow_world import Link, Switch, World

EVENTS_LEAST, FAULTS_LEAST = 500, 5
LONG = 300.0
"""A retention that no fault outlasts, in seconds: what is given up for its age was stuck."""
LONGEST = 900.0
"""Seconds within which every run has had its faults and its events."""
PATIENCE = LONG + 60.0
"""Seconds within which all has to be quiet once nothing is broken any more."""
FRAMES_PER_EVENT = 4.0
"""Frames of every kind for each event that was accepted or delivered, and each item: more would be a storm."""
TUNNELS = 0.1
"""How many bursts of events a tunnel is opened with."""


class Report(msgspec.Struct):
    """What a run was like."""

    seed: int
    events: int
    frames: int
    effects: dict[str, int]
    counts: dict[str, int]
    drained: float
    """Seconds from the end of the faults until all was quiet."""

    @property
    def faults(self) -> int:
        return sum(self.effects.get(fault, 0) for fault in BROKEN)


class Model:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed)
        self.ledger = Ledger(LONG)
        random = world.random
        limits = Limits(
            events=random.choice([60, 10_000]), flow_bytes=random.choice([4_000, 1 << 20]),
            node_bytes=random.choice([8_000, 1 << 20]), retention=random.choice([5.0, LONG, LONG, LONG, LONG, LONG]),
            window=random.choice([8, 32, 1024]),
        )  # fmt: skip
        self.routers = [
            Router(world, self.ledger, f"r{number}", limits, durable=random.random() < 0.5)
            for number in range(random.choice([2, 2, 3, 4]))
        ]
        self.switches = [Switch(world, f"s{number}") for number in range(random.choice([1, 2, 2]))]
        self.links = [Link(world, router, switch) for router in self.routers for switch in self.switches]
        for link in self.links:
            link.router.links.append(link)
            link.switch.links[link.router.name] = link
        # Who only ever receives says nothing of a new life of its own.
        self._senders = self.routers[: -1 if random.random() < 0.5 else None]
        self._pace = random.choice([0.1, 0.4])
        self._faults = random.randint(FAULTS_LEAST, 3 * FAULTS_LEAST)

    def broken(self) -> bool:
        """Whether as many faults took effect as this run is to have."""
        return sum(self.world.effects[fault] for fault in BROKEN) >= self._faults

    def enough(self) -> bool:
        """Whether the run has what every run must have."""
        return self.ledger.counts["delivered"] >= EVENTS_LEAST and self.broken()

    def run(self) -> Report:
        """Raises Violation, with the schedule of what was broken."""
        world = self.world
        try:
            for router in self.routers:
                router.start()
            world.after(0.2, self._traffic)
            world.after(0.5, Faults(self).step)
            world.run_while(self._goes_on)
            ended = self._heal()
            self._check()
        except Violation as violation:
            schedule = "\n  ".join(world.schedule)
            raise Violation(f"seed {world.seed}, t={world.now:.3f} s: {violation}\n  {schedule}") from violation
        effects = {fault: count for fault, count in world.effects.items() if count}
        counts = dict(self.ledger.counts)
        return Report(world.seed, counts["delivered"], self.ledger.frames, effects, counts, world.now - ended)

    def _goes_on(self) -> bool:
        if self.world.now > LONGEST:
            raise Violation(f"{self.ledger.counts['delivered']} events were delivered in all that time")
        return not self.enough()

    # Load

    def _traffic(self) -> None:
        if self.enough():
            return
        random = self.world.random
        router = random.choice(self._senders)
        if router.alive:
            others = [other for other in self.routers if other is not router]
            self._burst(router, others if random.random() < 0.2 else [random.choice(others)])
            if self.world.tunnels.random() < TUNNELS:
                router.tunnels.open(self.world.tunnels.choice(others))
            router.turn()
        self.world.after(random.expovariate(1 / self._pace), self._traffic)

    def _burst(self, router: Router, others: list[Router]) -> None:
        random = self.world.random
        crowded = self.ledger.counts["delivered"] >= EVENTS_LEAST
        size = 1 if crowded else random.choice([1, 1, 3, 10, 40, 40])
        style = random.choice([self._plain, self._plain, self._mixed, self._requests])
        for _ in range(size):
            payload = Payload(b"x" * random.choice([5, 5, 5, 400]))
            for other in others:
                style(router, other, payload)

    def _plain(self, router: Router, other: Router, payload: Payload) -> None:
        router.publish(other.name, payload)

    def _mixed(self, router: Router, other: Router, payload: Payload) -> None:
        random = self.world.random
        lot = random.random()
        if lot < 0.3:
            router.publish(other.name, payload, handled=True)
        elif lot < 0.6:
            router.publish(other.name, payload, latest=True)
        elif lot < 0.8:
            router.publish(other.name, payload, deadline=self.world.now + random.uniform(0.001, 2.0))
        else:
            router.publish(other.name, payload, POISON if lot < 0.9 else UNWANTED)

    def _requests(self, router: Router, other: Router, payload: Payload) -> None:
        # Those that ask back go one way only, or requests would wait for each other in a circle.
        row = router.publish(other.name, payload, NESTED if router.name < other.name else WANTED, kind=REQUEST)
        if row is not None and self.world.random.random() < 0.1:
            delay = self.world.random.uniform(0.0, 0.5)
            self.world.after(delay, self._cancel, router, router.incarnation, other.name, row, row.item.number)

    def _cancel(self, router: Router, life: int, other: str, row: Row, number: int) -> None:
        if router.alive and router.incarnation == life:
            router.cancel(other, row, number)

    # The end

    def _heal(self) -> float:
        """Nothing is broken any more: all comes to rest."""
        world = self.world
        for link in self.links:
            link.heal()
        started = world.now
        world.run(started + PATIENCE)
        if world.busy:
            raise Violation(f"not at rest {PATIENCE:g} s after the last fault: {self._unrest()}")
        return started

    def _unrest(self) -> str:
        peers = [(router, peer) for router in self.routers for peer in router.exchange.peers.values()]
        return "; ".join(
            f"{router.name}->{peer.name}: lane {lane} from {out.send.base} to {out.send.next}, {len(peer.kept)} kept"
            for router, peer in peers
            for lane, out in peer.sends.items()
            if out.send.rows or peer.kept
        )

    def _check(self) -> None:
        for router in self.routers:
            router.check()
            if router.exchange.bytes:
                raise Violation(f"{router.name} holds {router.exchange.bytes} bytes when all is quiet")
            for peer in router.exchange.peers.values():
                self._check_ends(router, peer)
        self.ledger.check_all(self.routers)
        check_tunnels(self.ledger, self.routers, LONG)
        counts = self.ledger.counts
        if self.ledger.frames > FRAMES_PER_EVENT * (counts["accepted"] + counts["delivered"] + counts["items"]):
            raise Violation(f"{self.ledger.frames} frames for {counts['accepted']} events")

    def _check_ends(self, router: Router, peer: Peer) -> None:
        """Both ends of a flow agree on every place of it."""
        out = peer.sends.get(EVENTS)
        other = next(each for each in self.routers if each.name == peer.name)
        if out is None or peer.incarnation != other.incarnation:
            return  # A new life that nothing was sent to since, and that nobody told of.
        filled, received = out.send.next - 1, self.ledger.received(other, router.name, out.outbox, out.generation)
        if out.send.rows or filled != received:
            raise Violation(f"{router.name}->{peer.name}: {filled} places were filled, {received} have arrived")


def main() -> None:
    for seed in map(int, sys.argv[1:]):
        model = Model(seed)
        report = model.run()
        print(f"seed {seed}: {report}")
        print("  " + "\n  ".join(model.world.schedule))


if __name__ == "__main__":
    main()
