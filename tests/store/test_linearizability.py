"""Clients on three machines, with crashes and cuts: all that they saw fits one order of what the store did.

See :mod:`tests.store.system`, also for how a seed is seen again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Node, Store, part
from edri_sim.storing import Get
from tests.links.cluster import Cluster
from tests.store.clients import KEYS, Client, History
from tests.store.linearizable import NotLinearizable
from tests.store.planted import planted
from tests.store.system import Model
from tests.worlds import World, quick

SEEDS, CHUNK = 60, 10
WAYS_TO_END = ("reply", "DeadlineExceeded", "HostDown", "NoRoute")
"""How requests have to end at least once each, over all seeds."""
FEW = 30
"""Seeds in which a planted fault has to be found."""


@pytest.fixture(scope="module")
def ends() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_under_faults_it_is_linearizable(first: int, ends: Counter[str]) -> None:
    for seed in range(first, first + CHUNK):
        model = Model(seed)
        model.run()
        try:
            model.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        ends += model.history.ends


def test_requests_ended_in_every_way(ends: Counter[str], capsys: pytest.CaptureFixture[str]) -> None:
    if sum(ends.values()) < SEEDS * 100:
        pytest.skip("only some of the seeds ran")
    with capsys.disabled():
        print(f"\nthe store under faults: {SEEDS} seeds, {sum(ends.values())} requests ended: {dict(ends)}")
    assert [way for way in WAYS_TO_END if not ends[way]] == []


@pytest.mark.parametrize("fault", ["answers before its commit", "makes a repeated write again"])
def test_the_checker_finds_a_store_that(fault: str) -> None:
    for seed in range(FEW):
        with planted(fault):
            history = Model(seed).run()
        try:
            history.check()
        except NotLinearizable:
            return
    pytest.fail(f"in {FEW} seeds nothing was found")


def test_across_a_restart_on_either_loop(world: World, tmp_path: Path) -> None:
    """Clients on three nodes, and a store that is stopped and started again among them."""
    history = History()

    async def main() -> None:
        async with Cluster("switch") as cluster, cluster.node("a", **settings) as a, cluster.node("b", **settings) as b:
            shelf = cluster.node("shelf", part(Store, storage="values"), **settings)
            await shelf.start()
            await asyncio.gather(a.subscribed(Get), b.subscribed(Get))
            clients = [_client(history, node, number) for number, node in enumerate([a, a, b, b, shelf])]
            await _work(clients, 40)
            await shelf.stop()
            again = cluster.node("shelf", part(Store, storage="values"), **settings)
            async with again:
                await asyncio.gather(a.subscribed(Get), b.subscribed(Get))
                await _work([*clients[:4], _client(history, again, 5)], 40)
                for key in KEYS:
                    await history.ask("at last", Get(key), _ask(b), 5.0)

    settings = quick(data=str(tmp_path))
    world.run(main)
    history.check()
    assert len(history.operations) == 2 * 5 * 40 + len(KEYS)
    assert history.ends["reply"] > 390


def _ask(node: Node) -> Any:
    return lambda act, timeout: node.request(act, timeout=timeout)


def _client(history: History, node: Node, number: int) -> Client:
    return Client(f"{node.name}{number}", history, _ask(node), random.Random(f"client {number}"))


async def _work(clients: list[Client], times: int) -> None:
    """Each asks one thing after the other, without a pause."""

    async def asks(client: Client) -> None:
        for _ in range(times):
            await client.ask_something()

    await asyncio.gather(*map(asks, clients))
