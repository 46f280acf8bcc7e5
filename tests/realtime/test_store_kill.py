"""A store whose process is killed with SIGKILL while it writes: what was acknowledged is there, and nothing by half."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from tests.realtime.ledger import WRITERS
from tests.realtime.test_kill import begin, kill
from tests.worlds import until

LIVES = 5
EACH = 400
"""Acknowledgements in each life, at least."""


def lives(folder: Path) -> list[list[list[str]]]:
    """What each life has noted, in words; a life begins with the line that tells what the total was."""
    path = folder / "diary"
    found: list[list[list[str]]] = []
    for line in path.read_text(encoding="ascii").splitlines() if path.exists() else []:
        if line.startswith("found total"):
            found.append([])
        found[-1].append(line.split())
    return found


def acknowledged(folder: Path, life: int) -> int:
    noted = lives(folder)[life:]
    return sum(words[0] == "acknowledged" for words in noted[0]) if noted else 0


async def live_and_die(folder: Path, times: int, plant: str = "") -> None:
    """Let the program live so many times; each life is killed at any moment once it has written enough."""
    chance = random.Random(7)
    for life in range(times):
        process = await begin(sys.executable, "-m", "tests.realtime.ledger", str(folder), plant)
        try:
            await until(lambda: process.returncode is not None or acknowledged(folder, life) >= EACH)  # noqa: B023
            await asyncio.sleep(chance.uniform(0, 0.03))
        finally:
            words = await kill(process)
        assert not words, words.decode()


def check(folder: Path) -> None:
    """Raise AssertionError where a life did not find what an earlier one was told, or found more than was written."""
    latest = dict.fromkeys([*map(str, range(WRITERS)), "total"], 0)
    for life in lives(folder):
        for what, key, number in (words for words in life if len(words) == 3):
            if what == "found":
                ahead = WRITERS if key == "total" else 1
                assert latest[key] <= int(number) <= latest[key] + ahead, f"{key}: {latest[key]}, found {number}"
                latest[key] = int(number)
            else:
                assert int(number) > latest[key] or key == "total", f"{key}: {number} again"
                latest[key] = max(latest[key], int(number))
        totals = [words[2] for words in life if words[:2] == ["acknowledged", "total"]]
        assert len(totals) == len(set(totals)), "two increments had one total"


async def test_what_a_killed_store_has_acknowledged_is_there_and_nothing_by_half(tmp_path: Path) -> None:
    await live_and_die(tmp_path, LIVES)
    check(tmp_path)
    noted = lives(tmp_path)
    assert len(noted) == LIVES
    assert all(["began"] in life for life in noted)


async def test_a_store_that_answers_before_its_commit_would_be_noticed(tmp_path: Path) -> None:
    await live_and_die(tmp_path, 3, "answers before its commit")
    with pytest.raises(AssertionError, match=r"found \d+"):
        check(tmp_path)
