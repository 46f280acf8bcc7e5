"""The traps of determinism: a test for each row of the table, where the loop is what keeps the rule."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edri_sim.errors import SimulationError
from edri_sim.simulation.engine import COLLECT_EVERY
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.loop import SimulationLoop
from edri_sim.simulation.tasks import SimulatedTask

ROOT = Path(__file__).parents[2]

# What runs in the subprocesses: all that could depend on addresses or hashes, as one ordered log.
ORDERED_LOG = """
import asyncio, sys
{before}
from edri_sim.simulation.kernel import Kernel
from edri_sim.simulation.network import Network

kernel = Kernel()
network = Network(kernel, latency=0.01)
web, mail = kernel.loop("web"), kernel.loop("mail")
log = []

async def child(name):
    try:
        await asyncio.sleep(100)
    finally:
        log.append((kernel.now_ns, "cancelled", name))

async def generates(name):
    try:
        yield name
    finally:
        log.append((kernel.now_ns, "finalised", name))

async def drops_generators():
    for name in range(5):
        async for _ in generates(name):
            break
    cycle = [generates("in a cycle")]
    cycle.append(cycle)
    await anext(cycle[0])

async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()

async def talk(number):
    reader, writer = await asyncio.open_connection("mail", 25)
    for word in range(3):
        writer.write(b"%d %d\\n" % (number, word))
        log.append((kernel.now_ns, (await reader.readline()).decode()))
    writer.close()

async def main():
    for _ in range(10):
        try:
            async with asyncio.TaskGroup() as group:
                children = [group.create_task(child(number)) for number in range(37)]
                await asyncio.sleep(1)
                raise ValueError
        except* ValueError:
            pass
    await drops_generators()
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(talk(number))
    done, pending = await asyncio.wait([asyncio.create_task(child(name)) for name in "abcdefgh"], timeout=1)
    for task in pending:
        task.cancel()
    for _ in range({spin}):
        await asyncio.sleep(0)

async def serve():
    return await asyncio.start_server(echo, port=25)

