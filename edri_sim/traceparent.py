"""Which trace an event belongs to, in the form of W3C Trace Context: ``00-<trace id>-<the event's id>-<flags>``.

Every event has an id of its own in its trace, and the trace id of the event whose handler published it; one that no
handler published begins a trace. Both ids follow from event ids, so that nobody draws or keeps them: they are worked
out where somebody asks, and what begins a trace need not say so when it leaves its node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from edri_sim.envelope import Envelope, Job, Trail, current

_FORM = re.compile(r"([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_KNOWN_FLAGS = 3
"""Sampled, and random: others must not be passed on. What begins here says sampled: a trace of it may be recorded."""
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: its multiples lie evenly among the numbers of 64 bits, as what samples by id expects
(Knuth, The Art of Computer Programming, volume 3, 6.4), and no two within one life are the same."""


class _Given(NamedTuple):
    """A traceparent from outside, empty for what was none, and the job in whose context it was given."""

    text: str
    job: Job | None


_given: ContextVar[_Given | None] = ContextVar("edri_sim_given_trace", default=None)


@contextmanager
def continuing(traceparent: str | None) -> Iterator[None]:
    """``with continuing(headers.get("traceparent")): ...``: what is published in the block belongs to this trace.

    None, or what is no traceparent, is no error: what is published then begins a trace. In a handler, the trace of the
    event that is handled is left aside within the block.
    """
    token = take(checked(traceparent or ""))
    try:
        yield
    finally:
        _given.reset(token)


def take(text: str) -> Token[_Given | None]:
    """As :func:`continuing`, until the end of this context; ``text`` is empty or in order."""
    return _given.set(_Given(text, current.get()))


def given(job: Job | None) -> str | None:
    """What :func:`continuing` was given in this context, with ``job`` as the current one; None outside such a block."""
    here = _given.get()
    return None if here is None or here.job is not job else here.text


def inherited(job: Job | None) -> Trail:
    """The trace of what is published now, with ``job`` as the current one; empty where it begins one."""
    here = _given.get()
    if here is not None and here.job is job:
        return here.text
    if job is None or job.done:
        return ""
    envelope = job.envelope
    return envelope.trail or (envelope.origin, envelope.number)


def traceparent(envelope: Envelope) -> str:
    """An event's place in its trace: what is to be told to whom its handler calls."""
    own = _place(_seeds(envelope.origin.node, envelope.origin.incarnation)[2], envelope.number)
    trail = envelope.trail or (envelope.origin, envelope.number)
    if isinstance(trail, str):
        _, id_, _, flags, *_ = trail.split("-")
        return f"00-{id_}-{own:016x}-{int(flags, 16) & _KNOWN_FLAGS:02x}"
    origin, number = trail
    high, low, _ = _seeds(origin.node, origin.incarnation)
    return f"00-{high}{_place(low, number):016x}-{own:016x}-01"


def told(envelope: Envelope) -> str:
    """The traceparent that travels with an event: empty for one that begins a trace, as others can work that out."""
    return traceparent(envelope) if envelope.trail else ""


def checked(text: str) -> str:
    """A traceparent; empty for what is none.

    Of a version that is not known, what this one knows is read, as the specification asks for.
    """
    match = _FORM.fullmatch(text) if text else None
    if match is None:
        return ""
    version, more = match.groups()
    return "" if version == "ff" or (version == "00" and more) else text


def _place(seed: int, number: int) -> int:
    return (seed + number * _STEP) & _MASK or 1  # All zeros is no id.


@lru_cache(maxsize=1_024)
def _seeds(node: str, incarnation: int) -> tuple[str, int, int]:
    """Three numbers of 64 bits for one life of a node, whose own number is in part random; the first in hexadecimal."""
    digest = blake2b(f"{node}/{incarnation:x}".encode(), digest_size=24).digest()
    return digest[:8].hex(), int.from_bytes(digest[8:16]), int.from_bytes(digest[16:])
