"""The other routers, as they come and go: what that means for flows, interest and requests, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.inlet import Inlet
from edri_sim.links.interest import InterestBook
from edri_sim.links.requests import Requests
from edri_sim.links.tunnels import Tunnels

FORGET_AFTER = 86_400.0
"""Seconds after which a router that went without a goodbye is taken to have left for good."""


class Others:
    """``hear`` deals with the news that flows and interest have."""

    def __init__(
        self, exchange: Exchange, book: InterestBook, requests: Requests, inlet: Inlet, tunnels: Tunnels,
        hear: Callable[[], None],
    ) -> None:  # fmt: skip
        self._exchange = exchange
        self._book = book
        self._requests = requests
        self._inlet = inlet
        self._tunnels = tunnels
        self._hear = hear
        self._away_since: dict[str, float] = {}
        self._patience: dict[str, float] = {}
        """When the tunnels with a router that is away are lost, in that order."""

    def up(self, name: str, incarnation: int, now: float) -> None:
        """A router can be reached."""
        self._away_since.pop(name, None)
        self._patience.pop(name, None)
        self._exchange.up(name, incarnation, now)
        self._book.up(name, incarnation, now)

    def down(self, name: str, now: float, *, left: bool) -> None:
        """A router can't be reached any more; ``left``: it said goodbye."""
        self._exchange.down(name)
        self._book.down(name)
        if left:
            self._give_up(name)
        if name in self._exchange.peers:
            self._away_since[name] = now
            self._patience.setdefault(name, now + self._exchange.limits.retention)
        self.tick(now)
        self._look_back(now)

    @property
    def missed(self) -> bool:
        """Whether there is a tunnel to a router that is away."""
        return any(self._tunnels.reach(name) for name in self._patience)

    def next_time(self) -> float:
        """When to call :meth:`tick`; infinity for never."""
        return next(iter(self._patience.values()), math.inf)

    def tick(self, now: float) -> None:
        """End the tunnels with those that were away for too long: they may be dead, and nobody says so."""
        while self.next_time() <= now:
            name = next(iter(self._patience))
            del self._patience[name]
            self._tunnels.away(name, self._exchange.limits.retention)

    def barred(self, name: str, type_: str) -> bool:
        """The fabric lets no events of a type pass to a router; whether that is new."""
        self._requests.barred(name, type_)
        self._exchange.refuse(name, type_, "not allowed by the switch")
        return self._book.bar(name, type_)

    def _give_up(self, name: str) -> None:
        """Expect a router back no more."""
        self._exchange.forget(name, f"node {name!r} has left")
        self._book.forget(name)
        self._hear()
        self._requests.left(name)
        self._inlet.left(name)
        self._drop(name)

    def _look_back(self, now: float) -> None:
        """Keep nothing of those that have been away for so long that all that was on its way was given up."""
        retention = self._exchange.limits.retention
        for name, since in list(self._away_since.items()):
            away = now - since
            if away < retention:
                break
            if away >= FORGET_AFTER:
                self._give_up(name)
            elif not self._book.wanted_by(name):
                self._drop(name)

    def _drop(self, name: str) -> None:
        if self._exchange.drop(name):
            self._book.forget(name)
            self._away_since.pop(name, None)
            self._patience.pop(name, None)
