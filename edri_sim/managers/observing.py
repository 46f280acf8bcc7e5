"""Observers: methods of a manager that see requests pass, and change nothing of what becomes of them."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from edri_sim.envelope import current
from edri_sim.errors import DeclarationError
from edri_sim.events import Request
from edri_sim.managers.handlers import OBSERVES, marked
from edri_sim.routing.context import NodeContext
from edri_sim.routing.observing import Observation

F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, None]])
Observer = Callable[[Observation[Any]], Coroutine[Any, Any, None]]

ROOM = 1_000
"""Observations that wait for an observer; with more, the oldest are missed."""


def observes(function: F) -> F:
    """Mark a method of a :class:`Manager` as an observer: ``async def audit(self, seen: Observation[Buy])``.

    It is shown each request of that class, or of a subclass, once it has ended: those which this node has made, and
    those which came here from other nodes; one after the other, in the order in which they ended. It is no provider.
    """
    setattr(function, OBSERVES, True)
    return function


class ObserverTable:
    """The observers of one manager class: see :class:`~edri_sim.managers.handlers.HandlerTable`."""

    def __init__(self, owner: type[Any], names: Mapping[str, Any]) -> None:
        self._owner = owner
        self._marked = marked(owner, OBSERVES)
        self._names = dict(names) if self._marked else {}
        self._classes: dict[str, type[Any]] | None = None
        try:
            self.resolve()
        except NameError:
            self._classes = None

    def resolve(self) -> dict[str, type[Any]]:
        """The classes of requests by the method's name. Raises DeclarationError, and NameError for an unknown name."""
        if self._classes is None:
            self._classes = {name: self._observed(name, function) for name, function in self._marked.items()}
            self._names.clear()
        return self._classes

    def resolve_at_start(self) -> dict[str, type[Any]]:
        """The same for a node that starts: a name that is still unknown is a DeclarationError."""
        try:
            return self.resolve()
        except NameError as error:
            raise DeclarationError(f"{self._owner.__qualname__}: an observer's annotation: {error}") from error

    def _observed(self, name: str, function: Callable[..., Any]) -> type[Any]:
        where = f"{self._owner.__qualname__}.{name}"
        if not inspect.iscoroutinefunction(function):
            raise DeclarationError(f"{where}: an observer is an async def")
        parameters = list(inspect.signature(function).parameters)
        if len(parameters) != 2:
            raise DeclarationError(f"{where}: an observer takes self and one Observation")
        hints = get_type_hints(function, localns={**vars(self._owner), **self._names})
        hint = hints.get(parameters[1])
        (observed,) = get_args(hint) if get_origin(hint) is Observation else (hint,)
        cls = get_origin(observed) or observed
        if get_origin(hint) is not Observation or not (isinstance(cls, type) and issubclass(cls, Request)):
            raise DeclarationError(
                f"{where}: annotate the parameter {parameters[1]!r} with Observation[R], where R is a class of"
                " requests, or Request for all of them"
            )
        return cls


class RunningObserver:
    """One observer in one life of a node. It has a queue of its own, and nobody ever waits for it."""

    def __init__(self, function: Observer, cls: type[Any], label: str, node: NodeContext) -> None:
        self.label = label
        self.missed = 0
        self._function = function
        self._cls = cls
        self._node = node
        self._log = node.log.of("observer")
        self._queue: deque[Observation[Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._context = copy_context()
        self._context.run(current.set, None)

    def start(self) -> None:
        """See what ends from now on."""
        self._node.router.observers.add(self._cls, self._take)

    def _take(self, observation: Observation[Any]) -> None:
        if len(self._queue) >= ROOM:
            self._queue.popleft()
            self.missed += 1
            if self.missed == 1:
                self._log.warning("%s is slower than requests pass, and misses some (others are counted)", self.label)
        self._queue.append(observation)
        if self._task is None:
            self._task = self._node.loop.create_task(self._run(), context=self._context.copy())

    async def _run(self) -> None:
        while self._queue:
            try:
                await self._function(self._queue.popleft())
            except Exception:
                self._log.exception("%s failed", self.label)
        self._task = None

    @property
    def busy(self) -> bool:
        """Whether it has something to see still."""
        return self._task is not None

    async def quiet(self) -> None:
        """Return when it has seen everything."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """See nothing more, and end what runs."""
        self._node.router.observers.remove(self._take)
        missed = self.missed + len(self._queue)
        self._queue.clear()
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.sleep(0)  # What heeds it ends in this turn, and so leaves no task behind.
        if missed:
            self._log.warning("%s has missed %d observations", self.label, missed)
