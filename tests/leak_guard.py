"""After each test, nothing that it started may be left: no thread, child process, task or open file."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

GRACE = 3.0
"""Seconds that what is ending anyway gets to end."""

PROC = Path("/proc/self")


def threads() -> Counter[str]:
    return Counter(f"thread {thread.name!r} ({thread.native_id})" for thread in threading.enumerate())


def children() -> Counter[str]:
    """The child processes, the dead ones that nobody waited for included."""
    pids = (pid for task in listing(PROC / "task") for pid in read(task / "children").split())
    return Counter(f"child process {pid} ({read(Path('/proc', pid, 'comm')).strip()})" for pid in pids)


def tasks() -> Counter[str]:
    return Counter(f"task {task.get_name()!r} of {task.get_coro()!r}" for task in every_task() if not task.done())


def descriptors() -> Counter[str]:
    """What is open, by target: a number alone may be reused for another file."""
    return Counter(f"open file {target}" for target in map(link, listing(PROC / "fd")) if target)


def every_task() -> Iterable[asyncio.Task[object]]:
    """The tasks of all loops; asyncio itself lists those of one loop only."""
    names = ("_all_tasks", "_scheduled_tasks", "_eager_tasks")
    return [task for name in names for task in list(getattr(asyncio.tasks, name, ()))]


def listing(folder: Path) -> list[Path]:
    """The entries of a folder in /proc; none where the system has no /proc."""
    with suppress(OSError):
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - iterdir would keep the folder open
    return []


def read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""


def link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


LOOKS: tuple[Callable[[], Counter[str]], ...] = (threads, children, tasks, descriptors)


def look() -> Counter[str]:
    """Everything that exists now."""
    total: Counter[str] = Counter()
    for find in LOOKS:
        total.update(find())
    return total


def leaks(before: Counter[str]) -> list[str]:
    """What exists now and did not before, after waiting up to GRACE seconds for it to end."""
    end = time.monotonic() + GRACE
    while (left := look() - before) and time.monotonic() < end:
        time.sleep(0.01)
    return sorted(left.elements())


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fails a test that leaves something running or open."""
    before = look()
    yield
    if left := leaks(before):
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)
