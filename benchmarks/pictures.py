"""What pictures cost: `python benchmarks/pictures.py`, in the project's own environment.

Prints a line for each figure: a graph of 300 nodes, a replay of 100,000 rows, and a frame of it in headless Chromium.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

# As a script this file's own folder is on the path, and not the folder of the package that it belongs to.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.browser import browser, chromium, frame_costs  # noqa: E402
from benchmarks.crowd import crowd, crowd_topology  # noqa: E402
from edri_sim.viz import theme  # noqa: E402
from edri_sim.viz.replay.widget import Replay  # noqa: E402

LOADED = "document.querySelector('.edri-replay')?.player !== undefined"


def seconds(action: Callable[[], object]) -> float:
    """Seconds of processor time that it takes."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


async def frames(page: Path) -> list[float]:
    """Milliseconds that each frame of a saved replay takes, from a quarter of its way on."""
    program = chromium()
    if program is None:
        raise SystemExit("Chromium is not installed: the cost of a frame is not known")
    async with browser(program) as context:
        tab = await context.new_page()
        await tab.goto(page.as_uri())
        await tab.wait_for_function(LOADED)
        await tab.evaluate(
            "(player => player.moveTo(player.log.duration / 4))(document.querySelector('.edri-replay').player)"
        )
        return await frame_costs(tab)


def main() -> None:
    """Measure, and print."""
    run, topology = crowd(), crowd_topology()
    crowd(9, 900).plot.replay()  # What is imported on first use is not of the picture's cost.
    print(
        f"graph of 300 nodes          {seconds(lambda: theme.svg(theme.figure_of(run.plot.topology(topology)))):8.2f} s"
    )
    print(f"replay of {len(run.recorder):,} rows      {seconds(lambda: Replay(run)):8.2f} s")
    replay = Replay(run)
    print(f"its log, packed             {len(replay.log) / 1e6:8.2f} MB")
    with TemporaryDirectory() as folder:
        page = Path(folder, "replay.html")
        replay.save_html(page)
        costs = asyncio.run(frames(page))
    print(
        f"a frame of it, median       {statistics.median(costs):8.2f} ms of {len(costs)}, longest {max(costs):.2f} ms"
    )


if __name__ == "__main__":
    main()
