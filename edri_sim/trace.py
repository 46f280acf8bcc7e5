"""What happened, as columns of integers, in one schema for real and for simulated time.

A :class:`Recorder` holds the rows of one run; a :class:`Trace` is one host's way to write to it, and is what
components see. A row is :data:`COLUMNS`, eight 64-bit integers; names are interned, and a name's number is its order
of first use. The digest covers rows and names, and nothing that a library wrote.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edri_sim.audit import Audit
from edri_sim.envelope import event_id
from edri_sim.errors import SettingsError

if TYPE_CHECKING:
    from edri_sim.envelope import Envelope, Job, Origin
    from edri_sim.events import EventType

CREATED, ROUTED, QUEUED, STARTED, FINISHED, REPLIED, FAILED, DROPPED = range(8)
HELD, SENT, RESENT, DELIVERED, DUPLICATE, GIVEN_UP = range(8, 14)
LINK_UP, LINK_DOWN, FAULT_BEGINS, FAULT_ENDS = range(14, 18)
STAGES = (
    "created", "routed", "queued", "started", "finished", "replied", "failed", "dropped",
    "held", "sent", "resent", "delivered", "duplicate", "given up",
    "link up", "link down", "fault begins", "fault ends",
)  # fmt: skip
"""What can happen, first in the life of an event, in order: a stage's code in a row is its place here.

``finished`` is the end of a handler, ``replied`` and ``failed`` the end of a request as its requester sees it, and
``dropped`` the end of a notification as a dead letter. Between routers an event is ``held`` in the outbox, ``sent``,
perhaps ``resent``, and ``delivered`` to the other router, which drops a ``duplicate``; or it is ``given up``. The rows
of links and faults are about no event: see :meth:`Trace.mark`.
"""

COLUMNS = ("time_ns", "stage", "node", "component", "origin", "number", "type", "detail")
"""``detail`` is what the stage adds: the event that was handled meanwhile (created; see :func:`cause_of`), the slot
(started), a name (failed, dropped; the other router, for what happens between routers)."""

LEVELS = ("full", "sampled", "counters", "off")
_WIDTH = len(COLUMNS)
_ROW = struct.Struct(f"<{_WIDTH}q")
_NUMBER_BITS = 40
"""Of the number of an event in a ``detail``; above them is its origin."""
BLOCK = 256 * _WIDTH
"""Integers in a block: few enough that the open one stays in the processor's cache."""


def cause(job: Job | None, origin: int) -> int:
    """The ``detail`` of an event of ``origin`` that was published by the handler of ``job``; 0 if by none."""
    if job is None:
        return 0
    return cause_detail(job.envelope.names[0], job.envelope.number, origin)


def cause_detail(whose: int, number: int, origin: int) -> int:
    """The ``detail`` of an event of ``origin`` that came of event ``number`` of ``whose``: see :func:`cause_of`."""
    return number if whose == origin else whose << _NUMBER_BITS | number


def cause_of(origin: int, detail: int) -> tuple[int, int] | None:
    """Origin and number of the event that an event of ``origin`` came of, by its row ``created``; None if of none."""
    return (detail >> _NUMBER_BITS or origin, detail & (1 << _NUMBER_BITS) - 1) if detail else None


class Names:
    """A two-way table of strings and small integers, in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        """The number of ``name``, which gets the next one when it is new."""
        return self._numbers.setdefault(name, len(self._numbers))

    def list(self) -> list[str]:
        """All names, by number."""
        return list(self._numbers)


class Outcome(NamedTuple):
    """How one event ended: a line of the bounded ring that every level keeps. Times in seconds on the node's loop."""

    event_id: str
    type: str
    outcome: str
    created: float
    ended: float


class Recorder:
    """The rows of one run, in blocks, with a digest that grows with them.

    After ``cap`` rows (0: no cap) nothing more is kept or digested; ``lost`` then says how many rows were not. ``keep``
    gets each block that is closed, in place of this recorder: it then has no rows to show.
    """

    def __init__(self, *, cap: int = 0, keep: Callable[[bytes], None] | None = None) -> None:
        self.cap = cap
        self.lost = 0
        self.names = Names()
        self.slots: dict[str, int] = {}
        self.audit = Audit()
        self._blocks: list[bytes] = []
        self._keep = self._blocks.append if keep is None else keep
        self._sealed = 0
        self.open: list[int] = []
        """The block that is being written: whole rows of :data:`COLUMNS`, flat. Seal it at :data:`BLOCK` integers."""
        self._digest = hashlib.blake2b(digest_size=16)
        self._closed_at: int | None = None

    def __len__(self) -> int:
        return self._sealed + len(self.open) // _WIDTH

    def seal(self) -> None:
        """Close the open block, and digest it."""
        rows = self.open
        if self._closed_at is not None:
            rows.clear()
        if self.cap and len(self) > self.cap:
            kept = max(0, self.cap - self._sealed)
            self.lost += len(rows) // _WIDTH - kept
            del rows[kept * _WIDTH :]
        if rows:
            block = struct.pack(f"<{len(rows)}q", *rows)
            self._digest.update(block)
            self._keep(block)
            self._sealed += len(rows) // _WIDTH
            rows.clear()

    def close(self) -> None:
        """Keep what there is now; what is recorded from here on is forgotten, and changes no digest."""
        if self._closed_at is None:
            self.seal()
            self._closed_at = len(self.names.list())

    def blocks(self) -> Iterator[bytes]:
        """All rows so far: little-endian 64-bit integers, whole rows in each block."""
        self.seal()
        return iter(self._blocks)

    def rows(self) -> Iterator[tuple[int, ...]]:
        """All rows so far, one tuple each."""
        for block in self.blocks():
            yield from _ROW.iter_unpack(block)

    def digest(self) -> str:
        """32 hexadecimal digits over all rows and names so far; equal runs have equal digests."""
        self.seal()
        whole = self._digest.copy()
        whole.update("\0".join(self.names.list()[: self._closed_at]).encode())
        return whole.hexdigest()


