"""One router and its parts, on one host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from edri_sim.envelope import Origin, current
from edri_sim.errors import DeclarationError, NodeStopped
from edri_sim.events import TypeTable, registry
from edri_sim.host import Host, current_host
from edri_sim.links.connector import Connector
from edri_sim.links.outbox import DurableOutbox
from edri_sim.links.tcp import switch_lines
from edri_sim.logs import NodeLog
from edri_sim.managers.manager import RunningManager
from edri_sim.managers.stopping import stop_all
from edri_sim.names import check_name
from edri_sim.routing.context import NodeContext, Part, RunningPart
from edri_sim.routing.health import STOPPING, Health, worst
from edri_sim.routing.retrying import NodePort
from edri_sim.routing.router import Router
from edri_sim.routing.turn import Turn
from edri_sim.settings import Settings
from edri_sim.shown import Shown

if TYPE_CHECKING:
    from edri_sim.events import Notification, Request, Tunnel
    from edri_sim.routing.opening import Opening
    from edri_sim.routing.retrying import Retry
    from edri_sim.trace import Trace

R = TypeVar("R")
Up = TypeVar("Up")
Down = TypeVar("Down")
PartFactory = Callable[[], Part]
Uplinks = Callable[[DurableOutbox | None], Connector]
"""Makes the connector of one life of a node, with its outbox if it has a durable one."""

TERMINATED = 128 + 15
"""The exit code of a program that SIGTERM ended, by the convention of shells."""


class part:
    """A factory for one part of a node: parts are made anew at every start, so that a restart is real.

    It is a call that has yet to be made: of ``make``, with ``args`` and ``kwargs``.
    """

    def __init__(self, make: Callable[..., Part], *args: Any, **kwargs: Any) -> None:
        if not callable(make):
            raise DeclarationError(f"part({make!r}): expected the class of a part, or a function that makes one")
        self.make = make
        self.args = args
        self.kwargs = kwargs

    def __call__(self) -> Part:
        """A new part."""
        return self.make(*self.args, **self.kwargs)

    def __repr__(self) -> str:
        arguments = [repr(value) for value in self.args] + [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"part({', '.join([getattr(self.make, '__qualname__', repr(self.make)), *arguments])})"


class Node(Shown):
    """A router with managers and other parts: ``async with Node("solo", Images) as node``.

    ``parts`` are factories: manager classes, or :class:`part` objects where arguments are needed. ``switches`` are the
    addresses (``host:port``) of the switches that join the node to others; ``uplink``, in their place, makes a
    connector of one's own, with the outbox that it is given. A ``durable`` node writes what it publishes to other nodes
    to its host's storage, and goes on with that in its next life. ``host`` is by default the machine, real or
    simulated, that the running loop belongs to. ``settings`` and keyword ``overrides`` (seconds) are
    :class:`~edri_sim.settings.Settings`; the token, certificates and allow-lists of the lines to switches are there.

    On leaving the block the node drains: it takes no more calls from outside, lets its handlers finish what is queued
    for up to ``drain_timeout``, and then cancels the rest. On the main thread, outside notebooks, SIGTERM and Ctrl-C
    end the block in this way too.
    """

    def __init__(
        self, name: str, *parts: PartFactory, switches: Sequence[str] = (), durable: bool = False,
        uplink: Uplinks | None = None, host: Host | None = None, settings: Settings | None = None,
        **overrides: Any,
    ) -> None:  # fmt: skip
        self.name = check_name("node", name)
        for factory in parts:
            if not callable(factory):
                raise DeclarationError(f"node {name!r}: part {factory!r} is no factory; pass the class or part(...)")
        if settings is not None and overrides:
            raise DeclarationError(f"node {name!r}: pass settings= or single settings, not both")
        self._uplink = uplink or (_joined(switches) if switches else None)
        if durable and self._uplink is None:
            raise DeclarationError(f"node {name!r}: durable=True is for what goes to other nodes: give it switches=")
        self._durable = durable
        self._factories = parts
        self._host = host
        self._settings = settings or Settings.load(environment=os.environ, **overrides)
        self._router: Router | None = None
        self._life: NodeContext | None = None
        self._running: list[RunningPart] = []
        self._accepting = False
        self._started = 0.0
        self._changing = asyncio.Lock()
        self._terminated = False

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"<Node {self.name} {state}>"

    @property
    def parts(self) -> tuple[PartFactory, ...]:
        """The factories of its parts, as they were given."""
        return self._factories

    @property
    def running(self) -> bool:
        """Whether it takes events."""
        return self._accepting

    # Publishing

    def request(
        self, event: Request[R], *, timeout: float | None = None, retry: Retry | None = None
    ) -> Coroutine[Any, Any, R]:
        """Await this to send a request to one provider and get its reply.

        ``timeout`` in seconds, by default the setting ``request_timeout``. An idempotent request can be tried again:
        see :class:`~edri_sim.routing.retrying.Retry`. Raises a :class:`~edri_sim.errors.RequestError`; see
        :meth:`Router.request`.
        """
        router, life = self._open_router(), self._life
        if retry is None or life is None:
            return router.request(event, timeout=timeout)
        return life.port.request(event, timeout=timeout, retry=retry)

    def notify(self, event: Notification) -> Coroutine[Any, Any, None]:
        """Await this to send a notification to all subscribers, until each mailbox has taken it or given it up."""
        return self._open_router().notify(event)

    def open(self, event: Tunnel[Up, Down], *, timeout: float | None = None) -> Opening[Up, Down]:
        """``async with node.open(event) as tunnel``: open a tunnel to one provider; entered once its handler has begun.

        ``timeout`` in seconds is for the opening alone, by default the setting ``request_timeout``; an open tunnel
        lasts until its handler returns, or the block is left. Raises what :meth:`request` raises; see
        :class:`~edri_sim.routing.tunnel.TunnelEnd` for what can be done with the tunnel.
        """
        return self._open_router().open(event, timeout=timeout)

    async def subscribed(self, event: type[Any], count: int = 1, *, timeout: float | None = None) -> None:
        """Return once ``count`` nodes, this one included, want events of this class.

        ``timeout`` in seconds, by default the setting ``request_timeout``. Raises NoRoute when it has passed.
        """
        limit = self._settings.request_timeout if timeout is None else timeout
        await self._open_router().table.subscribed(event, count, limit)

    async def takes(self, event: type[Any]) -> bool:
        """Whether a part of this node takes events of this class."""
        return self._open_router().table.wants(event)

    async def settled(self) -> None:
        """Return once nothing that was published to other nodes waits: each event was taken there, or given up."""
        self._open_router()
        for running in self._running:
            await running.settled()

    async def health(self) -> Health:
        """How the node and its parts are doing now. Raises NodeStopped if it is not running, nor about to stop."""
        router, host = self._router, self._host
        if router is None or host is None:
            raise self._not_running()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(running.health()) for running in self._running]
        parts = tuple(task.result() for task in asked)
        state = worst(part.state for part in parts) if self._accepting else STOPPING
        uptime = asyncio.get_running_loop().time() - self._started
        incarnation = router.origin.incarnation
        return Health(self.name, incarnation, state, uptime, host.memory(), router.live, router.late, parts)

    def overfull(self) -> list[str]:
        """What of it holds more now than its bounds allow, in words; see :mod:`edri_sim.invariants`."""
        return [words for running in self._running for words in running.overfull()]

    def _open_router(self) -> Router:
        if not self._accepting or self._router is None:
            raise self._not_running()
        return self._router

    def _not_running(self) -> NodeStopped:
        return NodeStopped(f"node {self.name!r} is not running: use it inside 'async with Node(...)'")

    # Life

    @property
    def trace(self) -> Trace:
        """What is recorded of this node's host."""
        if self._host is None:
            raise NodeStopped(f"node {self.name!r} was never started, so it has no trace")
        return self._host.trace

    @property
    def types(self) -> TypeTable:
        """The event types that it knows. Raises NodeStopped if it does not run."""
        return self._open_router().types

    async def __aenter__(self) -> Self:
        await self.start()
        assert self._host is not None
        task = asyncio.current_task()
        assert task is not None
        self._undo_terminate = self._host.on_terminate(lambda: self._terminate(task))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        except asyncio.CancelledError:
            if not self._terminated:  # A second SIGTERM cuts the drain short, and is no error.
                raise
        finally:
            self._undo_terminate()
        if self._terminated:
            raise SystemExit(TERMINATED)

    def _terminate(self, task: asyncio.Task[Any]) -> None:
        self._terminated = True
        task.cancel()

    async def start(self) -> None:
        """Make the parts and start them, in the order they were given.

        Raises what a part's start raises, with all that had started stopped again; SettingsError, for a switch on
        another machine without certificates too, unless the setting ``insecure`` is on.
        """
        if self._router is not None:
            raise NodeStopped(f"node {self.name!r} runs already")
        host = self._host = self._host or current_host(asyncio.get_running_loop(), self._settings)
        outbox = await self._open_outbox(host)
        try:
            await self._start_parts(host, outbox)
        except GeneratorExit:  # The simulation is over: there is nothing left to await on.
            raise
        except BaseException:
            if outbox is not None:
                await outbox.close()  # Its connector may not have come to be.
            raise
        self._accepting = True
        self._started = asyncio.get_running_loop().time()
        self.log.info("node %s runs", self.name)

    async def _start_parts(self, host: Host, outbox: DurableOutbox | None) -> None:
        context = self._context(host, _incarnation(host) if outbox is None else outbox.incarnation)
        self._life, self._router = context, context.router
        # First, and so last to stop: the other parts may publish while they start and stop.
        joining: list[PartFactory] = [] if self._uplink is None else [part(self._uplink, outbox)]
        try:
            for factory in [*joining, *self._factories]:
                running = factory().run_on(context)
                await running.start()
                self._running.append(running)
        except BaseException:
            await self._stop_parts()
            raise
        if context.router.table.uplink is not None:
            context.router.table.uplink.ready()

    async def _open_outbox(self, host: Host) -> DurableOutbox | None:
        if not self._durable:
            return None
        outbox = DurableOutbox(host, self.name, asyncio.get_running_loop())
        await outbox.open(_incarnation(host))
        return outbox

    def _context(self, host: Host, incarnation: int) -> NodeContext:
        loop = asyncio.get_running_loop()
        origin = Origin(self.name, incarnation)
        log = self.log = NodeLog("node", self.name, host.now)
        router = Router(origin, loop, registry.snapshot(), self._settings, host.trace, log.of("router"))
        port = NodePort(router, host.random(f"{self.name}/retry"), self._settings.request_timeout)
        own = copy_context()
        own.run(current.set, None)
        return NodeContext(self.name, host, loop, router, Turn(loop, own), self._settings, log, port)

    async def renew(self, number: int, factory: PartFactory) -> None:
        """Put a new manager in the place of the part that was given as the ``number``-th, counted from 0.

        What waits there waits for the new one; what runs there may end first, for up to ``drain_timeout``. A new life
        of the node begins with the new one, too. Raises DeclarationError for a part that is no manager, and what the
        making or the start of the new one raises; then the old one goes on.
        """
        async with self._changing:
            life = self._life
            if life is None or not self._accepting:
                raise self._not_running()
            place = len(self._running) - len(self._factories) + number
            old, new = self._running[place], factory().run_on(life)
            if not (isinstance(old, RunningManager) and isinstance(new, RunningManager)):
                raise DeclarationError(f"node {self.name!r}: part {factory!r}: only managers can be renewed")
            await new.succeed(old, self._settings.drain_timeout)
            self._running[place] = new
            self._factories = (*self._factories[:number], factory, *self._factories[number + 1 :])

    async def stop(self) -> None:
        """Drain, then stop all parts in reverse order. Nothing of the node is left when this returns."""
        self._accepting = False
        async with self._changing:
            await self._drain_and_stop()

    async def _drain_and_stop(self) -> None:
        if self._router is None:
            return
        for running in self._running:
            running.leave()
        try:
            async with asyncio.timeout(self._settings.drain_timeout):
                await self._quiet()
        except TimeoutError:
            self.log.warning("node %s did not drain in time", self.name)
        finally:
            await self._stop_parts()
            self.log.info("node %s stopped", self.name)

    async def _quiet(self) -> None:
        """Wait until no part is busy: one part's last event may be another's next."""
        while busy := [running for running in self._running if running.busy]:
            await busy[0].quiet()

    async def _stop_parts(self) -> None:
        router, self._router, self._life = self._router, None, None
        assert router is not None
        router.close()
        running, self._running = self._running, []
        await stop_all(reversed(running))


def _joined(switches: Sequence[str]) -> Uplinks:
    lines = switch_lines(switches)
    return lambda outbox: Connector(lines, outbox=outbox)


def _incarnation(host: Host) -> int:
    """Unix milliseconds << 16 | 16 random bits: it rises at every start that is not within the same millisecond."""
    milliseconds = int(host.now().timestamp() * 1000)
    return milliseconds << 16 | int.from_bytes(host.secret()[:2], "big")
