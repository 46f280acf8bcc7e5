"""Many numbered events from one node to another, and the program of a sender that is killed while it sends."""

from __future__ import annotations

import asyncio
import sys

from edri_sim import Manager, Node, Notification, event, handles


@event
class Drop(Notification):
    number: int


class Taker(Manager):
    """Keeps the number of each drop, with when it came on the loop's clock."""

    def __init__(self, taken: list[int], times: list[float]) -> None:
        self._taken = taken
        self._times = times

    @handles
    async def on_drop(self, event: Drop) -> None:
        self._taken.append(event.number)
        self._times.append(asyncio.get_running_loop().time())


async def send(address: str, data: str, first: int) -> None:
    """Publish drops from ``first`` on, and print the number of each that was accepted; none if ``first`` is below 0."""
    async with Node("sender", switches=[address], durable=True, data=data) as node:
        if first < 0:
            await asyncio.get_running_loop().create_future()
        await node.subscribed(Drop, timeout=30)
        number = first
        while True:
            await node.notify(Drop(number))
            print(number, flush=True)
            number += 1


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
