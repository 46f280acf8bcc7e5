"""The shop's customers: they cannot tell whether the shop, or its time, is real."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

from edri_sim.errors import RequestError
from system import GOODS, Buy, CountLetters

CUSTOMERS = 150
RATE = 100.0
"""Customers a second, on average: they come as they like, and not in step."""
PATIENCE = 5.0
"""Seconds that a customer waits."""


class Door(Protocol):
    """What customers need of a node."""

    async def request(self, event: Any, *, timeout: float | None = None) -> Any: ...


class Day:
    """What came of a day: the order numbers, how many found nothing left, the errors, and seconds until an answer."""

    def __init__(self) -> None:
        self.orders: list[int] = []
        self.sold_out = 0
        self.errors: list[str] = []
        self.waited: list[float] = []
        self.letters: dict[str, int] = {}

    def summary(self) -> str:
        waited = sorted(self.waited)
        middle = 1000 * waited[len(waited) // 2] if waited else float("nan")
        lines = [
            f"{len(self.orders) + self.sold_out + len(self.errors)} customers: {len(self.orders)} bought something,"
            f" {self.sold_out} found it sold out, {len(self.errors)} got no answer",
            f"an answer took {middle:.1f} ms (median)",
            "letters: " + ", ".join(f"{count} {kind}" for kind, count in self.letters.items()),
        ]
        return "\n".join([*lines, *sorted(set(self.errors))])


async def spend_a_day(door: Door) -> Day:
    """Let all customers come and go, and then wait for the last of their letters."""
    day, chance = Day(), random.Random(7)
    before = sum((await door.request(CountLetters(), timeout=PATIENCE)).values())
    async with asyncio.TaskGroup() as group:
        for number in range(CUSTOMERS):
            group.create_task(visit(door, day, f"customer {number}", chance.choice(sorted(GOODS))))
            await asyncio.sleep(chance.expovariate(RATE))
    async with asyncio.timeout(PATIENCE):
        while True:
            day.letters = await door.request(CountLetters(), timeout=PATIENCE)
            if sum(day.letters.values()) - before >= len(day.orders):
                return day
            await asyncio.sleep(0.01)


async def visit(door: Door, day: Day, customer: str, goods: str) -> None:
    """One customer, who asks for one thing once."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    try:
        order = await door.request(Buy(customer, goods), timeout=PATIENCE)
    except RequestError as error:
        day.errors.append(f"{type(error).__name__}: {error}")
        return
    day.waited.append(loop.time() - begin)
    if order is None:
        day.sold_out += 1
    else:
        day.orders.append(order)
