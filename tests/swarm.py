"""``make swarm``: the models of ``make test`` for many more seeds, on all cores.

It prints what took effect, and each seed that broke a rule with the command that shows it again; the exit code is 1 if
there was one, and 2 for bad usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

CHUNK = 5
"""Seeds that a process runs before it says what came of them."""
SHOWN = 10
"""Seeds that broke a rule, of each model, that are shown with all that was broken in them."""


@dataclass(frozen=True, slots=True)
class Swarm:
    """A model whose ``Model(seed).run()`` raises where a rule is broken, and else returns what had ``effects``."""

    title: str
    module: str

    def run(self, seeds: Sequence[int]) -> list[Outcome]:
        """What came of each of these seeds."""
        make: Callable[[int], Any] = importlib.import_module(self.module).Model
        return [_outcome(make, seed) for seed in seeds]

    def replay(self, seed: int) -> str:
        """The command that shows a seed again."""
        return f"{os.path.relpath(sys.executable)} -m {self.module} {seed}"


FLOWS = Swarm("flows alone", "tests.links.flow_model")
SYSTEMS = Swarm("the whole system", "tests.links.system_model")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed; ``failure`` is empty where every rule was kept."""

    seed: int
    effects: dict[str, int]
    failure: str = ""


def _outcome(make: Callable[[int], Any], seed: int) -> Outcome:
    try:
        return Outcome(seed, dict(make(seed).run().effects))
    except Exception as error:  # Whatever it is, the other seeds go on.
        return Outcome(seed, {}, f"{type(error).__name__}: {error}")


def run(swarm: Swarm, seeds: range, jobs: int) -> bool:
    """Run a model for these seeds, and print what came of them; whether every rule was kept."""
    began = time.monotonic()
    chunks = [seeds[first : first + CHUNK] for first in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        failed, effects = _collect(swarm, pool.map(partial(Swarm.run, swarm), chunks))
    seconds = time.monotonic() - began
    print(f"{swarm.title}: {len(seeds)} seeds from {seeds.start} in {seconds:.0f} s, {len(failed)} broke a rule")
    print("\n".join(["  took effect:", *(f"    {fault}: {effects[fault]}" for fault in sorted(effects))]))
    for outcome in failed:
        print(f"  seed {outcome.seed}, again: {swarm.replay(outcome.seed)}")
    return not failed


def _collect(swarm: Swarm, results: Iterable[list[Outcome]]) -> tuple[list[Outcome], Counter[str]]:
    """Count what comes, and show each failure as soon as it is known."""
    failed: list[Outcome] = []
    effects: Counter[str] = Counter()
    for outcome in (outcome for outcomes in results for outcome in outcomes):
        effects.update(outcome.effects)
        if outcome.failure:
            failed.append(outcome)
            if len(failed) <= SHOWN:
                print(f"{swarm.title}: {outcome.failure}", flush=True)
    return failed, effects


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, 0 or more")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both models; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make swarm", description="Many seeds of the models, on all cores.")
    parser.add_argument("--flows", type=_count, default=10_000, help="seeds of flows alone (default %(default)s)")
    parser.add_argument("--systems", type=_count, default=1_000, help="seeds of the whole system (%(default)s)")
    parser.add_argument("--first", type=_count, default=0, help="the first seed (%(default)s)")
    parser.add_argument("--jobs", type=_count, default=os.cpu_count(), help="processes (%(default)s, as many as cores)")
    given = parser.parse_args(arguments)
    kept = [
        run(swarm, range(given.first, given.first + count), max(given.jobs, 1))
        for swarm, count in ((FLOWS, given.flows), (SYSTEMS, given.systems))
        if count
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
