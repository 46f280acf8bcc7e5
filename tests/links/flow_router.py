"""A router of the model: a line, and an application that sends, serves, rejects, crashes and comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from edri_sim.links.flow.items import (
    CONTROL,
    EVENTS,
    Accepted,
    Delivered,
    Fenced,
    Full,
    Gap,
    GivenUp,
    Item,
    LaneLost,
    Limits,
    Payload,
    Put,
    Restarted,
    Returned,
)
from edri_sim.links.flow.send import Row
from edri_sim.links.frames import CANCEL, HANDLED_WANTED, NOTIFY, OPEN, REPLY, REQUEST, Data
from tests.links.flow_ledger import ACCEPTED, DIED, PENDING, REJECTED, RETURNED, Ledger, Record, Violation
from tests.links.flow_line import Line
from tests.links.flow_tunnels import Tunnelling
from tests.links.flow_world import World

WANTED, UNWANTED, POISON, NESTED = "Wanted", "Unwanted", "Poison", "Nested"
"""Types: what routers subscribe to, what they forget at a restart, what they reject, and requests that ask back."""
_EVENTS = (NOTIFY, REQUEST, OPEN)


class Router(Line):
    """What it sends and what becomes of it is in the ``ledger``."""

    def __init__(self, world: World, ledger: Ledger, name: str, limits: Limits, *, durable: bool) -> None:
        super().__init__(world, ledger, name, limits, durable=durable)
        self.slow_until = 0.0
        self.parked = 0
        self.pending: dict[int, Record] = {}
        self._capacity = world.random.choice([4, 16])
        self._news: dict[type[Any], Callable[[Any], None]] = {
            Delivered: self._on_delivered, Gap: self._on_gap, Accepted: self._on_accepted, GivenUp: self._on_given_up,
            Returned: self._on_returned, Restarted: self._on_restarted, Fenced: self._on_fenced,
            LaneLost: lambda news: self.tunnels.lost(news),
        }  # fmt: skip

    # Lives

    def start(self) -> None:
        self.open()
        self.tunnels = Tunnelling(self, self._world, self._ledger)
        self.pending = {}
        self.owed = 0
        self._number = 0
        self._busy = 0
        self._queue: deque[Delivered] = deque()
        self._asked: dict[int, Delivered] = {}
        for flow in self._store.flows.values():
            puts = self._store.load(flow.peer)
            for put in filter(_is_event, puts):  # What was settled may be in doubt again, if the disk had not heard.
                self.owed += 1
                self._ledger.of(self.name, put.peer, put.item.origin, put.item.number).state = PENDING
            self.exchange.restore(flow, puts)
            self._count_kept(flow.peer)
        self.turn()
        for link in self.links:
            link.reconnect()

    def _count_kept(self, peer: str) -> None:
        """What had arrived and waits to be handled is settled already, as far as the order goes."""
        for kept in self.exchange.peer(peer).kept.values():
            if kept.arrived:
                self.owed -= 1
                self._ledger.of(self.name, peer, kept.item.origin, kept.item.number).state = ACCEPTED

    def crash(self, missed: float) -> None:
        """Everything goes, but for what is on the disk. The switches notice after so many seconds."""
        self.check()
        self.alive = False
        self._store.crash()
        for link in self.links:
            link.router_up = False
            link.lose(0.0, missed)
        kept = {(put.peer, put.item.origin, put.item.number) for put in self._store.rows.values()}
        for record in self._ledger.records.values():
            if record.src == self.name and (record.dst, record.origin, record.number) not in kept:
                self._died(record)

    def _died(self, record: Record) -> None:
        if record.state == PENDING:
            if record.committed:
                raise Violation(f"{record}: committed, and lost in a crash")
            record.state = DIED
        elif record.state == ACCEPTED and record.handled and not record.handled_in:
            record.state = DIED

    def restart(self) -> None:
        self.incarnation += 1
        self.start()

    def _placed(self, put: Put) -> None:
        if _is_event(put):
            self._ledger.of(self.name, put.peer, put.item.origin, put.item.number).committed = True

    # The application, as a sender

    def publish(self, name: str, payload: Payload, type_: str = WANTED, **options: Any) -> Row | None:
        """Send an event to a router; None if the outbox is full."""
        self._number += 1
        now = self._world.now
        kind = options.pop("kind", NOTIFY)
        item = Item(kind, type_, payload, self.incarnation, self._number, now, **options)
        try:
            row = self.exchange.push(name, EVENTS, item, now)
        except Full:
            self._ledger.counts["refused, the outbox was full"] += 1
            return None
        self.owed += 1
        record = self._ledger.accepted(
            self.name, name, self.incarnation, self._number, kind, handled=bool(options.get("handled"))
        )
        if kind == REQUEST:
            self.pending[item.number] = record
        self._bounds(name)
        return row

    def _bounds(self, name: str) -> None:
        out = self.exchange.peer(name).sends[EVENTS]
        held = self.exchange.bytes
        limits = self.limits
        if out.events > limits.events or out.bytes > limits.flow_bytes or held > limits.node_bytes + 4096:
            raise Violation(f"{self.name}->{name} holds {out.events} events, {out.bytes} bytes, {held} in all")

    def cancel(self, name: str, row: Row, number: int) -> None:
        """Nobody waits for the reply any more."""
        record = self.pending.get(number)
        if record is None or record.ended:
            return
        self._end(record)
        if self.exchange.withdraw(name, row, "cancelled"):
            now = self._world.now
            self.exchange.push(name, CONTROL, Item(CANCEL, "", Payload(b""), self.incarnation, 0, now, ref=number), now)
        self.turn()

    def _end(self, record: Record) -> None:
        record.ended = True
        self.pending.pop(record.number, None)

    def _on_accepted(self, news: Accepted) -> None:
        record = self._mine(news)
        if record is None:
            return
        self.owed -= 1
        record.state = ACCEPTED if news.rejected is None else REJECTED
        if news.rejected is not None:
            self._world.effect("rejected")
            self._end_asked(record)

    def _on_given_up(self, news: GivenUp) -> None:
        self._not_open(news)
        record = self._mine(news)
        if record is not None:
            self.owed -= record.state == PENDING
            self._ledger.given_up(record, news, self.limits.retention)
            self._end_asked(record)

    def _not_open(self, news: GivenUp | Returned) -> None:
        item = news.item
        if item.kind == OPEN and item.origin == self.incarnation:
            self.tunnels.unopened(news.peer, item.number)
        elif item.tag is not None:
            self.tunnels.break_off(item.tag)

    def _on_returned(self, news: Returned) -> None:
        self._not_open(news)
        record = self._mine(news)
        if record is not None:
            self.owed -= 1
            record.state = RETURNED
            self._end_asked(record)

    def _mine(self, news: Accepted | GivenUp | Returned) -> Record | None:
        item = news.item
        if not _is_event(news):
            return None
        return self._ledger.of(self.name, news.peer, item.origin, item.number)

    def _on_restarted(self, news: Restarted) -> None:
        self.tunnels.restarted(news.peer)
        for record in [each for each in self.pending.values() if each.dst == news.peer and each.state == ACCEPTED]:
            self._end_asked(record)
        for kept in self.exchange.peer(news.peer).kept.values():
            record = self._ledger.of(self.name, news.peer, kept.item.origin, kept.item.number)
            if record.state == ACCEPTED:
                record.state = PENDING
                self.owed += 1
        self._world.after(self._world.random.uniform(0.01, 0.5), self._admit, self.incarnation, news.peer)

    def _admit(self, life: int, name: str) -> None:
        if self.alive and life == self.incarnation:
            self.exchange.admit(name, lambda type_: type_ != UNWANTED)
            self.turn()

    def _on_fenced(self, news: Fenced) -> None:
        raise Violation(f"{self.name} was fenced by {news.peer}")

    # The application, as a receiver

    def _on_gap(self, news: Gap) -> None:
        if news.lane == EVENTS:
            self._ledger.gap(self, news)
        else:
            self.tunnels.gap(news)

    def _on_delivered(self, news: Delivered) -> None:
        data = news.data
        if data.lane == EVENTS:
            self._ledger.in_order(self, news.peer, data.outbox, data.generation, data.seq, data.seq)
        if data.kind == REPLY:
            self._on_reply(data.ref)
        if data.lane > EVENTS or data.kind == CANCEL:
            self.tunnels.take(news)
        if data.kind not in _EVENTS:
            return
        self._ledger.delivered(self, news)
        if data.type == POISON:
            news.lane.reject(data.seq, "bad payload")
        elif data.kind == OPEN:
            self.tunnels.serve(news)
        elif data.kind == REQUEST and data.type == WANTED and data.trace:
            self._reply(news.peer, data)
        elif data.kind == REQUEST or news.flags & HANDLED_WANTED or self.slow_until > self._world.now:
            self._serve(news)

    def _serve(self, news: Delivered) -> None:
        if self._busy < self._capacity:
            self._begin(news)
        else:
            self.parked += 1
            self._queue.append(news)
            news.lane.park(len(news.data.payload))

    def _begin(self, news: Delivered) -> None:
        self._busy += 1
        if news.data.type == NESTED and self._ask_back(news):
            return
        mean = 0.2 if self.slow_until > self._world.now else 0.002
        delay = self._world.random.expovariate(1 / mean)
        self._world.after(delay, self._served, self.incarnation, news)

    def _ask_back(self, news: Delivered) -> bool:
        """Ask the requester something, before it gets its reply."""
        if self.exchange.peer(news.peer).incarnation != news.data.origin:
            return False
        row = self.publish(news.peer, Payload(b"?"), WANTED, kind=REQUEST, trace="asks back")
        if row is None:
            return False
        self._asked[self._number] = news
        return True

    def _end_asked(self, record: Record) -> None:
        if record.kind == REQUEST and record.origin == self.incarnation and not record.ended:
            self._end(record)
            news = self._asked.pop(record.number, None)
            if news is not None:
                self._served(self.incarnation, news)

    def _on_reply(self, number: int) -> None:
        record = self.pending.get(number)
        if record is not None:
            self._end_asked(record)

    def _served(self, life: int, news: Delivered) -> None:
        if not self.alive or life != self.incarnation:
            return
        data = news.data
        self._busy -= 1
        if data.kind == REQUEST:
            self._reply(news.peer, data)
        elif news.flags & HANDLED_WANTED:
            self._ledger.of(news.peer, self.name, data.origin, data.event).handled_in.append(life)
            self.exchange.handled(news.peer, data.origin, data.event, self._world.now)
        if self._queue:
            queued = self._queue.popleft()
            queued.lane.unpark(len(queued.data.payload), self._world.now)
            self._begin(queued)
        self.turn()

    def _reply(self, name: str, data: Data) -> None:
        if self.exchange.peer(name).incarnation == data.origin:
            now = self._world.now
            reply = Item(REPLY, "", Payload(b"!"), self.incarnation, 0, now, ref=data.event)
            self.exchange.push(name, CONTROL, reply, now)

    # Checks

    def holds_for(self, name: str) -> bool:
        peer = self.exchange.peers.get(name)
        return peer is not None and any(out.send.rows for out in peer.sends.values())

    def check(self) -> None:
        """What was taken is settled, given up, returned, or still held; and no more is held than that."""
        lanes = [peer.sends[EVENTS] for peer in self.exchange.peers.values() if EVENTS in peer.sends]
        held = sum(_is_event(row) for out in lanes for row in out.send.in_doubt())
        if held != self.owed:
            raise Violation(f"{self.name}: {self.owed} events have not come to an end, {held} are held")


def _is_event(holder: Put | Row | Accepted | GivenUp | Returned) -> bool:
    """Whether what is held or reported is a notification, or asks for a reply or a tunnel."""
    return holder.item.kind in _EVENTS
