"""What components need of the machine they run on, beyond asyncio.

A component is handed a :class:`Host` and asks it for all that differs between a real machine and a simulated one, so
that it never can, and never needs to, tell which of them it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from edri_sim.settings import Settings
    from edri_sim.trace import Trace


class RandomStream(Protocol):
    """The part of a seeded generator that components draw from."""

    def random(self) -> float:
        """A number in [0, 1)."""

    def uniform(self, a: float, b: float) -> float:
        """A number in [a, b]."""


Statement = tuple[str, Sequence[Sequence[Any]]]
"""SQL, and the rows of parameters that it runs once each for; ``[()]`` for what takes none."""


class Storage(Protocol):
    """A small SQLite database of one host, by name, that outlives the program and whatever ends it.

    It is opened, made if need be, and locked by the first call; only :meth:`close`, or the end of the program, unlocks
    it. Close it also when the first call failed. Calls take effect in the order in which they were made.

    Every call raises StorageError, which says what would be right, where the file is in use by another, cannot be
    written, has no room left, is damaged, or refuses the SQL. A call that is cancelled takes effect all the same.
    """

    async def commit(self, batch: Sequence[Statement]) -> None:
        """Store all of ``batch``, as one transaction; nothing of it after a StorageError.

        Once this returns, neither a crash of the program nor a power cut undoes it.
        """

    async def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that ``query`` finds. What it changes is not kept."""

    async def close(self) -> None:
        """Let go of the file, once all that was asked for is done. Later calls raise StorageError."""


class Spawner(Protocol):
    """How an executor is asked for slots; see :mod:`edri_sim.managers.slot` for the types that it deals in."""

    def slot(self, plan: Any, owner: Any, index: int) -> Any:
        """A slot for one instance of the worker that ``plan`` describes, not started yet."""


class Host(Protocol):
    """One machine, real or simulated."""

    @property
    def name(self) -> str:
        """The name of the machine, for logs and traces."""

    @property
    def trace(self) -> Trace:
        """Where this host's components record what happens."""

    def now(self) -> datetime:
        """The wall clock, with its time zone. It may jump; intervals are measured on the loop's clock."""

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on the running loop once :meth:`now` has reached ``when``; what is returned undoes this.

        Never early, however the wall clock jumps; up to a minute late after a jump that nobody tells this host of.
        """

    def random(self, name: str) -> RandomStream:
        """A stream of its own for each name, so that one component's draws never shift another's."""

    def is_private(self, address: str) -> bool:
        """Whether a name or number of a host is this machine's own: nobody else can connect there, or listen in."""

    def secret(self) -> bytes:
        """16 bytes that an outsider cannot guess (in a simulation: drawn from the seed)."""

    def memory(self) -> int:
        """Bytes of memory that this program holds; 0 where that is not known."""

    def executor(self, mode: str) -> Spawner:
        """What runs workers in ``mode``: ``method``, ``thread`` or ``process``."""

    def storage(self, name: str) -> Storage:
        """A handle on the storage ``name`` (1 to 64 of a-z, 0-9, '.', '_' and '-'), which nothing touches yet.

        Raises SettingsError where this host has no place for files: see the setting ``data``.
        """

    def on_terminate(self, stop: Callable[[], None]) -> Callable[[], None]:
        """Call ``stop`` when the machine asks this program to end (SIGTERM); what is returned undoes this."""


BACKGROUND: ContextVar[bool] = ContextVar("edri_sim_background", default=False)
"""True in the context of periodic housekeeping: timers that are set there do not keep a simulation running."""

_default: Callable[[Settings], Host] | None = None


def set_default_host(factory: Callable[[Settings], Host]) -> None:
    """Say what :func:`current_host` makes outside a simulation; the package does this once, when it is imported."""
    global _default
    _default = factory


def current_host(loop: object, settings: Settings) -> Host:
    """The host that ``loop`` belongs to: a simulated loop knows its own, any other loop is on this machine."""
    host: Host | None = getattr(loop, "host", None)
    if host is not None:
        return host
    if _default is None:
        raise RuntimeError("no default host is set: import the package edri_sim, not a part of it alone")
    return _default(settings)
