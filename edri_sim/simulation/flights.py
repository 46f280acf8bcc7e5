"""What travels on a line of the simulated network."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edri_sim.simulation.cables import Direction
    from edri_sim.simulation.handles import Timer


class Ending(Enum):
    """How one direction of a connection ends."""

    EOF = "end of stream"
    RESET = "reset"


class Flight:
    """What was written at one instant, on its way: bytes, or an ending.

    On the express ``due`` is when it arrives; from link to link it is when it left, ``on`` is the link where it is
    (None: it is there) and ``hop`` that link's number. ``timer`` is what happens to it next.
    """

    __slots__ = ("due", "ending", "hop", "on", "parts", "size", "timer")

    hop: int
    on: Direction | None
    timer: Timer | None

    def __init__(self, due: float, ending: Ending | None = None) -> None:
        self.due = due
        self.ending = ending
        self.parts: list[bytes] = []
        self.size = 0
