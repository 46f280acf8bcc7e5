"""In real JupyterLab: a cell plays a run, and a copy of the notebook that nobody trusts shows a picture that stays."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("jupyterlab")

from playwright.async_api import Page

from benchmarks.browser import browser, chromium
from tests.viz.jupyter import jupyterlab, notebook, run_all

if chromium() is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

ROOT = Path(__file__).parents[2]
PICTURES = os.environ.get("EDRI_PICTURES")
PLAYER = "document.querySelector('.edri-replay').player"
PLAY = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.viz.towns import simulate, towns
simulate(towns(3)).plot.replay(towns(3))
"""
PATIENCE = 60_000
"""Milliseconds that a kernel has to start and to run a cell, on a busy machine."""


async def test_a_cell_plays_a_run_and_an_untrusted_copy_shows_a_picture(tmp_path: Path) -> None:
    program = chromium()
    assert program is not None
    notebook(tmp_path / "replay.ipynb", [PLAY])
    async with asyncio.timeout(240), jupyterlab(tmp_path) as url, browser(program, offline=False) as context:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        await plays(page, f"{url}lab/tree/replay.ipynb")
        await page.get_by_role("menuitem", name="File", exact=True).click()
        await page.get_by_text("Save Notebook", exact=True).click()
        await page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
        # Jupyter trusts what it has signed in this folder, and not what came from elsewhere: a letter makes it another.
        saved = (tmp_path / "replay.ipynb").read_text(encoding="utf-8")
        (tmp_path / "copy.ipynb").write_text(saved.replace("import sys", "import sys  # another's"), encoding="utf-8")
        await stays(page, f"{url}lab/tree/copy.ipynb?reset")  # Without the tab of the other one.


async def plays(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # Without a kernel it would ask for one.
    await run_all(page)
    await page.wait_for_function("document.querySelector('.edri-replay')?.player !== undefined")
    await page.locator(".edri-replay .play").click()
    await page.wait_for_function(f"{PLAYER}.time > 0.02")
    await page.locator(".edri-replay .play").click()
    await page.locator(".edri-replay .scrub").fill("2500")
    assert await page.evaluate(f"{PLAYER}.time / {PLAYER}.log.duration") == pytest.approx(0.25)
    await keep(page, "jupyterlab")


async def stays(page: Page, address: str) -> None:
    await page.goto(address)
    picture = page.locator(".jp-RenderedHTML img")
    await picture.wait_for()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 800
    assert await page.locator(".edri-replay").count() == 0
    await keep(page, "jupyterlab-untrusted")


async def keep(page: Page, name: str) -> None:
    """Keep what was seen where somebody asked for it."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES, f"{name}.png"))
