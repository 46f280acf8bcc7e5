"""A router's line in the model: what a connector does, with the exchange, the links, the disk and the time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import Flow, Limits, Put
from edri_sim.links.frames import HEADER, BadFrame, RawFrame
from tests.links.flow_ledger import Ledger, Violation
from tests.links.flow_store import Store
from tests.links.flow_world import Link, World


class Line:
    """``durable`` says which outbox it has. Links call what has no underscore."""

    exchange: Exchange
    _news: dict[type[Any], Callable[[Any], None]]

    def __init__(self, world: World, ledger: Ledger, name: str, limits: Limits, *, durable: bool) -> None:
        self.name = name
        self.limits = limits
        self.durable = durable
        self.alive = False
        self.incarnation = 1 if durable else 1000 + world.random.randrange(1000)
        self.links: list[Link] = []
        self._world = world
        self._ledger = ledger
        self._store = Store(world, self._placed)
        self._slots: dict[int, float] = {}
        self._slot = 0

    def _placed(self, put: Put) -> None:
        raise NotImplementedError

    def open(self) -> None:
        """Begin a life."""
        self.alive = True
        outbox = 7 if self.durable else None
        self.exchange = Exchange(self.name, self.incarnation, outbox=outbox, limits=self.limits)
        self.present: dict[Link, dict[str, int]] = {}
        self._armed = math.inf
        self._turning = False

    def believes(self, name: str) -> bool:
        return self.exchange.peer(name).reachable

    def connected(self, link: Link, present: dict[str, int]) -> None:
        self.present[link] = present
        for name in present:
            self._present(name)
        self.turn()

    def disconnected(self, link: Link) -> None:
        for name in self.present.pop(link, {}):
            self._present(name)
        self.turn()

    def told(self, link: Link, name: str, life: int) -> None:
        if life:
            self.present[link][name] = life
        else:
            self.present[link].pop(name, None)
        self._present(name)
        self.turn()

    def _present(self, name: str) -> None:
        lives = [present[name] for present in self.present.values() if name in present]
        if lives:
            self.exchange.up(name, max(lives), self._world.now)
        else:
            self.exchange.down(name)

    def receive(self, batch: list[bytes], slot: int) -> None:
        last = self._slots.get(slot >> 40, 0)
        if slot < last:
            self._world.effect("reordered batches")
        self._slots[slot >> 40] = max(last, slot)
        self._turning = True  # Nothing is pulled before all news is dealt with: a rejection would come too late.
        for frame in batch:
            _, number, flags, _ = HEADER.unpack_from(frame)
            try:
                self.exchange.receive(RawFrame(number, flags, frame[HEADER.size :], frame), self._world.now)
            except BadFrame as error:
                raise Violation(f"{self.name} refused a frame of a good router: {error}") from error
            self._take_news()
        self._turning = False
        self.turn()

    def turn(self) -> None:
        """After any input: deal with the news, and send what there is to send."""
        if self._turning:
            return
        self._turning = True
        self._take_news()
        frames = self.exchange.frames(self._world.now)
        while frames:
            self._send(frames)
            self._take_news()
            frames = self.exchange.frames(self._world.now)
        if self.durable:
            self._store.take(self.exchange.take_changes(), self._committed)
        self._arm()
        self._turning = False

    def _take_news(self) -> None:
        news = self.exchange.take_news()
        while news:
            for each in news:
                self._news[type(each)](each)
            news = self.exchange.take_news()

    def _committed(self, flows: list[Flow]) -> None:
        for flow in flows:
            self.exchange.committed(flow)
        self.turn()

    def _send(self, frames: list[tuple[str, bytes]]) -> None:
        ways: dict[Link, list[tuple[str, bytes]]] = {}
        choice: dict[str, Link | None] = {}
        for name, frame in frames:
            if name not in choice:
                choice[name] = self._way(name)
            link = choice[name]
            if link is not None:
                ways.setdefault(link, []).append((name, frame))
        self._slot += 1
        for link, batch in ways.items():
            self._ledger.frames += len(batch)
            link.up(batch, (_number_of(self.name) << 40) + self._slot)

    def _way(self, name: str) -> Link | None:
        ways = [link for link, present in self.present.items() if name in present]
        return self._world.random.choice(ways) if ways else None

    def _arm(self) -> None:
        when = self.exchange.next_time()
        if when < self._armed:
            self._armed = when
            self._world.at(max(when, self._world.now), self._wake, self.incarnation, when)

    def _wake(self, life: int, when: float) -> None:
        if self.alive and life == self.incarnation and when == self._armed:
            self._armed = math.inf
            self.exchange.tick(self._world.now)
            self.turn()


def _number_of(name: str) -> int:
    """A small number for a router's name."""
    return ord(name[-1])