server = kernel.run(serve(), mail)
kernel.run(main(), web)
kernel.close()
print(*log, sep="\\n")
"""

UNRELATED = (
    "",
    "import json, decimal, email.message, xml.dom.minidom; junk = [object() for _ in range(12_345)]",
    "import logging, http.client; junk = {str(n): [n] for n in range(7_777)}; del junk",
    "import gc; gc.set_threshold(3, 2, 2)",
)


def ordered_log(hash_seed: str, before: str) -> str:
    code = ORDERED_LOG.replace("{before}", before).replace("{spin}", str(2 * COLLECT_EVERY))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_depends_on_hash_seeds_addresses_or_imports() -> None:
    runs = [ordered_log(str(number), before) for number, before in enumerate(UNRELATED)]
    assert runs[0].count("cancelled") == 10 * 37 + 8
    assert runs[0].count("finalised") == 6
    assert all(run == runs[0] for run in runs)


def test_a_task_group_cancels_in_the_order_of_creation(kernel: Kernel, loop: SimulationLoop) -> None:
    order: list[int] = []

    async def child(number: int) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            order.append(number)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(child(number))
            await asyncio.sleep(1)
            raise ValueError

    with pytest.raises(ExceptionGroup):
        kernel.run(main(), loop)
    assert order == list(range(50))


def test_task_numbers_do_not_depend_on_earlier_simulations(loop: SimulationLoop) -> None:
    async def nothing() -> None: ...

    hashes = []
    for _ in range(2):
        kernel = Kernel()
        tasks = [kernel.loop("web").create_task(nothing()) for _ in range(3)]
        hashes.append([hash(task) for task in tasks] + [task.get_name() for task in tasks])
        kernel.close()
    assert hashes == [[1, 2, 3, "Task-1", "Task-2", "Task-3"]] * 2


# The collector ----------------------------------------------------------------------------------------------------


class Cycle:
    def __init__(self, note: Callable[[], object]) -> None:
        self.me = self
        self.note = note

    def __del__(self) -> None:
        self.note()


@pytest.mark.parametrize("enabled", [True, False])
def test_automatic_collection_is_off_during_a_run_and_as_before_after_it(
    kernel: Kernel, loop: SimulationLoop, enabled: bool
) -> None:
    async def main() -> bool:
        return gc.isenabled()

    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        assert not kernel.run(main(), loop)
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_a_simulation_that_ends_leaves_the_collector_off_for_one_that_runs(
    kernel: Kernel, loop: SimulationLoop
) -> None:
    inner = Kernel()

    async def nothing() -> None: ...

    async def main() -> bool:
        inner.run(nothing(), inner.loop("inner"))
        return gc.isenabled()

    assert not kernel.run(main(), loop)
    inner.close()


def test_cycles_are_collected_at_fixed_counts_of_callbacks(kernel: Kernel, loop: SimulationLoop) -> None:
    found: list[int] = []

    async def main() -> None:
        Cycle(lambda: found.append(kernel.engine.executed))
        for _ in range(3 * COLLECT_EVERY):
            await asyncio.sleep(0)

    kernel.run(main(), loop)
    assert found == [COLLECT_EVERY]


def test_memory_stays_bounded_in_a_long_run(kernel: Kernel, loop: SimulationLoop) -> None:
    alive = 0
    most = 0

    def died() -> None:
        nonlocal alive
        alive -= 1

    async def main() -> None:
        nonlocal alive, most
        for _ in range(20 * COLLECT_EVERY):
            alive += 1
            Cycle(died)
            most = max(most, alive)
            await asyncio.sleep(0)

    kernel.run(main(), loop)
    assert alive == 0
    assert most <= COLLECT_EVERY


def test_an_abandoned_generator_ends_on_the_loop_that_began_it(kernel: Kernel, loop: SimulationLoop) -> None:
    mail = kernel.loop("mail")
    ended: list[tuple[object, float]] = []
    kept: list[AsyncIterator[int]] = []

    async def generates() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            ended.append((asyncio.get_running_loop(), kernel.now))

    async def begins() -> None:
        kept.append(generates())
        await anext(kept[0])

    async def main() -> None:
        await asyncio.sleep(5)
        kept.clear()
        await asyncio.sleep(5)

    mail.create_task(begins())
    kernel.run(main(), loop)
    assert ended == [(mail, 6)]


def test_a_pending_task_that_nobody_holds_is_not_collected(kernel: Kernel, loop: SimulationLoop) -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await loop.create_future()
        finally:
            ended.append("collected")

    async def main() -> None:
        loop.create_task(waits())
        for _ in range(2 * COLLECT_EVERY):
            await asyncio.sleep(0)
        gc.collect()

    kernel.run(main(), loop)
    assert ended == []
    kernel.close()
    assert ended == ["collected"]


def test_finished_tasks_are_let_go(kernel: Kernel, loop: SimulationLoop) -> None:
    async def nothing() -> None: ...

    async def main() -> int:
        first = weakref.ref(asyncio.create_task(nothing()))
        for _ in range(4 * COLLECT_EVERY):
            await asyncio.create_task(nothing())
        assert first() is None
        return len(kernel.engine.tasks)

    assert kernel.run(main(), loop) <= COLLECT_EVERY


# Threads --------------------------------------------------------------------------------------------------------------


def test_a_call_from_a_foreign_thread_names_the_caller(kernel: Kernel, loop: SimulationLoop) -> None:
    caught: list[BaseException] = []

    def from_a_thread() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except SimulationError as error:
            caught.append(error)

    async def main() -> None:
        thread = threading.Thread(target=from_a_thread, name="intruder")
        thread.start()
        thread.join()

    kernel.run(main(), loop)
    assert "thread 'intruder' called into host 'web' from" in str(caught[0])
    assert "from_a_thread (test_traps.py:" in str(caught[0])


def test_the_simulations_own_thread_may_use_the_threadsafe_call(kernel: Kernel, loop: SimulationLoop) -> None:
    log: list[str] = []
    loop.call_soon_threadsafe(log.append, "own")
    kernel.run()
    assert log == ["own"]


def test_anyio_threads_become_work_of_the_host() -> None:
    code = """
import asyncio, threading, anyio, anyio.to_thread
from anyio._backends._asyncio import AsyncIOBackend
from edri_sim.simulation.kernel import Kernel
kernel = Kernel()
loop = kernel.loop("web")
before = vars(AsyncIOBackend)["run_sync_in_worker_thread"]
async def main():
    assert vars(AsyncIOBackend)["run_sync_in_worker_thread"] is not before
    return await anyio.to_thread.run_sync(lambda word: (word, threading.current_thread().name, kernel.now), "in")
print(kernel.run(main(), loop))
assert vars(AsyncIOBackend)["run_sync_in_worker_thread"] is before
kernel.close()
async def really():
    return await anyio.to_thread.run_sync(lambda: threading.current_thread() is threading.main_thread())
print(asyncio.run(really()))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["('in', 'MainThread', 0)", "False"], done.stderr


# Ties -----------------------------------------------------------------------------------------------------------------


def tie_order(*, seed: int, shuffle: bool) -> list[int]:
    kernel = Kernel(seed=seed, shuffle_ties=shuffle)
    loop, order = kernel.loop("web"), list[int]()
    for number in range(20):
        loop.call_at(1, order.append, number)
        loop.call_at(1, print).cancel()
    kernel.run()
    kernel.close()
    return order


def test_ties_are_first_in_first_out_or_shuffled_from_the_seed() -> None:
    assert tie_order(seed=1, shuffle=False) == list(range(20))
    shuffled = tie_order(seed=1, shuffle=True)
    assert sorted(shuffled) == list(range(20))
    assert shuffled != list(range(20))
    assert shuffled == tie_order(seed=1, shuffle=True)
    assert shuffled != tie_order(seed=2, shuffle=True)


def test_tasks_of_the_loop_are_ours(kernel: Kernel, loop: SimulationLoop) -> None:
    async def main() -> None:
        assert type(asyncio.current_task()) is SimulatedTask

    kernel.run(main(), loop)
