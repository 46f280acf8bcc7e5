"""This machine as a host: its clock, its streams, its signals."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import types

import pytest

from edri_sim import Node, host
from edri_sim.realtime.host import LocalHost
from edri_sim.settings import Settings
from tests.runtime.cast import Ask, Echo
from tests.worlds import pool_of


def test_streams_are_by_name_and_seed() -> None:
    def drawn(seed: object, name: str) -> float:
        return LocalHost(seed=seed).random(name).random()

    assert drawn(1, "a") == drawn(1, "a")
    assert len({drawn(1, "a"), drawn(1, "b"), drawn(2, "a")}) == 3
    assert LocalHost().random("a").random() != LocalHost().random("a").random()


def test_the_clock_knows_its_time_zone_and_secrets_differ() -> None:
    machine = LocalHost()
    assert machine.now().tzinfo is not None
    assert len(machine.secret()) == 16
    assert machine.secret() != machine.secret()
    assert machine.name


def test_a_node_outside_the_main_thread_installs_no_signal_handler() -> None:
    answers: list[str] = []

    async def main() -> None:
        async with Node("solo", pool_of(Echo)) as node:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            answers.append(await node.request(Ask("from a thread")))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join(timeout=20)
    assert answers == ["from a thread"]


def test_in_a_notebook_a_node_installs_no_signal_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))

    async def main() -> None:
        async with Node("solo", pool_of(Echo)):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    asyncio.run(main())


def test_ipython_alone_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))

    async def main() -> None:
        async with Node("solo", pool_of(Echo)):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL

    asyncio.run(main())


def test_two_nodes_of_one_program_drain_on_one_signal() -> None:
    async def main() -> None:
        async with Node("first", pool_of(Echo)), Node("second", pool_of(Echo)) as second:
            assert await second.request(Ask("x")) == "x"
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL, "or the next line ends the tests"
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(20)

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_host_may_be_given() -> None:
    machine = LocalHost(Settings(trace="full"), seed=1)

    async def main() -> None:
        async with Node("solo", pool_of(Echo), host=machine) as node:
            await node.request(Ask("x"))
            assert node.trace is machine.trace

    asyncio.run(main())
    assert len(machine.recorder) == 6


def test_without_the_package_there_is_no_default_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_default", None)
    with pytest.raises(RuntimeError, match="no default host is set: import the package edri_sim"):
        host.current_host(object(), Settings())
