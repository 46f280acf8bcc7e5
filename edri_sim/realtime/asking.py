"""What a run in real time and the child processes that are its machines say to each other.

The frames are those of :mod:`edri_sim.realtime.messages`, over a socket pair that nobody else can reach.
"""

from __future__ import annotations

import pickle
from typing import Any

from edri_sim.errors import EdriError
from edri_sim.realtime.messages import Message
from edri_sim.realtime.sending import dumps


class Boot(Message):
    """To the child, first: ``part`` is a cloudpickle of the import path and of what the child has to be."""

    part: bytes


class Ask(Message):
    """To the child: do this."""

    number: int
    deed: str
    arguments: list[Any]


class Told(Message):
    """From the child: it is done, and this is what came of it."""

    number: int
    value: Any


class Raised(Message):
    """From the child: it raised this, by pickle. Number 0 is its start."""

    number: int
    error: bytes


ToMachine = Boot | Ask
FromMachine = Told | Raised


def packed(error: BaseException) -> bytes:
    """An exception that the other side can raise: itself, or its words where it cannot be sent."""
    try:
        data = dumps(error)
        pickle.loads(data)
    except Exception:
        return dumps(EdriError(f"{type(error).__name__}: {error}"))
    return data
