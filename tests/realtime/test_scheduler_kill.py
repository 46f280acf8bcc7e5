"""A scheduler whose process is killed with SIGKILL, again and again, while it fires."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path

from tests.realtime.night import COUNT, PERIOD
from tests.realtime.test_kill import begin, kill
from tests.worlds import until

LIVES = 5


class Night:
    """The program, its lives, and its diary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._diary = folder / "diary"

    async def live(self, which: str) -> Process:
        process = await begin(sys.executable, "-m", "tests.realtime.night", str(self._folder), which)
        assert process.stdout is not None
        line = await process.stdout.readline()
        while line not in (b"ready\n", b""):
            line = await process.stdout.readline()
        assert line, "the scheduler has ended"
        return process

    def lines(self) -> list[str]:
        return self._diary.read_text(encoding="ascii").splitlines() if self._diary.exists() else []

    def rung(self) -> dict[int, list[float]]:
        """When each ring came, in seconds after it was due."""
        found: dict[int, list[float]] = {}
        for line in self.lines():
            if line.startswith("rung "):
                _, number, late = line.split()
                found.setdefault(int(number), []).append(float(late))
        return found

    def doubts(self) -> Counter[int]:
        return Counter(int(line.split("'")[1]) for line in self.lines() if line.startswith("in doubt, "))


async def test_no_due_time_is_fired_twice_or_lost_unsaid_by_a_process_that_is_killed(tmp_path: Path) -> None:
    night, chance = Night(tmp_path), random.Random(7)
    process = await night.live("first")
    try:
        for life in range(1, LIVES):
            # Each life has its share of the rings, and is killed wherever it then is between two of them.
            await until(lambda: len(night.rung()) >= life * COUNT // LIVES, "its share of the rings")  # noqa: B023
            await asyncio.sleep(chance.uniform(0, 2 * PERIOD))
            await kill(process)
            process = await night.live("heir")
        await until(lambda: len({*night.rung(), *night.doubts()}) == COUNT, "every ring, or word of it")
        await asyncio.sleep(0.1)
    finally:
        await kill(process)
    rung, doubts = night.rung(), night.doubts()
    assert max(map(len, rung.values())) == 1, "twice"
    assert min(late for times in rung.values() for late in times) >= 0, "early"
    assert max(doubts.values(), default=1) == 1
    assert len(doubts) <= COUNT // 5
