"""The routing table of one node: who here wants what, and who elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from edri_sim.envelope import Envelope, Origin
from edri_sim.errors import DeclarationError, NodeStopped, NoRoute
from edri_sim.events import EventType, TypeTable
from edri_sim.routing.deadlines import check_timeout
from edri_sim.routing.mailbox import Mailbox
from edri_sim.routing.route import Route, Subscription, mailboxes_for
from edri_sim.routing.uplink import Uplink

OWN = "edri."
"""How the names of this library's own events begin: they stay within their node."""

Names = Callable[[Origin, EventType], tuple[int, int]]
"""How the trace numbers an origin and a type."""


class RoutingTable:
    """Subscriptions, and the routes worked out from them for each class of events; ``names`` is the trace's.

    ``requests`` and ``notifications`` are the routes known so far, for hot paths to look into before they ask.
    """

    def __init__(self, origin: Origin, types: TypeTable, names: Names, changed: Callable[[], None]) -> None:
        self.origin = origin
        self.types = types
        self.uplink: Uplink | None = None
        self.requests: dict[type, Route] = {}
        self.tunnels: dict[type, Route] = {}
        self.notifications: dict[type, Route] = {}
        self.closed = False
        self._names = names
        self._changed = changed
        self._subscriptions: list[Subscription] = []
        self._withdrawn: dict[Mailbox, tuple[list[Subscription], str]] = {}
        self._waiting: asyncio.Future[None] | None = None

    # Who wants what

    def subscribe(self, cls: type, mailbox: Mailbox, owner: str) -> None:
        """Lead events of ``cls`` and its subclasses to ``mailbox``."""
        self._subscriptions.append(Subscription(cls, mailbox, owner))
        self._interest_changed()

    def unsubscribe(self, mailbox: Mailbox) -> None:
        """Lead nothing more to ``mailbox``."""
        self._subscriptions = [entry for entry in self._subscriptions if entry.mailbox is not mailbox]
        self._withdrawn.pop(mailbox, None)
        self._interest_changed()

    def withdraw(self, mailbox: Mailbox, classes: Sequence[type], reason: str) -> None:
        """Lead no events of these ``classes`` to ``mailbox`` until :meth:`restore`; who misses them is told why."""
        lost = [entry for entry in self._subscriptions if entry.mailbox is mailbox and entry.cls in classes]
        self._withdrawn[mailbox] = lost, reason
        self._subscriptions = [entry for entry in self._subscriptions if entry not in lost]
        self._interest_changed()

    def restore(self, mailbox: Mailbox) -> None:
        """Lead to ``mailbox`` again what was withdrawn from it."""
        lost, _ = self._withdrawn.pop(mailbox, ([], ""))
        self._subscriptions += lost
        self._interest_changed()

    def hint(self, cls: type) -> str:
        """What can be done where nobody provides a request, as the end of a sentence."""
        reasons = [reason for lost, reason in self._withdrawn.values() if any(issubclass(cls, e.cls) for e in lost)]
        return f"; {'; '.join(reasons)}" if reasons else "; start a manager with a handler for it"

    def _interest_changed(self) -> None:
        self.forget()
        if self.uplink is not None:
            self.uplink.interest_changed()

    def wants(self, cls: type) -> bool:
        """Whether anybody here takes events of this class."""
        return any(issubclass(cls, subscription.cls) for subscription in self._subscriptions)

    def parked(self) -> dict[Envelope, list[Mailbox]]:
        """The requests that wait for room, in the order in which they came to each mailbox, and where they wait."""
        waiting: dict[Envelope, list[Mailbox]] = {}
        for mailbox in dict.fromkeys(subscription.mailbox for subscription in self._subscriptions):
            for envelope in mailbox.waiting():
                waiting.setdefault(envelope, []).append(mailbox)
        return waiting

    def forget(self) -> None:
        """Work out anew where events go, and tell those who wait for that."""
        self.requests.clear()
        self.tunnels.clear()
        self.notifications.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set_result(None)
        if not self.closed:
            self._changed()

    def close(self) -> None:
        """Lead nothing anywhere any more."""
        self.closed = True
        self.forget()

    async def subscribed(self, cls: type, count: int, timeout: float) -> None:
        """Return once ``count`` nodes want events of this class; raises NoRoute after ``timeout`` seconds."""
        entry = self.types.resolve(cls)
        check_timeout(entry.name, timeout)
        there: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    there = self.uplink.subscribers(entry) if self.uplink is not None else ()
                    if self.wants(cls) + len(there) >= count:
                        return
                    await self._change_of(entry)
        except TimeoutError:
            known = ", ".join([*there, *([self.origin.node] if self.wants(cls) else [])]) or "no node"
            raise NoRoute(f"{entry.name}: {known} wants it after {timeout:g} s, and {count} should") from None

    async def _change_of(self, entry: EventType) -> None:
        """Return when somebody has begun or ceased to want something."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        waiting = self._waiting
        if self.uplink is not None:
            await self.uplink.until(entry, waiting)
        else:
            await asyncio.shield(waiting)

    # Routes

    def request_route(self, cls: type) -> Route:
        """The route of a request. Raises NodeStopped, or DeclarationError for what is no request."""
        return self.requests.get(cls) or self._learn(cls, "request", self.requests)

    def tunnel_route(self, cls: type) -> Route:
        """The route of a tunnel. Raises NodeStopped, or DeclarationError for what is no tunnel."""
        return self.tunnels.get(cls) or self._learn(cls, "tunnel", self.tunnels)

    def provider_route(self, entry: EventType) -> Route:
        """The route of what one provider takes: a request or a tunnel."""
        return self.request_route(entry.cls) if entry.kind == "request" else self.tunnel_route(entry.cls)

    def notify_route(self, cls: type) -> Route:
        """The route of a notification. Raises NodeStopped, or DeclarationError for what is no notification."""
        return self.notifications.get(cls) or self._learn(cls, "notification", self.notifications)

    def _learn(self, cls: type, kind: str, routes: dict[type, Route]) -> Route:
        found = self.types.resolve(cls)
        if self.closed:
            raise NodeStopped(f"{found.name}: node {self.origin.node!r} is stopped")
        if found.kind != kind:
            verb = {"request": "request()", "notification": "notify()", "tunnel": "open()"}[found.kind]
            raise DeclarationError(f"{found.name} is a {found.kind}: publish it with {verb}")
        names, mailboxes = self._names(self.origin, found), mailboxes_for(cls, self._subscriptions)
        uplink = self.uplink
        if uplink is None or found.name.startswith(OWN):
            route = routes[cls] = Route(found, names, mailboxes)
        else:
            route = routes[cls] = Route(found, names, mailboxes, uplink.subscribers(found), not uplink.asked(found))
        return route
