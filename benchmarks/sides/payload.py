"""The payload that every side carries: (int, 32-character string, float)."""

from __future__ import annotations

from dataclasses import dataclass

NUMBER = 7
TEXT = "0123456789abcdef0123456789abcdef"
RATIO = 0.25

OUTSTANDING = 100
SUBSCRIBERS = 10
BURST = 20_000


@dataclass
class Payload:
    """What a request carries, and what its reply carries back.

    Plain, because frozen or slotted dataclasses pickle at half the speed, which would be held against the peers.
    """

    number: int
    text: str
    ratio: float


def payload(number: int = NUMBER) -> Payload:
    """A new payload; each request makes its own, as an application would."""
    return Payload(number, TEXT, RATIO)
