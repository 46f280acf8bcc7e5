"""Switches and nodes as programs of their own, over TCP on this machine."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from edri_sim import Node
from edri_sim.errors import NoRoute
from edri_sim.links.stream import DEAD_AFTER
from tests.realtime.pair import AskLeft, AskRight, Shout
from tests.realtime.programs import PAIR, PATIENCE, Program, edri, free_address, gone, running

T = TypeVar("T")


def from_outside(address: str, use: Callable[[Node], Coroutine[Any, Any, T]]) -> T:
    """What ``use`` returns on a node of this process that is joined to the switch, too."""

    async def main() -> T:
        tester = Node("tester", switches=[address], route_grace=PATIENCE)
        async with asyncio.timeout(PATIENCE), tester:
            return await use(tester)

    return asyncio.run(main())


def switch(address: str, *arguments: object, **more: str) -> Program:
    return Program("switch", "--listen", address, "--status", "", *arguments, **more)


def node(name: str, address: str, *arguments: object, **more: str) -> Program:
    return Program("node", PAIR, name, "--switch", address, *arguments, **more)


def test_two_nodes_answer_and_ask_each_other() -> None:
    address = free_address()
    hub, left, right = switch(address), node("left", address), node("right", address)

    async def ask(tester: Node) -> list[str]:
        return [await tester.request(event) for event in (AskLeft("Hi"), AskRight("Hi"), Shout("Hi"))]

    with running(hub, left, right):
        assert from_outside(address, ask) == ["HI", "hi", "HI"]
        left.send(signal.SIGTERM)
        assert left.code() == 143
        assert left.rest()[-1].endswith("node left stopped")
        hub.until("node left is gone")
        right.send(signal.SIGINT)
        assert right.code() == 130
        assert right.rest()[-1] == "edri-sim: interrupted; the node was drained"
        hub.send(signal.SIGTERM)
        assert hub.code() == 143
        assert hub.rest()[-1].endswith("switch hub stopped")
        assert not [line for program in (hub, left, right) for line in program.lines if "Traceback" in line]


def test_a_switch_that_comes_back_finds_its_nodes_again() -> None:
    address = free_address()
    left = node("left", address, "--log", "debug")
    with running(left):
        left.until("WARNING", f"the line to switch {address} is down")
        for _ in range(2):
            with switch(address) as hub:
                left.until("joined switch hub")
                assert from_outside(address, lambda tester: tester.request(Shout("Hi"))) == "HI"
                hub.send(signal.SIGINT)
                assert hub.code() == 130
                assert hub.rest()[-1] == "edri-sim: interrupted; the nodes were told"
            left.until("WARNING", "is down")


def test_another_token_is_one_clear_line_on_both_sides() -> None:
    address = free_address()
    hub, right = switch(address, EDRI_TOKEN="one-secret"), node("right", address, EDRI_TOKEN="one-secret")
    left = node("left", address, EDRI_TOKEN="another")
    with running(hub, left, right):
        line = left.until("ERROR", "is down")
        assert "it rejects this node: UNAUTHORISED: the token is wrong or missing" in line
        right.until("joined switch hub")
        hub.until("node right is present")
        for program in (left, hub):
            program.send(signal.SIGTERM)
            program.code()
        assert sum("the token is wrong" in line for line in left.rest()) == 1
        assert sum("refused, UNAUTHORISED: 'left'" in line for line in hub.rest()) == 1
        assert not [line for line in left.lines + hub.lines if "another" in line or "one-secret" in line]


WORKSHOP = """
import os
from edri_sim import Manager, Pool, Request, Topology, Worker, event, handles

@event
class WhoWorks(Request[int]):
    pass

class Bench(Worker):
    @handles
    def who(self, event: WhoWorks) -> int:
        return os.getpid()

class Workshop(Manager):
    benches = Pool(Bench, mode="process", size=1)

topology = Topology("workshop")
topology.node("shop", Workshop)
"""


def test_a_file_s_workers_run_in_processes_and_end_with_their_node(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "workshop.py").write_text(WORKSHOP)
    with Program("node", "deep/workshop.py:topology", "shop", cwd=tmp_path) as shop:
        shop.until("node shop runs")
        (worker,) = shop.children()
        shop.send(signal.SIGKILL)
        shop.code()
        assert gone([worker])


# What guards the lines


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``edri-sim certs`` makes for the switch and two nodes."""
    pytest.importorskip("cryptography")
    folder: Path = tmp_path_factory.mktemp("certificates")
    done = edri("certs", folder, "--name", "hub", "--name", "left", "--name", "right")
    assert done.returncode == 0, done.stderr
    return folder


def tls(folder: Path, name: str) -> tuple[object, ...]:
    return ("--cert", folder / f"{name}.crt", "--key", folder / f"{name}.key", "--ca", folder / "ca.crt")


def test_with_certificates_both_sides_show_theirs(certificates: Path) -> None:
    address = free_address()
    hub = switch(address, *tls(certificates, "hub"))
    left = node("left", address, *tls(certificates, "left"))
    bare, right = node("right", address), node("right", address, *tls(certificates, "right"))
    with running(hub, left):
        left.until("joined switch hub")
        with bare:
            bare.until("WARNING", "is down")
        with right:
            right.until("joined switch hub")
        hub.until("node right is gone")
        assert not [line for line in hub.lines if "Traceback" in line]


def test_a_switch_that_stops_waits_for_no_node_that_does_not(certificates: Path) -> None:
    """With TLS a goodbye takes an answer, and since Python 3.12 a server waits for its connections to end."""
    address = free_address()
    hub, left = switch(address, *tls(certificates, "hub")), node("left", address, *tls(certificates, "left"))
    with running(hub, left):
        left.until("joined switch hub")
        left.send(signal.SIGSTOP)
        hub.send(signal.SIGTERM)
        began = time.monotonic()
        assert hub.code() == 143
        assert time.monotonic() - began < DEAD_AFTER / 2


def test_a_certificate_is_for_one_node(certificates: Path) -> None:
    address = free_address()
    hub, thief = switch(address, *tls(certificates, "hub")), node("right", address, *tls(certificates, "left"))
    with running(hub, thief):
        assert "UNAUTHORISED: its certificate is not for 'right', but for left" in thief.until("ERROR", "is down")
        hub.until("refused, UNAUTHORISED: 'right'")


def test_a_node_does_only_what_it_may(tmp_path: Path) -> None:
    allow = tmp_path / "allow.toml"
    allow.write_text('[allow.left]\nsubscribe = ["*"]\n\n[allow."*"]\npublish = ["AskRight"]\nsubscribe = ["*"]\n')
    address = free_address()
    hub, left = switch(address, "--allow", allow), node("left", address)

    async def shout(tester: Node) -> None:
        await tester.subscribed(Shout)
        with pytest.raises(NoRoute, match="the switch does not let it pass to node 'left'"):
            await tester.request(Shout("Hi"), timeout=0.5)

    with running(hub, left):
        from_outside(address, shout)
        hub.until("refused, not allowed: 'Shout' from 'tester' to 'left'")
