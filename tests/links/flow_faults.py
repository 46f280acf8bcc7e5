"""What is broken on purpose in the model: each fault by its class, with when it is said to have taken effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.links.flow_world import Link, Switch

if TYPE_CHECKING:
    from tests.links.flow_model import Model
    from tests.links.flow_router import Router

RESET, HALF_OPEN, LONG_CUT = "connection reset", "half-open link", "long cut"
DROPS, DUPLICATES, REORDERING = "switch drops", "duplicates", "reordering"
SWITCH_CRASH, MEMORY_CRASH, DURABLE_CRASH = "switch crash", "router crash, memory", "router crash, durable"
SLOW, REJECTED = "slow receiver", "rejected"
CLASSES = (
    RESET, HALF_OPEN, LONG_CUT, DROPS, DUPLICATES, REORDERING, SWITCH_CRASH, MEMORY_CRASH, DURABLE_CRASH, SLOW,
    REJECTED,
)  # fmt: skip

BROKEN = tuple(fault for fault in CLASSES if fault != REJECTED)
"""The classes that something else than an event is to blame for."""


class Faults:
    """Breaks things in the model, one at a time, until :meth:`Model.broken`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._world = model.world
        self._acts: tuple[Callable[[], None], ...] = (
            self.reset, self.reset, self.half_open, self.long_cut, self.drops, self.drops, self.duplicates,
            self.reordering, self.reordering, self.switch_crash, self.router_crash, self.slow, self.slow,
            self.unannounced,
        )  # fmt: skip

    def step(self) -> None:
        """Break something; and the next thing a little later."""
        if self._model.broken():
            if self._world.random.random() < 0.5:
                self.unannounced()
            return
        self._world.random.choice(self._acts)()
        self._world.after(self._world.random.expovariate(1 / 0.6), self.step)

    def _link(self) -> Link:
        return self._world.random.choice(self._model.links)

    def _router(self) -> Router:
        return self._world.random.choice(self._model.routers)

    def _switch(self) -> Switch:
        return self._world.random.choice(self._model.switches)

    # Links

    def _cut(self, fault: str, link: Link, router_notices: float, switch_notices: float, cut: float) -> None:
        told = f"noticed by the router after {router_notices:.3f} s, by the switch after {switch_notices:.3f} s"
        self._world.note(fault, f"{link} for {cut:.3f} s, {told}")
        link.lose(router_notices, switch_notices, cut=cut)
        self._world.after(max(router_notices, switch_notices) + 0.001, self._was_lost, fault, link, link.lost)

    def _was_lost(self, fault: str, link: Link, before: int) -> None:
        if before or link.lost:
            self._world.effect(fault)

    def reset(self) -> None:
        self._cut(RESET, self._link(), 0.0, 0.0, 0.0)

    def half_open(self) -> None:
        late, early = self._world.random.uniform(0.5, 15.0), self._world.random.choice([0.0, 0.3])
        times = (late, early) if self._world.random.random() < 0.5 else (early, late)
        self._cut(HALF_OPEN, self._link(), *times, 0.0)

    def long_cut(self) -> None:
        random = self._world.random
        times = random.uniform(0.0, 15.0), random.uniform(0.0, 15.0), random.uniform(5.0, 40.0)
        self._cut(LONG_CUT, self._link(), *times)

    # Switches

    def drops(self) -> None:
        switch = self._switch()
        self._world.note(DROPS, switch.name)
        switch.drops = self._world.random.choice([0.05, 0.3, 1.0])
        self._burst(DROPS, switch)

    def duplicates(self) -> None:
        switch = self._switch()
        self._world.note(DUPLICATES, switch.name)
        switch.duplicates = self._world.random.choice([0.05, 0.5])
        self._burst(DUPLICATES, switch)

    def _burst(self, fault: str, switch: Switch) -> None:
        switch.burst[fault] = 0
        self._world.after(self._world.random.uniform(0.05, 1.5), self._calm, fault, switch)

    def _calm(self, fault: str, switch: Switch) -> None:
        switch.drops = switch.duplicates = 0.0
        if switch.burst.pop(fault, 0):
            self._world.effect(fault)

    def reordering(self) -> None:
        """One way is much slower than the other for a while."""
        link, before = self._link(), self._world.effects["reordered batches"]
        self._world.note(REORDERING, link)
        link.latency = 0.3
        self._world.after(self._world.random.uniform(0.2, 1.5), self._in_order, link, before)

    def _in_order(self, link: Link, before: int) -> None:
        link.latency = link.usual
        if self._world.effects["reordered batches"] > before:
            self._world.effect(REORDERING)

    def switch_crash(self) -> None:
        switch = self._switch()
        if not switch.alive:
            return
        self._world.note(SWITCH_CRASH, switch.name)
        switch.crash()
        if any(link.lost for link in switch.links.values()):
            self._world.effect(SWITCH_CRASH)
        self._world.after(self._world.random.uniform(0.05, 3.0), switch.restart)

    # Routers

    def router_crash(self) -> None:
        self._crash(self._router())

    def unannounced(self) -> None:
        """A new life takes the place of one that the switches had not missed, and nobody is told."""
        self._crash(self._model.routers[-1], missed=15.0, back=0.05)

    def _crash(self, router: Router, *, missed: float | None = None, back: float | None = None) -> None:
        if not router.alive:
            return
        fault = DURABLE_CRASH if router.durable else MEMORY_CRASH
        self._world.note(fault, f"{router.name}, life {router.incarnation}")
        if router.owed or any(other.holds_for(router.name) for other in self._model.routers if other.alive):
            self._world.effect(fault)
        random = self._world.random
        router.crash(random.choice([0.0, 0.5, random.uniform(0.0, 15.0)]) if missed is None else missed)
        self._world.after(random.choice([0.05, 0.5, 5.0]) if back is None else back, router.restart)

    def slow(self) -> None:
        router = self._router()
        self._world.note(SLOW, router.name)
        router.slow_until = self._world.now + self._world.random.uniform(0.5, 4.0)
        self._world.after(4.0, self._was_slow, router, router.parked)

    def _was_slow(self, router: Router, before: int) -> None:
        if router.parked > before:
            self._world.effect(SLOW)
