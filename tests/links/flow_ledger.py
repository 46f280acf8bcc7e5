"""What was owed and what became of it: every rule of a flow, checked as it happens and at the end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from edri_sim.links.flow.items import Delivered, Gap, GivenUp
from edri_sim.links.frames import REDELIVERED, REQUEST

if TYPE_CHECKING:
    from tests.links.flow_router import Router
    from tests.links.flow_tunnels import Passage

PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"
GIVEN_UP, RETURNED, DIED = "given up", "returned", "died with its sender"


class Violation(AssertionError):
    """A rule was broken; the message says which, and by what."""


class Record(msgspec.Struct, eq=False):
    """One event to one router. ``place`` is its order among all that its sender accepted for that router.

    ``reported``: some life of its sender gave it up and said so, whatever the next life found on its disk.
    """

    src: str
    dst: str
    origin: int
    number: int
    kind: int
    place: int
    handled: bool = False
    state: str = PENDING
    committed: bool = False
    was_sent: bool = False
    reported: bool = False
    ended: bool = False
    lives: list[int] = msgspec.field(default_factory=list)
    handled_in: list[int] = msgspec.field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.src}->{self.dst} ({self.origin}, {self.number}), place {self.place}: {self.state}, "
            f"delivered to lives {self.lives}"
        )


class Ledger:
    """All records of a run, by sender, receiver and event id. ``longest`` is a retention that nothing should meet."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self.records: dict[tuple[str, str, int, int], Record] = {}
        self.passages: dict[tuple[str, int, int], Passage] = {}
        """Tunnels, by opener, its life, and the number of the event that opens it."""
        self.counts: Counter[str] = Counter()
        self.frames = 0
        self._places: Counter[tuple[str, str]] = Counter()
        self._seqs: dict[tuple[str, int, str, int, int, int], int] = {}
        self._latest: dict[tuple[str, int, str], int] = {}

    # Sender

    def accepted(self, src: str, dst: str, origin: int, number: int, kind: int, *, handled: bool) -> Record:
        self._places[src, dst] += 1
        record = Record(src, dst, origin, number, kind, self._places[src, dst], handled)
        self.records[src, dst, origin, number] = record
        self.counts["accepted"] += 1
        return record

    def of(self, src: str, dst: str, origin: int, number: int) -> Record:
        record = self.records.get((src, dst, origin, number))
        if record is None:
            raise Violation(f"{src}->{dst}: nobody sent event ({origin}, {number})")
        return record

    def given_up(self, record: Record, news: GivenUp, retention: float) -> None:
        if news.reason == "retention" and record.state == PENDING and retention == self._longest:
            raise Violation(f"{record}: it was stuck until it was given up for its age")
        if not news.was_sent and record.lives:
            raise Violation(f"{record}: given up as never sent, but it was delivered")
        if record.state not in (PENDING, ACCEPTED) or (record.state == ACCEPTED and not record.handled):
            raise Violation(f"{record}: given up ({news.reason}) after its end")
        record.state, record.was_sent, record.reported = GIVEN_UP, news.was_sent, True
        self.counts[f"given up: {news.reason}"] += 1

    # Receiver

    def delivered(self, router: Router, news: Delivered) -> Record:
        data = news.data
        record = self.of(news.peer, router.name, data.origin, data.event)
        life = router.incarnation
        if life in record.lives:
            raise Violation(f"{record}: delivered twice to life {life}")
        if record.lives and not news.flags & REDELIVERED:
            raise Violation(f"{record}: delivered again to life {life}, and not marked as redelivered")
        if record.state == GIVEN_UP and not record.was_sent:
            raise Violation(f"{record}: delivered after it was given up as never sent")
        if self._latest.get((router.name, life, news.peer), 0) >= record.place:
            raise Violation(f"{record}: delivered after a later one")
        self._latest[router.name, life, news.peer] = record.place
        record.lives.append(life)
        self.counts["delivered"] += 1
        return record

    def gap(self, router: Router, news: Gap) -> None:
        lane = router.exchange.peer(news.peer).receives[news.lane]
        self.in_order(router, news.peer, lane.outbox, lane.generation, news.first, news.last)
        self.counts["gap places"] += news.last - news.first + 1

    def in_order(self, router: Router, src: str, outbox: int, generation: int, first: int, last: int) -> None:
        """These places of a flow came, the next after those before them."""
        key = (router.name, router.incarnation, src, outbox, generation, 1)
        expected = self._seqs.get(key, 0) + 1
        if first != expected or last < first:
            raise Violation(f"{src}->{router.name}: places {first} to {last} came, {expected} was next")
        self._seqs[key] = last

    def received(self, router: Router, src: str, outbox: int, generation: int) -> int:
        """The last place of a flow that was delivered or a gap."""
        return self._seqs.get((router.name, router.incarnation, src, outbox, generation, 1), 0)

    # The end

    def check_all(self, routers: list[Router]) -> None:
        """Once all is quiet: everything that was accepted has come to an end that the guarantee allows."""
        named = {router.name: router for router in routers}
        for record in self.records.values():
            if record.state == PENDING:
                raise Violation(f"{record}: still held when all was quiet")
            if record.state in (ACCEPTED, REJECTED) and not record.lives and not record.reported:
                raise Violation(f"{record}: never delivered")
            if record.state == ACCEPTED and record.handled and not record.handled_in and not record.reported:
                raise Violation(f"{record}: never handled, and not kept")
            if record.kind == REQUEST and not record.ended and self._ends(record, named[record.src], named[record.dst]):
                raise Violation(f"{record}: a request that never ended")

    def _ends(self, record: Record, src: Router, dst: Router) -> bool:
        """Whether a request had to end; if not, it is left to its deadline.

        Not that of a life that is over, nor one whose reply was given up for its age, nor one to a router that was
        lost after it had taken it, if the requester was not told and had nothing more to send that would have shown.
        """
        if src.incarnation != record.origin or src.limits.retention != self._longest:
            return False
        return src.exchange.peer(dst.name).incarnation == dst.incarnation
