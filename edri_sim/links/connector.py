"""The connector: joins its node's router to the other routers, over a fabric."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable

from edri_sim import trace
from edri_sim.links.alarm import Alarm
from edri_sim.links.changes import Changes
from edri_sim.links.fabric import FabricOf
from edri_sim.links.farewell import Farewell
from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import Flow, Item, Limits
from edri_sim.links.flow.peer import Peer
from edri_sim.links.frames import LARGEST_INCARNATION, MAX_FRAME, BadFrame, Digest, InterestGet, InterestSay, RawFrame
from edri_sim.links.guard import read_permissions
from edri_sim.links.health import Reporting
from edri_sim.links.inlet import Inlet
from edri_sim.links.inquiry import Inquiry
from edri_sim.links.interest import InterestBook
from edri_sim.links.newsroom import Newsroom
from edri_sim.links.others import Others
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.permissions import Permissions
from edri_sim.links.port import RouterPort
from edri_sim.links.publisher import Publisher
from edri_sim.links.requests import Requests
from edri_sim.links.schemas import Schemas
from edri_sim.links.tunnels import Tunnels
from edri_sim.routing.context import NodeContext

OVERHEAD = 1_024
"""Bytes of a frame that are not the event's."""
_INTEREST = (InterestGet.number, InterestSay.number, Digest.number)


class Connector:
    """Joins a node to others: see :class:`RunningConnector`. Without ``permissions``, those of its settings hold."""

    def __init__(
        self, fabric: FabricOf, *, outbox: DurableOutbox | None = None, limits: Limits | None = None,
        permissions: Permissions | None = None, max_frame: int = MAX_FRAME,
    ) -> None:  # fmt: skip
        self.fabric = fabric
        self.outbox = outbox
        self.limits = limits or Limits()
        self.permissions = permissions
        self.max_frame = max_frame

    def run_on(self, context: NodeContext) -> RunningConnector:
        """See :class:`~edri_sim.routing.context.Part`."""
        return RunningConnector(self, context)


