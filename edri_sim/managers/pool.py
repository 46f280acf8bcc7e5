"""The declaration of a pool: which worker, how many, in which mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edri_sim.errors import DeclarationError
from edri_sim.managers.shape import RESTARTS, WITHIN, Shape
from edri_sim.managers.worker import Component, Worker
from edri_sim.routing.mailbox import Overflow, wait

MODES = ("method", "thread", "process")


class Pool:
    """``size`` instances of a worker class behind one mailbox; an attribute of a :class:`Manager` class.

    ``mode``: ``method`` runs the instances on the node's loop, ``thread`` each in a thread of its own, ``process``
    each in a child process. Each instance handles up to ``concurrency`` events at once; ``queue`` more wait in the
    mailbox, and ``overflow`` says what a notification meets that finds it full. ``args`` and ``kwargs`` go to the
    worker's ``__init__``.

    A handler that takes longer than ``time_limit`` seconds is cancelled, and in mode ``process`` killed where it heeds
    that not. When more than ``restarts`` instances have died ``within`` some seconds, the pool is degraded: each
    is replaced after the longest pause, and while none is left, requests go to other providers.

    Raises:
        DeclarationError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        worker: type[Worker],
        *,
        mode: str = "method",
        size: int = 1,
        concurrency: int = 1,
        queue: int = 1_000,
        overflow: Overflow | None = None,
        time_limit: float | None = None,
        restarts: int = RESTARTS,
        within: float = WITHIN,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        if not _is_worker(worker):
            raise DeclarationError(f"Pool({worker!r}): expected a subclass of Worker")
        name = worker.__qualname__
        if mode not in MODES:
            raise DeclarationError(f"Pool({name}, mode={mode!r}): expected one of {', '.join(MODES)}")
        check_count(f"Pool({name}, size", size, 1)
        check_count(f"Pool({name}, concurrency", concurrency, 1)
        check_count(f"Pool({name}, queue", queue, 0)
        check_seconds(f"Pool({name}, time_limit", time_limit, optional=True)
        check_count(f"Pool({name}, restarts", restarts, 0)
        check_seconds(f"Pool({name}, within", within)
        if not isinstance(args, tuple):
            raise DeclarationError(f"Pool({name}, args={args!r}): expected a tuple of arguments")
        if not isinstance(kwargs, dict | None):
            raise DeclarationError(f"Pool({name}, kwargs={kwargs!r}): expected a dict of arguments by name")
        if not isinstance(overflow, Overflow | None):
            raise DeclarationError(f"Pool({name}, overflow={overflow!r}): expected wait(), drop_oldest or drop_newest")
        self.worker = worker
        self.mode = mode
        self.concurrency = concurrency
        self.shape = Shape(mode, size, concurrency, queue, overflow or wait(), time_limit, restarts, within)
        self.args = args
        self.kwargs = dict(kwargs or {})
        self.name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Pool({self.worker.__qualname__}, mode={self.mode!r}, size={self.shape.size})"

    @property
    def make(self) -> Callable[[], Component]:
        """Makes one instance of the worker."""
        return _Maker(self.worker, self.args, self.kwargs)


def _is_worker(worker: object) -> bool:
    return isinstance(worker, type) and issubclass(worker, Worker)


class _Maker:
    """A call that can be sent to a child process."""

    def __init__(self, worker: type[Worker], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._call = (worker, args, kwargs)

    def __call__(self) -> Component:
        worker, args, kwargs = self._call
        return worker(*args, **kwargs)


def check_count(what: str, value: object, least: int) -> None:
    """Raise a DeclarationError unless ``value`` is a whole number of at least ``least``."""
    if type(value) is not int or value < least:
        raise DeclarationError(f"{what}={value!r}): expected a whole number, {least} or more")


def check_seconds(what: str, value: object, *, optional: bool = False) -> None:
    """Raise a DeclarationError unless ``value`` is a number above 0, or None where it is ``optional``."""
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise DeclarationError(f"{what}={value!r}): expected seconds above 0{', or None' if optional else ''}")
