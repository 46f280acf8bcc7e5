"""The two loops that every component test runs on, and what such tests need on both."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from edri_sim import Manager, Node, Pool, Run, Simulation, Worker
from edri_sim.events import registry

T = TypeVar("T")
Main = Callable[[], Coroutine[Any, Any, T]]

MODES = ("method", "thread", "process")
HANG = 30.0
"""Seconds after which a test in real time is given up; a simulated one that hangs is told by SimulationQuiet."""


@dataclass(frozen=True)
class World:
    """One of the loops: ``run`` runs a coroutine function on it and returns its result."""

    name: str

    @property
    def simulated(self) -> bool:
        return self.name == "simulated"

    def run(self, main: Main[T], **options: Any) -> T:
        """Run ``main()``; ``options`` go to the Simulation, and mean nothing in real time."""
        if self.simulated:
            with Simulation(seed=7, **options) as simulation:
                return simulation.run(main())  # type: ignore[return-value]
        with asyncio.Runner(loop_factory=_factory(self.name)) as runner:
            return runner.run(_bounded(main))


def _factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name != "uvloop":
        return None
    import uvloop

    return uvloop.new_event_loop  # type: ignore[no-any-return]


async def _bounded(main: Main[T]) -> T:
    async with asyncio.timeout(HANG):
        return await main()


@pytest.fixture(params=["real", "simulated"])
def world(request: pytest.FixtureRequest) -> World:
    """The loop that the test runs on: asyncio's own, then the simulated one."""
    return World(request.param)


@pytest.fixture(scope="session")
def uvloop_installed() -> bool:
    """Whether uvloop is there; its first loop opens a pipe that stays, so that comes before any leak is looked for."""
    if importlib.util.find_spec("uvloop") is None:
        return False
    import uvloop

    uvloop.new_event_loop().close()
    return True


@pytest.fixture(params=["real", "uvloop", "simulated"])
def any_world(request: pytest.FixtureRequest, uvloop_installed: bool) -> World:
    """As ``world``, with uvloop as a third: for a few tests that touch all that a loop does."""
    if request.param == "uvloop" and not uvloop_installed:
        pytest.skip("uvloop is not installed")
    return World(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How a pool runs its workers."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def fresh_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test declares is forgotten after it: its second run does not declare anything again."""
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))


def pool_of(worker: type[Worker], mode: str = "method", **options: Any) -> type[Manager]:
    """A manager class with nothing but one pool, called ``pool``."""
    return type("Crew", (Manager,), {"pool": Pool(worker, mode=mode, **options)})


def quick(**settings: Any) -> dict[str, Any]:
    """Settings for tests in which something fails: every pause is short."""
    return {"route_grace": 0.05, "restart_delay": 0.01, "kill_after": 0.2, "drain_timeout": 5.0, **settings}


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait for a condition, on either loop, a moment at a time."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"in vain waited for {what}")


async def turns(count: int) -> None:
    """Let the loop turn a few times at this instant."""
    for _ in range(count):
        await asyncio.sleep(0)


def run_of(node: Node, world: World) -> Run:
    """What a node that ran with trace="full" has recorded."""
    return Run(node.trace.recorder, simulated=world.simulated)


class Records(logging.Handler):
    """Keeps what is logged; other threads may log too."""

    def __init__(self) -> None:
        super().__init__()
        self.list: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.list.append(record)

    def at(self, level: str) -> list[logging.LogRecord]:
        return [record for record in self.list if record.levelname == level]


@contextmanager
def records(name: str = "edri_sim") -> Iterator[Records]:
    """What the library logs meanwhile."""
    keeper = Records()
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.DEBUG)
    try:
        yield keeper
    finally:
        logger.removeHandler(keeper)
        logger.setLevel(level)
