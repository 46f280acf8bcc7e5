"""The seam between a pool and what runs its workers: a slot runs one instance."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edri_sim.envelope import Job
from edri_sim.errors import HandlerError, Refused, RequestError
from edri_sim.events import EventType
from edri_sim.logs import NodeLog
from edri_sim.managers.blocking import Port
from edri_sim.managers.worker import Component
from edri_sim.routing.opening import Starter
from edri_sim.settings import Settings


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """All that is needed to make an instance, here or in another process.

    ``resolve`` gives the node's type of a wire name, and raises DeclarationError for one that it does not know;
    ``starter`` is where tunnels begin.
    """

    cls: type[Component]
    make: Callable[[], Component]
    label: str
    log: NodeLog
    port: Port
    settings: Settings
    resolve: Callable[[str], EventType]
    starter: Starter
    concurrency: int = 1


class SlotOwner(Protocol):
    """Whom a slot tells how its jobs ended: the pool. All calls come on the node's loop."""

    def started(self, job: Job) -> None:
        """The worker turns to this job; only a slot whose ``starts_at_once`` is False says so."""

    def ended(self, job: Job, value: Any, error: RequestError | None) -> None:
        """The handler returned ``value``; or it raised, or its reply cannot be sent, which ``error`` says."""

    def jobs_of(self, slot: Slot) -> list[Job]:
        """The jobs of the slot that run."""

    async def settled(self, slot: Slot) -> None:
        """Return when no job of the slot runs any more."""

    def lost(self, slot: Slot, reason: str) -> None:
        """The worker died with whatever it was handling; the slot is of no more use, but to be stopped."""


class Slot(Protocol):
    """One instance of a worker, and the means to run its handlers."""

    index: int
    starts_at_once: bool
    """Whether the worker turns to a job when it is submitted."""

    async def start(self) -> None:
        """Make the instance and call its ``start``. Raises what that raises."""

    def submit(self, job: Job) -> None:
        """Begin a job; its end is told to the owner, later or before this returns."""

    def cancel(self, job: Job) -> None:
        """Nobody waits for this job any more: mark it, and stop it as far as the mode allows."""

    async def stop(self) -> None:
        """Wait for the jobs that run, which are cancelled, call the instance's ``stop``, and leave nothing behind."""


def broken(error: BaseException) -> str:
    """Why a worker is of no more use, in its own words."""
    return f"is broken: {error}" if str(error) else "is broken"


def handler_error(error: BaseException) -> RequestError:
    """What a requester is told of an exception that left a handler.

    A refusal is told as it is; of any other exception, its class's name and its traceback, as text.
    """
    if isinstance(error, Refused):
        return error.with_traceback(None)
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    text = "".join(traceback.format_exception(error))
    return HandlerError(f"{name}: {error}", type_name=name, remote_traceback=text)
