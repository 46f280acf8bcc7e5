"""What becomes of each piece of news of the flows and of interest: dead letters, reports, routes, retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edri_sim import trace
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import (
    EVENTS,
    Accepted,
    Delivered,
    Fenced,
    Gap,
    GivenUp,
    LaneLost,
    Restarted,
    Returned,
)
from edri_sim.links.frames import CLOSE, CREDIT, ITEM, NOTIFY
from edri_sim.links.inlet import Inlet
from edri_sim.links.interest import Answered, Changed, InterestBook, Refused
from edri_sim.links.reports import FlowGap
from edri_sim.links.requests import Requests
from edri_sim.links.tunnels import Tunnels
from edri_sim.routing.context import NodeContext

_OF_TUNNELS = (ITEM, CREDIT, CLOSE)
"""Kinds whose tag is the tunnel that they belong to."""


class Newsroom:
    """Deals with news, one piece after the other."""

    def __init__(
        self, node: NodeContext, exchange: Exchange, book: InterestBook, requests: Requests, inlet: Inlet,
        tunnels: Tunnels, component: int,
    ) -> None:  # fmt: skip
        self._name = node.name
        self._label = f"{node.name}/connector"
        self._router = node.router
        self._log = node.log.of("connector")
        self._trace = node.host.trace
        self._component = component
        self._exchange = exchange
        self._book = book
        self._requests = requests
        self._inlet = inlet
        self._tunnels = tunnels
        self._desks: dict[type[Any], Callable[[Any], None]] = {
            Delivered: inlet.take, Accepted: self._on_accepted, GivenUp: self._on_given_up, Gap: self._on_gap,
            Returned: self._on_returned, Restarted: self._on_restarted, Fenced: self._on_fenced,
            LaneLost: self._on_lane_lost, Changed: self._on_changed, Answered: self._on_answered,
            Refused: self._on_refused,
        }  # fmt: skip

    def take(self, piece: Any) -> None:
        """Deal with one piece."""
        self._desks[type(piece)](piece)

    def _on_accepted(self, news: Accepted) -> None:
        item = news.item
        if item.kind == NOTIFY:
            if news.rejected is not None and item.tag is not None:
                self._router.dead_letter(item.tag, f"rejected by {news.peer}: {news.rejected}", self._label)
        elif item.tag is not None and item.kind not in _OF_TUNNELS:
            self._requests.accepted(item.number, news.rejected)
        self._requests.room()
        self._tunnels.room()

    def _on_given_up(self, news: GivenUp) -> None:
        item = news.item
        if item.tag is None:
            return
        if item.kind in _OF_TUNNELS:
            item.tag.broken(f"what went to node {news.peer!r} was given up: {news.reason}")
            return
        if self._trace.record is not None:
            self._trace.record(trace.GIVEN_UP, self._component, item.tag, self._trace.detail(news.peer))
        if item.kind != NOTIFY:
            self._requests.returned(item.tag, was_sent=news.was_sent)
            return
        self._router.dead_letter(item.tag, f"given up for {news.peer}: {news.reason}", self._label)
        self._report(FlowGap(self._name, self._name, news.peer, EVENTS, news.seq, news.seq, news.reason))

    def _on_lane_lost(self, news: LaneLost) -> None:
        self._tunnels.lost(news.peer, news.lane)

    def _on_gap(self, gap: Gap) -> None:
        self._tunnels.gap(gap.peer, gap.lane)
        self._report(FlowGap(self._name, gap.peer, self._name, gap.lane, gap.first, gap.last))

    def _report(self, gap: FlowGap) -> None:
        self._log.warning("%s gave up %d to %d for %s: %s", gap.source, gap.first, gap.last, gap.target, gap.reason)
        self._router.announce(gap)

    def _on_returned(self, news: Returned) -> None:
        self._requests.returned(news.item.tag, was_sent=news.was_sent)

    def _on_restarted(self, news: Restarted) -> None:
        self._requests.restarted(news.peer)
        self._inlet.restarted(news.peer, news.incarnation)

    def _on_fenced(self, news: Fenced) -> None:
        self._log.error("another node named %s, or a copy of its outbox, sends to %s", self._name, news.peer)

    def _on_changed(self, news: Changed) -> None:
        self._requests.turn_away(news.peer, news.types)
        self._router.table.forget()

    def _on_answered(self, news: Answered) -> None:
        self._exchange.admit(news.peer, lambda type_: news.peer in self._book.subscribers(type_))
        self._router.table.forget()

    def _on_refused(self, news: Refused) -> None:
        verb = "sends" if news.here else "wants"
        self._log.error(
            "node %s %s %s in a version that does not fit ours, and so does not get through: %s",
            news.peer, verb, news.type, news.reason,
        )  # fmt: skip
