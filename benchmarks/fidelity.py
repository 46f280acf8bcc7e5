"""How well a simulation foretells the photo service: `python benchmarks/fidelity.py`.

In each round the service runs for real twice, at once, so that both meet the same neighbours on the machine. Its
services are fitted to the first run; the second is what the simulation of these is held against. The first run beside
the second shows what the machine itself is worth: no model can do better. Needs the extra `lab`, and half a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# As a script this file's own folder is on the path, and not the folder of the package that it belongs to.
sys.path[0] = str(ROOT)

from edri_sim import Scenario, load, run_real, simulate  # noqa: E402
from edri_sim.demo import inputs, machine, photos  # noqa: E402
from edri_sim.run import Run  # noqa: E402
from edri_sim.service import Service, fit  # noqa: E402

WIDTH = 256
WARM_UP = 1.5
LONGER = 20
"""Times as long as the real run is the simulated one: it costs little, and chance in it is less."""
PATIENCE = 60.0
PREPARE = "Prepare"
GOALS = {"per s": 0.05, "p50": 0.10, "p95": 0.10}
"""What is compared, and by how much of the measured it may be off."""

THUMBNAIL = photos.Thumbnail(b"\0" * 8_000, WIDTH, WIDTH, 0.0)
DESCRIPTION = photos.Description(["#000000"], 0.0, "0" * 16, 0.0, 0.0)
INSTEAD = {photos.Resize: THUMBNAIL, photos.Describe: DESCRIPTION}
"""The replies of the handlers that touch the world, whose bodies no simulation runs."""


def scenario(seconds: float, workers: int, clients: int) -> Scenario:
    """So many clients, each of which asks for the next photo as soon as it has the last one."""
    paths = inputs.find_photos(inputs.own_photos())
    system = photos.topology(
        workers=workers, cores=workers + photos.DESCRIBERS + 1, cpu=time.thread_time, advance=_nobody_counts
    )
    asking = load.Clients(
        lambda number: photos.Prepare(paths[number % len(paths)], WIDTH),
        count=clients, node=photos.NODE, timeout=PATIENCE,
    )  # fmt: skip
    return Scenario(system, duration=seconds + WARM_UP, warm_up=WARM_UP, load=[asking], drain=PATIENCE)


def _nobody_counts() -> None:
    """Takes the place of a progress bar."""


def foretold(fitted: Run, asked: Scenario, instead: Mapping[type[Any], Any], seed: int = 7) -> Run:
    """The simulation of a scenario, with services as in a run of it on a machine that was as busy.

    Handlers of the types in ``instead`` are not run, and reply that.
    """
    found = fit(fitted, shape="empirical", holds="wait").services
    services = {
        cls: replace(one, body="skip", result=instead[cls]) if cls in instead else one for cls, one in found.items()
    }
    return simulate(replace(asked, duration=LONGER * asked.duration, service=_checked(services)), seed)


def _checked(services: dict[Any, Service]) -> dict[Any, Service]:
    missing = [cls.__name__ for cls in INSTEAD if cls not in services]
    if missing:
        raise SystemExit(f"the run was too short: it has no {', '.join(missing)}; give it more --seconds")
    return services


def ratios(run: Run, measured: Run, type_: str) -> dict[str, float]:
    """Each figure of a run over that of another."""
    ours, theirs = run.figures(), measured.figures()
    return {name: ours[f"{type_} {name}"] / theirs[f"{type_} {name}"] for name in GOALS}


async def rounds(asked: Scenario, count: int) -> list[tuple[Run, Run, Run]]:
    """For each round the run that was fitted, the one that was measured, and the simulated one."""
    found = []
    for number in range(count):
        first, second = await asyncio.gather(run_real(asked), run_real(asked))
        found.append((first, second, foretold(first, asked, INSTEAD, seed=number)))
        print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
    return found


def lines(found: Sequence[tuple[Run, Run, Run]]) -> list[dict[str, Any]]:
    """A line for each figure: the medians over all rounds."""
    simulated = [ratios(third, second, PREPARE) for _, second, third in found]
    again = [ratios(first, second, PREPARE) for first, second, _ in found]
    return [
        {
            "figure": name,
            "measured": statistics.median(second.figures()[f"{PREPARE} {name}"] for _, second, _ in found),
            "simulated / measured": statistics.median(ratio[name] for ratio in simulated),
            "all": [ratio[name] for ratio in simulated],
            "other real run / measured": [ratio[name] for ratio in again],
            "goal": goal,
        }
        for name, goal in GOALS.items()
    ]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Hold a simulation of the photo service against real runs of it.")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each real run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    asked = scenario(options.seconds, options.workers, options.clients)
    busy, began = machine.busy_seconds(), time.monotonic()
    found = lines(asyncio.run(rounds(asked, options.rounds)))
    cores = (machine.busy_seconds() - busy) / (time.monotonic() - began)
    if options.json:
        print(json.dumps({"lines": found, "busy cores": cores, "cores": len(machine.usable_cores())}, indent=2))
        return 0
    print(f"{cores:.1f} of {len(machine.usable_cores())} cores were busy, with whatever runs on this machine")
    for line in found:
        both = " ".join(f"{ratio:.3f}" for ratio in line["all"])
        again = " ".join(f"{ratio:.3f}" for ratio in line["other real run / measured"])
        print(
            f"{PREPARE} {line['figure']}: measured {line['measured']:.4g}, simulated / measured"
            f" {line['simulated / measured']:.3f} ({both}), goal within {line['goal']:.0%};"
            f" another real run / measured {again}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
