"""A headless Chromium, and what a frame of a page costs in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import BrowserContext, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
FRAMES = 60

_FRAME, _TASK = "FireAnimationFrame", "RunTask"
_TRACED = ("devtools.timeline", "disabled-by-default-devtools.timeline")
_PLAY = """async (frames) => {
    const player = document.querySelector(".edri-replay").player;
    player.play();
    for (let i = 0; i < frames; i += 1) await new Promise(requestAnimationFrame);
    player.pause();
}"""


def chromium() -> str | None:
    """Where Chromium is, or None where it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def browser(program: str, *, offline: bool = True) -> AsyncIterator[BrowserContext]:
    """A browser with an empty profile of its own."""
    with TemporaryDirectory() as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=program, args=[*FLAGS], headless=True, offline=offline,
                viewport={"width": 1200, "height": 800},
            )  # fmt: skip
            try:
                yield context
            finally:
                await context.close()


async def frame_costs(page: Page) -> list[float]:
    """Milliseconds of processor time that the page's main thread took for each frame while its player plays.

    All tasks from one animation frame to the next are counted: script, style, layout, paint, and what else there is.
    """
    session = await page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    complete = asyncio.Event()
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: complete.set())
    await session.send("Tracing.start", {"traceConfig": {"includedCategories": list(_TRACED)}})
    await page.evaluate(_PLAY, FRAMES)
    await session.send("Tracing.end")
    await complete.wait()
    await session.detach()
    return per_frame(events)


def per_frame(events: Iterable[dict[str, Any]]) -> list[float]:
    """Milliseconds of the tasks on the page's main thread, by the frame in which they began."""
    events = sorted((event for event in events if "tdur" in event), key=lambda event: event["ts"])
    thread = next((event["pid"], event["tid"]) for event in events if event["name"] == _FRAME)
    ours = [event for event in events if (event["pid"], event["tid"]) == thread]
    tasks = [event for event in ours if event["name"] == _TASK]
    begins = [task["ts"] for task in tasks if _has_frame(task, ours)]
    costs = [0.0] * len(begins)
    for task in tasks:
        place = sum(begin <= task["ts"] for begin in begins) - 1
        if place >= 0:
            costs[place] += task["tdur"] / 1000
    return costs[1:-1]  # The first and the last are not whole.


def _has_frame(task: dict[str, Any], events: Iterable[dict[str, Any]]) -> bool:
    return any(event["name"] == _FRAME and 0 <= event["ts"] - task["ts"] <= task["dur"] for event in events)