class Record(Protocol):
    """Writes one row: a stage that ``envelope`` reached at ``component``, now."""

    def __call__(self, stage: int, component: int, envelope: Envelope, detail: int = 0) -> None:
        """Write the row."""


class Counters:
    """How the events of each type ended, and the last few of them: cheap enough to be always on."""

    def __init__(self, ring: int) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        # Not the envelope itself: the ring must not keep payloads alive.
        self._ring: deque[tuple[Origin, int, str, str, float, float]] = deque(maxlen=ring)

    def of(self, outcome: str) -> dict[str, int]:
        """The counts of one outcome, by type: hot paths count in it themselves, and keep no line."""
        return self._counts.setdefault(outcome, {})

    def add(self, envelope: Envelope, outcome: str, now: float) -> None:
        """Count the end of one event; ``now`` in seconds on the node's loop."""
        name = envelope.type.name
        counts = self._counts.get(outcome)
        if counts is None:
            counts = self._counts[outcome] = {}
        counts[name] = counts.get(name, 0) + 1
        self._ring.append((envelope.origin, envelope.number, name, outcome, envelope.created, now))

    @property
    def ended(self) -> dict[tuple[str, str], int]:
        """How many events have ended, by type and outcome."""
        return {(name, outcome): count for outcome, counts in self._counts.items() for name, count in counts.items()}

    def recent(self) -> list[Outcome]:
        """The last events that ended, oldest first."""
        return [
            Outcome(event_id(origin, number), name, outcome, created, now)
            for origin, number, name, outcome, created, now in self._ring
        ]


class Trace:
    """One host's way to record what happens.

    ``record`` is None when this level writes no rows: hot paths look at it before they call. ``ended`` is always
    there, and counts.
    """

    record: Record | None

    def __init__(
        self,
        level: str,
        node: str,
        clock_ns: Callable[[], int],
        *,
        recorder: Recorder | None = None,
        ring: int = 256,
        sample: int = 100,
    ) -> None:
        if level not in LEVELS:
            raise SettingsError(f"trace level {level!r}: expected one of {', '.join(LEVELS)}")
        self.level = level
        self.recorder = recorder if recorder is not None else Recorder()
        self.counters = Counters(ring)
        self.ended: Callable[[Envelope, str, float], None] = self.counters.add
        self._node = self.recorder.names.number(node)
        self._clock_ns = clock_ns
        self._sample = sample
        makers = {"full": self._writer, "sampled": self._sampler, "counters": _nobody, "off": _nobody}
        self.record = makers[level]()
        self._mark = None if self.record is None else self._marker()
        if level == "off":
            self.ended = _nothing

    def component(self, label: str, slots: int = 0) -> int:
        """The number of a component of this host; ``slots`` is how many events it can handle at once."""
        self.recorder.slots[label] = slots
        return self.recorder.names.number(label)

    def detail(self, text: str) -> int:
        """The number of a name that a row's ``detail`` points to."""
        return self.recorder.names.number(text)

    def mark(self, stage: int, component: int, subject: str, detail: int = 0) -> None:
        """Write a row about ``subject``, a link or a fault, and no event; the levels that write no rows write none."""
        if self._mark is not None:
            self._mark(stage, component, subject, detail)

    def names(self, origin: Origin, kind: EventType) -> tuple[int, int]:
        """How this trace numbers an origin and an event type: what an envelope carries for its rows."""
        number = self.recorder.names.number
        return number(f"{origin.node}/{origin.incarnation:x}"), number(kind.name)

    def _writer(self) -> Record:
        """The function that writes rows: a closure, for it runs six times for each request."""
        rows, node, clock_ns, seal = self.recorder.open, self._node, self._clock_ns, self.recorder.seal
        extend = rows.extend

        def record(stage: int, component: int, envelope: Envelope, detail: int = 0) -> None:
            origin, kind = envelope.names
            extend((clock_ns(), stage, node, component, origin, envelope.number, kind, detail))
            if len(rows) >= BLOCK:
                seal()

        return record

    def _marker(self) -> Callable[[int, int, str, int], None]:
        recorder, node, clock_ns = self.recorder, self._node, self._clock_ns

        def mark(stage: int, component: int, subject: str, detail: int) -> None:
            recorder.open.extend((clock_ns(), stage, node, component, 0, 0, recorder.names.number(subject), detail))
            if len(recorder.open) >= BLOCK:
                recorder.seal()

        return mark

    def _sampler(self) -> Record:
        write, every = self._writer(), self._sample

        def record(stage: int, component: int, envelope: Envelope, detail: int = 0) -> None:
            if envelope.number % every == 0:
                write(stage, component, envelope, detail)

        return record


def _nobody() -> None:
    """Makes no writer: the levels that write no rows."""


def _nothing(*_: object) -> None:
    """Counts nothing: the level ``off``."""
