"""Bad input is refused before anything else is done with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from edri_sim.errors import CodecError
from edri_sim.events import event_type
from edri_sim.storing.refusals import BadArgument, ValueTooLarge
from edri_sim.storing.values import well_formed

LONGEST_KEY = 512
"""Bytes of UTF-8."""
LONGEST_LIFE = 100 * 365 * 86_400
"""Seconds: no time to live is longer than 100 years."""
LONGEST_PAGE = 1_000
"""Entries."""


def check(event: Any, largest: int) -> None:
    """Check a request; values may have up to ``largest`` bytes.

    Raises:
        BadArgument, ValueTooLarge: naming the argument, what it is, and what it may be.
    """
    entry = event_type(event)
    try:
        entry.codec.validate(event)
    except CodecError as error:
        raise BadArgument(str(error)) from None
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if value is not None and field.name in _RULES:
            _RULES[field.name](f"{type(event).__name__}.{field.name}", value, largest)


def _key(where: str, key: str, _: int) -> None:
    size = len(key.encode())
    if not 0 < size <= LONGEST_KEY:
        raise BadArgument(f"{where}: {_shown(key)} has {size} bytes in UTF-8: expected 1 to {LONGEST_KEY}")


def _part_of_key(where: str, part: str, _: int) -> None:
    if part:
        _key(where, part, 0)


def _shown(key: str) -> str:
    return repr(key if len(key) <= 40 else f"{key[:40]}...")


def _ttl(where: str, ttl: float, _: int) -> None:
    if not 0 < ttl <= LONGEST_LIFE:
        raise BadArgument(f"{where}={ttl:g}: expected seconds above 0, and at most {LONGEST_LIFE} (100 years)")


def _limit(where: str, limit: int, _: int) -> None:
    if not 1 <= limit <= LONGEST_PAGE:
        raise BadArgument(f"{where}={limit}: expected 1 to {LONGEST_PAGE} entries; ask for what comes after them next")


def _value(where: str, value: bytes, largest: int) -> None:
    if len(value) > largest:
        raise ValueTooLarge(
            f"{where} is {len(value)} bytes, and this store takes {largest} at most: keep it elsewhere and store where "
            "it is, or give the store a larger max_value"
        )
    if not well_formed(value):
        raise BadArgument(f"{where}: expected one value in MessagePack, such as pack(...) gives")


_RULES: dict[str, Callable[[str, Any, int], None]] = {
    "key": _key,
    "prefix": _part_of_key,
    "after": _part_of_key,
    "ttl": _ttl,
    "limit": _limit,
    "value": _value,
}
