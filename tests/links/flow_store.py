"""A durable outbox as the model has it: group commits that take time, and a crash that may come between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy

from edri_sim.links.flow.items import Change, Drop, Flow, Item, Payload, Put
from tests.links.flow_world import World


class Store:
    """Rows and flows as they would be found after a crash. ``placed`` is told of rows that are written for good."""

    def __init__(self, world: World, placed: Callable[[Put], None]) -> None:
        self.flows: dict[str, Flow] = {}
        self.rows: dict[tuple[str, int, int], Put] = {}
        self._world = world
        self._placed = placed
        self._waiting: list[Change] = []
        self._writing: list[Change] = []
        self._life = 0

    def take(self, changes: Iterable[Change], committed: Callable[[list[Flow]], None]) -> None:
        """Write changes down, together with what comes while the disk is busy."""
        self._waiting += [_copied(change) if isinstance(change, Put) else change for change in changes]
        if self._waiting and not self._writing:
            self._writing, self._waiting = self._waiting, []
            self._world.after(self._world.random.uniform(0.001, 0.02), self._done, self._life, committed)

    def _done(self, life: int, committed: Callable[[list[Flow]], None]) -> None:
        if life == self._life:
            written, self._writing = self._writing, []
            self.apply(written)
            committed([change for change in written if isinstance(change, Flow)])
            self.take([], committed)

    def apply(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.rows[change.peer, change.generation, change.seq] = change
                self._placed(change)
            elif isinstance(change, Drop):
                self.rows.pop((change.peer, change.generation, change.seq), None)
            else:
                self.flows[change.peer] = change

    def crash(self) -> None:
        """What was being written has come to the disk, or has not; what waited has not."""
        if self._world.random.random() < 0.5:
            self.apply(self._writing)
        self._life += 1
        self._writing, self._waiting = [], []

    def load(self, peer: str) -> list[Put]:
        """The rows for a router, as they are on the disk."""
        return [_copied(put) for (name, _, _), put in self.rows.items() if name == peer]


def _copied(put: Put) -> Put:
    item: Item = copy(put.item)
    item.payload = Payload(item.payload.data)
    return put._replace(item=item)
