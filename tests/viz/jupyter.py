"""A real JupyterLab, of which a browser shows notebooks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from nbformat import v4
from playwright.async_api import Page

START = 60.0
"""Seconds in which JupyterLab starts on a busy machine."""


@asynccontextmanager
async def jupyterlab(folder: Path) -> AsyncIterator[str]:
    """JupyterLab with the notebooks of a folder, on loopback, with settings of its own; yields its address."""
    home = {
        name: str(folder / ".jupyter")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
        f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--ServerApp.password=",
        "--LabApp.extension_manager=readonly", "--LabApp.news_url=None",
    ]  # fmt: skip
    server = await asyncio.create_subprocess_exec(*command, env={**os.environ, **home}, stdout=DEVNULL, stderr=DEVNULL)
    try:
        async with asyncio.timeout(START):
            address = await _address(folder / ".jupyter", server)
        yield address
    finally:
        server.terminate()
        await server.wait()


async def _address(runtime: Path, server: Process) -> str:
    """Where the server listens, once it has written that down."""
    while server.returncode is None:
        address = _written(runtime)
        if address is not None:
            return address
        await asyncio.sleep(0.05)
    raise RuntimeError(f"JupyterLab ended with {server.returncode}")


def _written(runtime: Path) -> str | None:
    for path in runtime.glob("jpserver-*.json"):
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["url"])
        except ValueError:
            pass  # It is still being written.
    return None


def notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells that have not run."""
    book = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(json.dumps(book), encoding="utf-8")


async def run_all(page: Page) -> None:
    """Run all cells of the notebook that is open."""
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    await page.get_by_text("Run All Cells", exact=True).click()
