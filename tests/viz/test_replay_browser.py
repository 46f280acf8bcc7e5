"""The replay in headless Chromium: it plays, stops, goes there and back, and tells its stories, without a network."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

pytest.importorskip("playwright")

from nbconvert import HTMLExporter
from nbformat import v4
from playwright.async_api import BrowserContext, Page

from benchmarks.browser import browser, chromium, frame_costs
from benchmarks.crowd import crowd
from edri_sim.viz.replay.widget import Replay
from tests.viz.towns import simulate, towns

if chromium() is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

PICTURES = os.environ.get("EDRI_PICTURES")
"""A folder for what the tests saw, if somebody wants to look."""
PLAYER = "document.querySelector('.edri-replay').player"


class Shown:
    """A replay in a page."""

    def __init__(self, page: Page, errors: list[str]) -> None:
        self.page = page
        self.errors = errors

    async def get(self, what: str) -> Any:
        return await self.page.evaluate(f"(player => {what})({PLAYER})")

    async def look(self, name: str) -> bytes:
        """The picture, which is kept where somebody asked for it."""
        picture = await self.page.screenshot(path=Path(PICTURES, f"{name}.png") if PICTURES else None)
        return bytes(picture)

    async def click(self, name: str) -> None:
        await self.page.locator(f".edri-replay .{name}").click()

    async def words(self, name: str) -> str:
        return await self.page.locator(f".edri-replay .{name}").inner_text()


@pytest_asyncio.fixture
async def context() -> AsyncIterator[BrowserContext]:
    program = chromium()
    assert program is not None
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(browser(program))


async def shown(context: BrowserContext, page: Path, *, dark: bool = False) -> Shown:
    tab = await context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: errors.append(request.url) if request.url.startswith("http") else None)
    await tab.emulate_media(color_scheme="dark" if dark else "light")
    await tab.goto(page.as_uri())
    await tab.wait_for_function("document.querySelector('.edri-replay')?.player !== undefined")
    return Shown(tab, errors)


@pytest.fixture
def page(replay: Replay, tmp_path: Path) -> Path:
    replay.save_html(tmp_path / "replay.html")
    return tmp_path / "replay.html"


async def test_it_plays_and_pauses_and_scrubs_both_ways(context: BrowserContext, page: Path) -> None:
    seen = await shown(context, page)
    assert await seen.get("[player.time, player.playing]") == [0, False]
    await seen.click("play")
    await seen.page.wait_for_function(f"{PLAYER}.time > 0.02")
    assert await seen.words("play") == "⏸︎ Pause"
    await seen.click("play")
    stopped = await seen.get("player.time")
    await seen.page.evaluate("new Promise(requestAnimationFrame)")
    assert await seen.get("[player.time, player.playing]") == [stopped, False]
    pictures = []
    for share in (5000, 8000, 5000):
        await seen.page.locator(".scrub").fill(str(share))
        pictures.append(await seen.page.locator("canvas.picture").screenshot())
        assert await seen.get("player.time / player.log.duration") == pytest.approx(share / 10000)
    assert pictures[0] == pictures[2] != pictures[1]
    await seen.get("player.moveTo(player.log.duration - 0.01)")
    await seen.click("play")
    await seen.page.wait_for_function(f"!{PLAYER}.playing")
    assert await seen.get("player.time === player.log.duration")
    await seen.look("three-at-the-end")
    assert seen.errors == []


async def test_steps_go_from_row_to_row_of_the_types_that_are_shown(context: BrowserContext, page: Path) -> None:
    seen = await shown(context, page)
    for _ in range(8):
        await seen.click("next")
    said = await seen.words("said")
    there = await seen.get("[player.row, player.time]")
    await seen.click("next")
    await seen.click("back")
    assert await seen.get("[player.row, player.time]") == there
    assert await seen.words("said") == said
    assert "towns." in said
    await seen.page.get_by_label("towns.Letter").uncheck()
    for _ in range(12):
        await seen.click("next")
        assert "towns.Letter" not in await seen.words("said")
    assert seen.errors == []


async def test_a_node_and_an_event_have_their_stories(context: BrowserContext, page: Path) -> None:
    seen = await shown(context, page)
    await seen.get("player.moveTo(0.6)")
    x, y = await seen.get("player.picture.at[1]")
    await seen.page.locator("canvas.picture").click(position={"x": x, "y": y - 12})
    assert (await seen.words("story")).startswith("node town1\n\nAt 600 ms: 0 busy handlers, 0 wait in mailboxes, ")
    hits = await seen.get("player.picture.hits")
    assert hits  # Letters that the cut line holds.
    await seen.page.locator("canvas.picture").click(position={"x": hits[0][0], "y": hits[0][1]})
    story = await seen.words("story")
    assert story.startswith("towns.")
    assert "published at town" in story
    assert "sent from town" in story
    await seen.look("three-a-story")
    await seen.page.keyboard.press("Escape")
    assert "80 events" in await seen.words("story")
    assert "outage town1-hub, from 400 ms to 900 ms" in await seen.words("story")
    assert seen.errors == []


async def test_a_keyboard_is_enough(context: BrowserContext, page: Path) -> None:
    seen = await shown(context, page)
    await seen.page.keyboard.press("Tab")
    keys = seen.page.keyboard
    await keys.press("End")
    assert await seen.get("player.time === player.log.duration")
    await keys.press("PageUp")
    await keys.press("ArrowLeft")
    assert 0 < await seen.get("player.time / player.log.duration") < 0.981
    before = await seen.get("player.speed")
    await keys.press("-")
    assert await seen.get("player.speed") < before
    await keys.press("Home")
    await keys.press("Space")
    assert await seen.get("player.playing")
    await keys.press("Space")
    assert not await seen.get("player.playing")
    reached = []
    for _ in range(10):
        await keys.press("Tab")
        reached.append(await seen.page.evaluate("document.activeElement.className || document.activeElement.type"))
    assert [*dict.fromkeys(reached)][:9] == [
        "start", "back", "play", "next", "speed", "look", "story", "scrub", "checkbox",
    ]  # fmt: skip
    assert seen.errors == []


async def test_light_and_dark_differ_and_jupyters_theme_wins(context: BrowserContext, page: Path) -> None:
    papers = []
    for dark in (False, True):
        seen = await shown(context, page, dark=dark)
        papers.append(
            await seen.page.evaluate("getComputedStyle(document.querySelector('.edri-replay')).backgroundColor")
        )
        await seen.get("player.moveTo(0.6)")
        await seen.look(f"three-{'dark' if dark else 'light'}")
    assert papers == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
    await seen.page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    await seen.page.wait_for_function("document.querySelector('.edri-replay').dataset.theme === 'light'")


async def test_what_nbconvert_writes_plays_offline_and_without_scripts_the_picture_stays(
    context: BrowserContext, replay: Replay, tmp_path: Path
) -> None:
    shown_ = replay._repr_mimebundle_()
    assert shown_ is not None
    output = v4.new_output("display_data", data=json.loads(json.dumps(shown_[0])))
    notebook = v4.new_notebook(cells=[v4.new_code_cell("run.plot.replay()", outputs=[output])])
    written, _ = HTMLExporter().from_notebook_node(notebook)
    (tmp_path / "notebook.html").write_text(written, encoding="utf-8")
    tab = await context.new_page()
    await tab.goto((tmp_path / "notebook.html").as_uri(), wait_until="commit")
    await tab.wait_for_function("document.querySelector('.edri-replay')?.player !== undefined")
    await tab.evaluate(f"{PLAYER}.play()")
    await tab.wait_for_function(f"{PLAYER}.time > 0.02")
    await tab.evaluate(f"{PLAYER}.pause()")
    (tmp_path / "untrusted.html").write_text(shown_[0]["text/html"].partition("<script>")[0], encoding="utf-8")
    await tab.goto((tmp_path / "untrusted.html").as_uri())
    assert await tab.evaluate("(image => image.complete && image.naturalWidth)(document.querySelector('img'))") == 800


async def test_thirty_nodes_can_be_read(context: BrowserContext, tmp_path: Path) -> None:
    topology = towns(30)
    simulate(topology, rounds=30).plot.replay(topology).save_html(tmp_path / "thirty.html")
    seen = await shown(context, tmp_path / "thirty.html")
    await seen.get("player.moveTo(0.7)")
    await seen.look("thirty")
    assert await seen.get("Math.min(...player.picture.box)") > 25
    assert seen.errors == []


async def test_a_frame_of_300_nodes_and_100_000_rows_takes_less_than_8_ms(
    context: BrowserContext, tmp_path: Path
) -> None:
    replay = crowd().plot.replay()
    assert len(replay.film.scene.vertices) == 301
    assert len(replay.film.rows) >= 100_000
    replay.save_html(tmp_path / "crowd.html")
    seen = await shown(context, tmp_path / "crowd.html")
    await seen.get("player.moveTo(5)")
    async with asyncio.timeout(60):
        costs = await frame_costs(seen.page)
    await seen.look("three-hundred")
    assert len(costs) >= 40
    assert statistics.median(costs) < 8
    assert seen.errors == []
