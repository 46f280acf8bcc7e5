"""A world for flows alone: a clock, links that may be cut, and switches that may drop, duplicate and forget.

Nothing here is asyncio: a heap of what happens next, and one generator of random numbers for all of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.links.flow_router import Router

Frames = list[tuple[str, bytes]]
"""Frames, each after the router that it goes to."""


class World:
    """The time, what is due, what was broken (``schedule``), and which faults took effect (``effects``)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.tunnels = Random(f"tunnels/{seed}")
        self.now = 0.0
        self.schedule: list[str] = []
        self.effects: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._ticket = 0

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        self._ticket += 1
        heappush(self._heap, (when, self._ticket, act, args))

    def after(self, delay: float, act: Callable[..., None], *args: Any) -> None:
        self.at(self.now + delay, act, *args)

    def run(self, until: float = math.inf) -> None:
        """Let happen what is due, until that time or until nothing is."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, act, args = heappop(heap)
            act(*args)

    def run_while(self, goes_on: Callable[[], bool]) -> None:
        """Let happen what is due while that holds; something is always due."""
        heap = self._heap
        while goes_on():
            self.now, _, act, args = heappop(heap)
            act(*args)

    @property
    def busy(self) -> bool:
        return bool(self._heap)

    def note(self, fault: str, where: object) -> None:
        self.schedule.append(f"t={self.now:.3f} s: {fault} {where}")

    def effect(self, fault: str) -> None:
        self.effects[fault] += 1


class Switch:
    """Soft state: who is connected, and how long its queues are. It drops what finds a queue full."""

    def __init__(self, world: World, name: str) -> None:
        random = world.random
        self.name = name
        self.alive = True
        self.links: dict[str, Link] = {}
        self.drops = 0.0
        self.duplicates = 0.0
        self.burst: Counter[str] = Counter()
        self._world = world
        self._capacity = random.choice([16, 64, 256])
        self._service = random.uniform(20e-6, 200e-6)

    def present(self) -> dict[str, int]:
        return {name: link.life for name, link in self.links.items() if link.switch_up}

    def forward(self, frames: Frames, slot: int) -> None:
        """Pass frames on, router by router; ``slot`` is their place in the order of all that was sent."""
        batches: dict[str, list[bytes]] = {}
        for name, frame in frames:
            link = self.links[name]
            if not link.switch_up or not self._queue(link):
                continue
            if self.drops and self._world.random.random() < self.drops:
                self.burst["switch drops"] += 1
                continue
            batch = batches.setdefault(name, [])
            batch.append(frame)
            if self.duplicates and self._world.random.random() < self.duplicates:
                self.burst["duplicates"] += 1
                batch.append(frame)
        for name, batch in batches.items():
            self.links[name].down(batch, slot)

    def _queue(self, link: Link) -> bool:
        start = max(link.busy, self._world.now)
        if start - self._world.now > self._capacity * self._service:
            self._world.effects["frames lost to full queues"] += 1
            return False
        link.busy = start + self._service
        return True

    def tell(self, name: str, life: int, *, late: float = 0.0, silent: bool = False) -> None:
        """Tell the others that a router came, or went (0); ``silent``: not those that believe that it is there.

        What is on its way to them would have them believe otherwise: then they are told.
        """
        for other, link in self.links.items():
            believes = link.router.believes(name) and not link.telling
            if other != name and link.switch_up and not (silent and believes):
                link.presence(name, life, self._world.random.random() * late)

    def crash(self) -> None:
        self.alive = False
        for link in self.links.values():
            link.lose(self._world.random.choice([0.0, 0.0, 2.0]), 0.0)

    def restart(self) -> None:
        self.alive = True


class Link:
    """The connection of a router to a switch: in order both ways, until it dies, which each end notices in its time."""

    def __init__(self, world: World, router: Router, switch: Switch) -> None:
        self.router = router
        self.switch = switch
        self.router_up = self.switch_up = False
        self.life = 0
        """The life of the router that the switch believes to be connected."""
        self.busy = 0.0
        self.lost = 0
        """Frames that were sent into the void since the last fault."""
        self._world = world
        self.usual = self.latency = world.random.choice([0.0002, 0.002, 0.02])
        self._jitter = self.latency * world.random.random()
        self._epoch = 0
        self._dead = False
        self._cut_until = 0.0
        self._flying = 0
        self._last = [0.0, 0.0, 0.0]
        self._connecting = False

    def __repr__(self) -> str:
        return f"{self.router.name}-{self.switch.name}"

    # Frames

    def up(self, frames: Frames, slot: int) -> None:
        self._carry(0, len(frames), self._arrive_up, frames, slot)

    def down(self, batch: list[bytes], slot: int) -> None:
        self._carry(1, len(batch), self._arrive_down, batch, slot)

    def _carry(self, way: int, count: int, arrive: Callable[..., None], *args: Any) -> None:
        if self._dead:
            self.lost += count
            return
        self._flying += count
        start = max(self._world.now, self.busy) if way else self._world.now
        self._last[way] = max(self._last[way], start + self.latency + self._jitter * self._world.random.random())
        self._world.at(self._last[way], self._land, self._epoch, count, arrive, args)

    def _land(self, epoch: int, count: int, arrive: Callable[..., None], args: tuple[Any, ...]) -> None:
        if epoch == self._epoch:
            self._flying -= count
            arrive(*args)

    def _arrive_up(self, frames: Frames, slot: int) -> None:
        if self.switch.alive:
            self.switch.forward(frames, slot)

    def _arrive_down(self, batch: list[bytes], slot: int) -> None:
        if self.router.alive:
            self.router.receive(batch, slot)

    def presence(self, name: str, life: int, late: float) -> None:
        self._last[2] = max(self._last[2], self._world.now + self.latency + late)
        self._world.at(self._last[2], self._told, self._epoch, name, life)

    @property
    def telling(self) -> bool:
        """Whether word of who came or went is on its way to the router."""
        return self._last[2] > self._world.now

    def _told(self, epoch: int, name: str, life: int) -> None:
        if epoch == self._epoch and self.router.alive and self.router_up:
            self.router.told(self, name, life)

    # Life and death

    def lose(self, router_notices: float, switch_notices: float, *, cut: float = 0.0) -> None:
        """The connection dies: what is under way is lost, and each end notices after so many seconds."""
        self.lost = self._flying
        self._flying = 0
        self._epoch += 1
        self._dead = True
        self._last = [0.0, 0.0, 0.0]
        self._cut_until = max(self._cut_until, self._world.now + cut)
        self._world.after(router_notices, self._router_notices, self._epoch)
        self._world.after(switch_notices, self._switch_notices, self._epoch)

    def _router_notices(self, epoch: int) -> None:
        if epoch == self._epoch and self.router.alive:
            if self.router_up:
                self.router_up = False
                self.router.disconnected(self)
            self.reconnect()

    def _switch_notices(self, epoch: int) -> None:
        if epoch == self._epoch and self.switch_up:
            self.switch_up = False
            if self.switch.alive:
                self.switch.tell(self.router.name, 0)

    def heal(self) -> None:
        """Nothing keeps the link from being connected again."""
        self._cut_until = 0.0

    def reconnect(self) -> None:
        if not self._connecting:
            self._connecting = True
            self._world.after(self._world.random.uniform(0.0, 0.5), self._try)

    def _try(self) -> None:
        self._connecting = False
        if not self.router.alive or self.router_up:
            return
        if not self.switch.alive or self._world.now < self._cut_until:
            self.reconnect()
            return
        self._connect()

    def _connect(self) -> None:
        """Both ends know at once; the switch forgets an older connection of the router."""
        random = self._world.random
        self._epoch += 1
        self._dead = False
        self._flying = 0
        known, self.life = (self.life if self.switch_up else 0), self.router.incarnation
        self.router_up = self.switch_up = True
        self.busy = self._world.now
        if known != self.life:
            late, silent = random.choice([0.0, 0.1, 5.0]), known > 0 and random.random() < 0.8
            self.switch.tell(self.router.name, self.life, late=late, silent=silent)
        present = self.switch.present()
        del present[self.router.name]
        self.router.connected(self, present)