class RunningConnector(Reporting):
    """One life of a node, joined to the others: the fabric's endpoint, and what drives the flows and the interest."""

    def __init__(self, plan: Connector, node: NodeContext) -> None:
        self.label = f"{node.name}/connector"
        self._node = node
        self._router = node.router
        self._loop = node.loop
        self._now = node.loop.time
        self._log = node.log.of("connector")
        self._trace = node.host.trace
        self._component = self._trace.component(self.label)
        self._changes = Changes(node.loop)
        self._schemas = Schemas(node.router.types)
        incarnation = node.router.origin.incarnation
        observe, placed = (
            (None, None) if self._trace.record is None else (self._observe, self._trace.recorder.audit.placed)
        )
        self._outbox = plan.outbox
        identity = None if self._outbox is None else self._outbox.identity
        self.exchange = Exchange(
            node.name, incarnation, outbox=identity, limits=plan.limits, observe=observe, placed=placed
        )  # fmt: skip
        self.book = InterestBook(
            node.name, incarnation, own=self._schemas.own, wanted=self._wanted, fits=self._schemas.misfit
        )
        self.publisher = Publisher(
            node.router, self.exchange, self._schemas, self._trace, self._component, largest=plan.max_frame - OVERHEAD,
            now=self._now, poke=self._hurry, changed=self._changes.next, written=self._written,
        )  # fmt: skip
        self.tunnels = Tunnels(
            self.exchange, largest=plan.max_frame - OVERHEAD, now=self._now, poke=self._hurry
        )  # fmt: skip
        self.requests = Requests(
            node.router, self.exchange, self.publisher, self.tunnels, providers=self._providers, now=self._now,
            poke=self._hurry,
        )  # fmt: skip
        self.inlet = Inlet(
            node.router, self.exchange, self.requests, self.tunnels, self._trace, self._component,
            permissions=plan.permissions or read_permissions(node.settings),
            largest=plan.max_frame - OVERHEAD, now=self._now, poke=self._poke,
            gone=lambda peer, type_: self.book.reject(peer, type_, self._now()),
        )  # fmt: skip
        self._farewell = Farewell(self.book, self.inlet, self._now, self._changes.next)
        self._others = Others(self.exchange, self.book, self.requests, self.inlet, self.tunnels, self._hear)
        self.fabric = plan.fabric(node, self._needed)
        self._inquiry = Inquiry(
            node, self.book, self._schemas, self.fabric, wanted=self._wanted, changes=self._changes, poke=self._poke
        )
        self._port = RouterPort(
            node, self.book, self._inquiry, self.publisher, self.requests, self._changes, poke=self._poke
        )
        self.bad: dict[str, int] = {}
        """How often frames of other routers broke the rules, by the code."""
        self._alarm = Alarm(self._ring, lambda: not self._needed())
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._poked = False
        self._greeted = False
        self._newsroom = Newsroom(
            node, self.exchange, self.book, self.requests, self.inlet, self.tunnels, self._component
        )  # fmt: skip

    # Life

    async def start(self) -> None:
        """Begin to connect; being connected comes later, or never. What earlier lives left goes on its way again."""
        if self._outbox is not None:
            self._outbox.on_committed = self._on_committed
            self._restore(self._outbox)
            self._poke()
        self._router.join(self._port)
        self._inquiry.renew()
        await self.fabric.start(self._node.name, self.exchange.incarnation, self)

    def _restore(self, outbox: DurableOutbox) -> None:
        for flow, puts in outbox.flows:
            for put in puts:
                self.publisher.adopt(put.item)
                self._ask_for(put.item)
            self.exchange.restore(flow, puts)

    def _ask_for(self, item: Item) -> None:
        """Ask who wants what an earlier life left: a receiver that began a new life would not say it by itself."""
        if item.tag is not None:
            self._port.wish(item.tag.type)

    @property
    def busy(self) -> bool:
        """Whether anything waits to be taken by another router, or to be answered by one.

        What a durable outbox has for a router that can't be reached waits for the next life, too.
        """
        if self._farewell.under_way:
            return True
        if self._outbox is None:
            return self._held() or self.requests.live > 0
        reachable = (peer for peer in self.exchange.peers.values() if peer.reachable)
        return self._outbox.busy or self.requests.live > 0 or any(_holds(peer) for peer in reachable)

    def _held(self) -> bool:
        return any(_holds(peer) for peer in self.exchange.peers.values())

    def _needed(self) -> bool:
        """Whether a simulation has to go on for the sake of the line."""
        writing = self._outbox is not None and self._outbox.busy
        waiting = self._changes.waiting > 0 or self._farewell.under_way or self.requests.awaited
        return waiting or writing or self._held() or self._others.missed

    def leave(self) -> None:
        """Want nothing any more, so that the others turn to somebody else."""
        self._farewell.begin()
        self._inquiry.renew()

    async def settled(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        while self._held():
            await self._changes.next()

    async def quiet(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        if self._farewell.under_way:
            await self._farewell.over()
        while self.busy:
            await self._changes.next()

    async def stop(self) -> None:
        """Say goodbye; what no other router has taken by now is given up, and reported, unless it is on disk."""
        self._router.join(None)
        self.exchange.hurry(self._now())
        if self._outbox is None:
            for name in list(self.exchange.peers):
                self.exchange.forget(name, f"node {self._node.name!r} stopped")
        self._pump()
        if self._timer is not None:
            self._timer.cancel()
        self.fabric.leave()
        try:
            await self.fabric.stop()
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            await self._close_outbox()
            raise
        await self._close_outbox()

    async def _close_outbox(self) -> None:
        if self._outbox is not None:
            self._outbox.write(self.exchange.take_changes())
            await self._outbox.close()

    def _written(self) -> Awaitable[None] | None:
        """What a publisher has to await until its event is on disk; None where nothing is written."""
        if self._outbox is None:
            return None
        self._outbox.write(self.exchange.take_changes())
        return self._outbox.written()

    def _on_committed(self, flow: Flow) -> None:
        self.exchange.committed(flow)
        self._poke()

    # The pump: what is to be sent, what has happened, and when to look again

    def _poke(self) -> None:
        """Something has changed: look at it at the end of this turn."""
        if not self._poked:
            self._poked = True
            self._loop.call_soon(self._pump)

    def _hurry(self) -> None:
        """Something was published: the first of a turn leaves at once, the others of that turn together."""
        if not self._poked:
            self._poked = True
            self._loop.call_soon(self._pump)
            self._transmit(self._now())

    def _pump(self) -> None:
        self._poked = False
        now = self._now()
        self._transmit(now)
        self._hear()
        if self._outbox is not None:
            self._outbox.write(self.exchange.take_changes())
        self._arm(now)

    def _transmit(self, now: float) -> None:
        fabric = self.fabric
        self._inquiry.seek()
        for dst, frame in self.book.take_frames():
            fabric.send(dst, frame)
        if not fabric.full:
            for dst, frame in self.exchange.frames(now):
                fabric.send(dst, frame)
        fabric.flush()

    def _hear(self) -> None:
        """Deal with all news, those that come of it included."""
        while news := [*self.exchange.take_news(), *self.book.take_news()]:
            for piece in news:
                self._newsroom.take(piece)
            self._changes.tell()

    def _arm(self, now: float) -> None:
        when = min(self.exchange.next_time(), self.book.next_time(), self._others.next_time())
        if self._rings_at <= when:
            return  # It rings too early, and is set anew then: cheaper than a timer for each event.
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(max(when, now), self._alarm)

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = math.inf
        now = self._now()
        self.exchange.tick(now)
        self.book.tick(now)
        self._others.tick(now)
        self._pump()

    # The fabric's endpoint

    def on_frame(self, raw: RawFrame) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`; a frame that breaks the rules is counted, and dropped."""
        try:
            if raw.number in _INTEREST:
                self.book.receive(raw, self._now())
            else:
                self.exchange.receive(raw, self._now())
        except BadFrame as error:
            self.bad[error.code] = self.bad.get(error.code, 0) + 1
            if self.bad[error.code] == 1:
                self._log.warning("dropped a frame: %s (more of this kind are counted, not logged)", error)
        self._hear()
        self._changes.tell()  # Also of what is no news, such as that a handler has returned elsewhere.
        self._poke()

    def on_up(self, node: str, incarnation: int) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        self._greeted = True
        self._others.up(node, incarnation, self._now())
        self._poke()

    def on_down(self, node: str, left: bool) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        self._others.down(node, self._now(), left=left)
        self._poke()

    def on_barred(self, node: str, type_: str) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        if self._others.barred(node, type_):
            self._log.error("the switch does not let %s pass to node %s", type_, node)
        self._poke()

    def on_sought(self) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        self._router.table.forget()
        self._changes.tell()
        self._poke()

    def acquaintances(self) -> Iterable[str]:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        return {**self.exchange.peers, **self.book.others}

    def on_room(self) -> None:
        """See :class:`~edri_sim.links.fabric.Endpoint`."""
        self._poke()

    def on_stale(self, seen: int) -> int:
        """See :class:`~edri_sim.links.fabric.Endpoint`: a life that nobody has heard of may take a later number."""
        if self.exchange.peers or self._greeted or seen >= LARGEST_INCARNATION:
            return 0
        chosen = seen + 1
        self.exchange.renumber(chosen)
        self.book.incarnation = chosen
        self._router.renumber(chosen)
        if self._outbox is not None:
            self._outbox.renumber(chosen)
        return chosen

    # What the parts ask

    def _providers(self, type_: str) -> list[str]:
        peers = self.exchange.peers
        return [name for name in self.book.subscribers(type_) if name in peers and peers[name].open]

    def _wanted(self, type_: str) -> bool:
        entry = self._router.types.by_name.get(type_)
        return entry is not None and not self._farewell.begun and self._router.table.wants(entry.cls)

    def _observe(self, stage: int, item: Item, peer: str) -> None:
        record = self._trace.record
        if record is not None and item.type:
            if stage == trace.DUPLICATE:
                item.names = self.inlet.names(peer, item)
            record(stage, self._component, item, self._trace.detail(peer))  # type: ignore[arg-type]  # as an envelope


def _holds(peer: Peer) -> bool:
    return bool(peer.kept) or any(out.events for out in peer.busy.values())
