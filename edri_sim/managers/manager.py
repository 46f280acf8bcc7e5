"""The user's manager: subscribes to event types, handles some itself, and has pools for the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

from edri_sim.errors import DeclarationError
from edri_sim.events import EventType
from edri_sim.managers.handlers import HandlerSpec, caller_names
from edri_sim.managers.observing import ObserverTable, RunningObserver
from edri_sim.managers.pool import Pool, check_count, check_seconds
from edri_sim.managers.running_pool import RunningPool
from edri_sim.managers.saying import ask
from edri_sim.managers.shape import Shape
from edri_sim.managers.slot import WorkerPlan
from edri_sim.managers.stopping import stop_all
from edri_sim.managers.succession import succeed
from edri_sim.managers.worker import Component
from edri_sim.routing.context import NodeContext
from edri_sim.routing.health import DEGRADED, OK, PartHealth, worst
from edri_sim.routing.mailbox import Overflow, wait


class Manager(Component):
    """Derive from this; mark handlers with ``@handles``, and declare pools as class attributes.

    The manager's own handlers run on the node's loop. They start in mailbox order and run concurrently, up to
    ``concurrency`` at once (1 makes it an actor); ``queue`` more wait, and ``overflow`` says what a notification meets
    that finds the mailbox full. A handler that takes longer than ``time_limit`` seconds is cancelled.
    """

    observer_table: ClassVar[ObserverTable]
    concurrency: ClassVar[int] = 1_000
    queue: ClassVar[int] = 1_000
    overflow: ClassVar[Overflow] = wait()
    time_limit: ClassVar[float | None] = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        check_count(f"{cls.__qualname__}(concurrency", cls.concurrency, 1)
        check_count(f"{cls.__qualname__}(queue", cls.queue, 0)
        check_seconds(f"{cls.__qualname__}(time_limit", cls.time_limit, optional=True)
        cls.observer_table = ObserverTable(cls, caller_names())
        if not isinstance(cls.overflow, Overflow):
            raise DeclarationError(f"{cls.__qualname__}.overflow: expected wait(), drop_oldest or drop_newest")

    @classmethod
    def pools(cls) -> dict[str, Pool]:
        """The pools by attribute name, in order of declaration, a base's first."""
        named = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
        return {name: pool for name, pool in named.items() if isinstance(pool, Pool)}

    def health(self) -> str | Awaitable[str]:
        """Override, as ``def`` or ``async def``, to say how the manager is doing: "ok", or in words what is wrong.

        It is asked by :meth:`Node.health`, and has a second to answer; what it raises is an answer, too.
        """
        return OK

    def run_on(self, context: NodeContext) -> RunningManager:
        """See :class:`~edri_sim.routing.context.Part`."""
        return RunningManager(self, context)


Manager.observer_table = ObserverTable(Manager, {})


class RunningManager:
    """One manager in one life of a node."""

    def __init__(self, manager: Manager, node: NodeContext) -> None:
        cls = type(manager)
        self.label = f"{node.name}/{cls.__name__}"
        self._manager = manager
        self.pools = [self._pool(name, pool, node) for name, pool in cls.pools().items()]
        specs = _handlers(cls, node)
        shape = Shape("method", 1, cls.concurrency, cls.queue, cls.overflow, cls.time_limit)
        plan = _plan(cls, lambda: manager, self.label, cls.concurrency, node)
        self.pools.append(RunningPool(plan, shape, specs, self.label, node))
        self.observers: list[RunningObserver] = [
            RunningObserver(getattr(manager, name), observed, f"{self.label}.{name}", node)
            for name, observed in cls.observer_table.resolve_at_start().items()
        ]

    def _pool(self, name: str, pool: Pool, node: NodeContext) -> RunningPool:
        specs = _handlers(pool.worker, node)
        if not specs:
            raise DeclarationError(f"{pool!r} of {self.label}: {pool.worker.__qualname__} has no method with @handles")
        plan = _plan(pool.worker, pool.make, f"{self.label}.{name}", pool.concurrency, node)
        return RunningPool(plan, pool.shape, specs, self.label, node)

    @property
    def _all(self) -> list[RunningPool | RunningObserver]:
        return [*self.pools, *self.observers]

    @property
    def busy(self) -> bool:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        return any(one.busy for one in self._all)

    async def start(self) -> None:
        """Start the pools, then the manager, so that its ``start`` can use them."""
        started: list[RunningPool] = []
        try:
            for group in self.pools:
                await group.start()
                started.append(group)
        except BaseException:
            await stop_all(reversed(started))
            raise
        for observer in self.observers:
            observer.start()

    async def succeed(self, old: RunningManager, patience: float) -> None:
        """Start in the place of ``old``, between two of its events; see :mod:`edri_sim.managers.succession`."""
        await succeed(self.pools, old.pools, patience)
        await stop_all(old.observers)
        for observer in self.observers:
            observer.start()

    def leave(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`; what other nodes send comes through another part."""

    async def settled(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`; it sends through another part."""

    async def health(self) -> PartHealth:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        pools = tuple(group.health() for group in self.pools)
        says = await ask(self._manager.health)
        state = worst([*(pool.state for pool in pools), OK if says == OK else DEGRADED])
        return PartHealth(self.label, state, says, pools)

    def overfull(self) -> Iterator[str]:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        for group in self.pools:
            yield from group.overfull()

    async def quiet(self) -> None:
        """See :class:`~edri_sim.routing.context.RunningPart`."""
        for one in self._all:
            await one.quiet()

    async def stop(self) -> None:
        """Stop the manager, then its pools."""
        await stop_all([*self.observers, *reversed(self.pools)])


def _handlers(cls: type[Component], node: NodeContext) -> dict[type[Any], HandlerSpec]:
    """The handlers of a class; an error if one takes an event as it was before its cell of a notebook ran again."""
    specs = cls.handler_table.resolve_at_start()
    for spec in specs.values():
        entry: EventType | None = vars(spec.cls).get("__edri__")
        if entry is not None and node.router.types.by_name.get(entry.name, entry).cls is not spec.cls:
            raise DeclarationError(
                f"{cls.__qualname__}.{spec.name} handles an earlier definition of {entry.name}: "
                f"define {cls.__qualname__} again (in a notebook, run its cell again)"
            )
        if entry is not None:
            node.router.types.resolve(spec.cls)  # It may be younger than the node, and other nodes send its name alone.
    return specs


def _plan(
    cls: type[Component], make: Callable[[], Component], label: str, concurrency: int, node: NodeContext
) -> WorkerPlan:
    router = node.router
    log = node.log.of("pool")
    return WorkerPlan(cls, make, label, log, node.port, node.settings, router.types.named, router, concurrency)
