"""Who sits at the desk, and changes the limits: on a node that cannot tell whether its time is real."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from edri_sim import Store
from system import KEY, Limits, ReadSign

CLERKS = 10
"""How many raise each limit by 1, all at once."""


class Door(Protocol):
    """What one needs of a node."""

    async def request(self, event: Any, *, timeout: float | None = None) -> Any: ...


async def set_limits(door: Door) -> str:
    """Set the limits; clerks then raise one or the other, and none undoes what another has done."""
    store = Store.of(door, timeout=5)
    version = await store.set(KEY, Limits(uploads=10, megabytes=5))
    await gates_show(door, Limits(uploads=10, megabytes=5))
    async with asyncio.TaskGroup() as group:
        for _ in range(CLERKS):
            group.create_task(store.update(KEY, more_uploads, Limits))
            group.create_task(store.update(KEY, more_megabytes, Limits))
    item = await store.item(KEY, Limits)
    assert item is not None
    await gates_show(door, item.value)
    return f"after {item.version - version} changes by {2 * CLERKS} clerks both gates show {item.value}"


def more_uploads(limits: Limits | None) -> Limits:
    return Limits(limits.uploads + 1, limits.megabytes) if limits else Limits()


def more_megabytes(limits: Limits | None) -> Limits:
    return Limits(limits.uploads, limits.megabytes + 1) if limits else Limits()


async def gates_show(door: Door, limits: Limits) -> None:
    """Return once both gates were seen to show these limits: a question goes to one and the other in turns."""
    seen: dict[str, Limits] = {}
    async with asyncio.timeout(10):
        while [*seen.values()] != [limits, limits]:
            sign = await door.request(ReadSign(), timeout=5)
            seen[sign.gate] = sign.limits
            await asyncio.sleep(0.01)
