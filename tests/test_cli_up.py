"""``edri-sim up``: a whole topology as processes, from the first line of its log to the last."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realtime.programs import (
    PAIR,
    ROOT,
    SHARES_NONE,
    SPLIT,
    Here,
    Program,
    edri,
    environment,
    free_address,
    gone,
    here,
)

__all__ = ["here"]

EXAMPLE = ROOT / "examples" / "three_routers"
SHOP = f"{EXAMPLE}/system.py:topology"


@pytest.fixture
def up() -> Iterator[Program]:
    """The two nodes and their switch; whatever happens, nothing of it is left after the test."""
    with Program("up", PAIR, "--switch", free_address()) as program:
        yield program
        left = program.children()
    assert gone(left), left


def pid_of(program: Program, name: str) -> int:
    """The process of a switch or node."""
    (found,) = [pid for pid, words in program.children().items() if f" {name} " in f"{words} "]
    return found


def ended_with(program: Program, code: int) -> list[str]:
    assert program.code() == code
    return program.rest()


def test_the_example_is_up_in_a_moment_serves_its_customers_and_goes_down(capsys: pytest.CaptureFixture[str]) -> None:
    address = free_address()
    began = time.monotonic()
    with Program("up", SHOP, "--switch", address) as up:
        line = up.until("edri-sim | ready:")
        took = time.monotonic() - began
        assert re.fullmatch(r"edri-sim \| ready: 3 nodes and 1 switch, after \d+\.\d\d s", line)
        with capsys.disabled():
            print(f"\n{line.partition('| ')[2]}; {took:.2f} s with the interpreter's own start")
        assert took < 10
        day = subprocess.run(
            [sys.executable, EXAMPLE / "drive.py"], env=environment(EDRI_SWITCHES=address), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        assert day.returncode == 0, day.stderr
        assert "150 customers: 120 bought something, 30 found it sold out, 0 got no answer" in day.stdout
        assert "letters: 120 to customers, 3 to suppliers" in day.stdout
        children = up.children()
        assert len(children) == 4
        up.send(signal.SIGINT)
        lines = ended_with(up, 130)
        assert gone(children)
    assert lines[-1] == "edri-sim: interrupted; the nodes were drained, and then the switches stopped"
    stopped = [line.split()[-2] for line in lines if line.endswith("stopped")]
    assert sorted(stopped[:3]) == ["mail", "stock", "web"]
    assert stopped[3] == "hub"
    assert not [line for line in lines if "Traceback" in line or "ERROR" in line]


def test_the_example_is_the_same_in_simulated_time() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE / "simulate.py"], env=environment(), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "150 customers: 120 bought something, 30 found it sold out, 0 got no answer" in done.stdout
    assert "letters: 120 to customers, 3 to suppliers" in done.stdout


def test_sigterm_stops_everything_in_order(up: Program) -> None:
    up.until("ready: 2 nodes and 1 switch")
    children = up.children()
    up.send(signal.SIGTERM)
    lines = ended_with(up, 143)
    assert gone(children)
    assert [line.split()[-2] for line in lines if line.endswith("stopped")][-1] == "hub"


def test_ctrl_c_of_the_terminal_reaches_the_children_through_it_alone(up: Program) -> None:
    """The terminal interrupts every process of its group; a child that ended by itself would be reported."""
    up.until("ready:")
    groups = {os.getpgid(pid) for pid in up.children()}
    assert os.getpgid(up.process.pid) not in groups
    assert len(groups) == 3


def test_nothing_outlives_a_kill_of_it(up: Program) -> None:
    up.until("ready:")
    children = up.children()
    assert len(children) == 3
    up.send(signal.SIGKILL)
    up.code()
    assert gone(children)


def test_nothing_outlives_a_kill_while_it_starts(up: Program) -> None:
    up.until("hub ")
    children = up.children()
    assert children
    up.send(signal.SIGKILL)
    up.code()
    assert gone(children)


def test_a_child_that_dies_is_named_and_ends_the_rest(up: Program) -> None:
    up.until("ready:")
    children = up.children()
    os.kill(pid_of(up, "left"), signal.SIGKILL)
    up.until("edri-sim | left was killed by SIGKILL")
    lines = ended_with(up, 1)
    assert gone(children)
    assert sum("edri-sim | " in line for line in lines) == 2


def test_a_child_that_cannot_start_is_named(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(
        "from edri_sim import Manager, Topology\n"
        "class Bad(Manager):\n    async def start(self) -> None:\n        raise OSError('no paper')\n"
        "class Good(Manager): ...\n"
        "topology = Topology('faulty')\ntopology.switch('hub')\n"
        "topology.node('bad', Bad, switch='hub')\ntopology.node('good', Good, switch='hub')\n"
    )
    with Program("up", "faulty:topology", cwd=tmp_path) as up:
        lines = ended_with(up, 1)
        assert "bad      | OSError: no paper" in lines
        assert "edri-sim | bad ended with exit code 1" in lines
    with Program("up", "faulty:topology", "--keep-going", cwd=tmp_path) as up:
        up.until("edri-sim | ready: 1 node and 1 switch")
        up.send(signal.SIGINT)
        lines = ended_with(up, 130)
        assert "edri-sim | bad ended with exit code 1" in lines


def test_with_keep_going_the_rest_goes_on_until_nothing_is_left() -> None:
    with Program("up", PAIR, "--keep-going") as up:
        up.until("ready:")
        os.kill(pid_of(up, "right"), signal.SIGKILL)
        up.until("edri-sim | right was killed by SIGKILL")
        for name in ("hub", "left"):
            assert up.process.poll() is None
            os.kill(pid_of(up, name), signal.SIGKILL)
            up.until(f"edri-sim | {name} was killed by SIGKILL")
        ended_with(up, 1)


def test_ctrl_c_while_it_starts(up: Program) -> None:
    up.until("switch hub listens")
    up.send(signal.SIGINT)
    lines = ended_with(up, 130)
    assert not [line for line in lines if "Traceback" in line or "ready:" in line]


def test_a_second_signal_waits_for_nobody() -> None:
    with Program("up", PAIR) as up:
        up.until("ready:")
        children = up.children()
        os.kill(pid_of(up, "left"), signal.SIGSTOP)
        up.send(signal.SIGINT)
        up.until("node right stopped")
        up.send(signal.SIGINT)
        ended_with(up, 130)
        assert gone(children)


def test_a_child_that_does_not_stop_is_killed() -> None:
    with Program("up", PAIR, EDRI_DRAIN_TIMEOUT="0") as up:
        up.until("ready:")
        os.kill(pid_of(up, "left"), signal.SIGSTOP)
        up.send(signal.SIGTERM)
        up.until("edri-sim | left did not stop within 5 s, and is killed")
        ended_with(up, 143)


def test_it_stops_when_nobody_reads_its_log() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edri_sim", "up", PAIR], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 1


def test_only_some_of_it_and_the_rest_elsewhere() -> None:
    address = free_address()
    with Program("up", PAIR, "--switch", address, "--only", "hub", "--only", "left") as some:
        some.until("ready: 1 node and 1 switch")
        with Program("up", PAIR, "--switch", address, "--only", "right") as rest:
            rest.until("ready: 1 node and 0 switches")
            rest.send(signal.SIGINT)
            ended_with(rest, 130)
        some.until("node right is gone")
        some.send(signal.SIGINT)
        ended_with(some, 130)


def test_with_certificates_each_has_its_own(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    names = ("hub", "left", "right")
    assert edri("certs", tmp_path, *(word for name in names for word in ("--name", name))).returncode == 0
    address = free_address()
    with Program("up", PAIR, "--switch", address, "--certs", tmp_path) as up:
        up.until("ready: 2 nodes and 1 switch")
        secrets = re.findall("--token|--key", " ".join(up.children().values()))
        assert secrets == []
        with Program("node", PAIR, "left", "--switch", address) as bare:
            bare.until("is down")
        up.send(signal.SIGINT)
        ended_with(up, 130)


def test_a_token_is_on_no_command_line() -> None:
    with Program("up", PAIR, "--switch", free_address(), "--token", "one-secret") as up:
        up.until("ready:")
        assert not [words for words in up.children().values() if "one-secret" in words]
        up.send(signal.SIGINT)
        assert not [line for line in ended_with(up, 130) if "one-secret" in line]


# What it would do, and bad usage


def test_the_plan_is_shown() -> None:
    done = edri("up", SHOP, "--show-config", "--json", "--data", "/data", EDRI_SWITCHES="127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["hub: listen"] == {"value": "127.0.0.1:9", "from": "environment EDRI_SWITCHES"}
    assert shown["web: switches"] == {"value": "127.0.0.1:9", "from": "environment EDRI_SWITCHES"}
    assert shown["web: data"] == {"value": "/data/web", "from": "argument"}
    assert shown["hub: status"]["from"] == "first free port"
    declared = json.loads(edri("up", SHOP, "--show-config", "--json").stdout)
    assert declared["hub: listen"] == {"value": "127.0.0.1:7400", "from": "topology shop"}
    chosen = json.loads(edri("up", PAIR, "--show-config", "--json").stdout)
    assert chosen["hub: listen"]["from"] == chosen["left: switches"]["from"] == "first free port"
    assert chosen["hub: listen"]["value"] == chosen["left: switches"]["value"]


BAD = [
    ((), "Missing argument 'MODULE:TOPOLOGY'"),
    (("tests.realtime.pair:xyzzy",), "tests.realtime.pair:xyzzy: module tests.realtime.pair has no 'xyzzy'"),
    ((PAIR, "--only", "lft"), "topology 'pair': node or switch 'lft' is unknown: did you mean 'left'?"),
    ((PAIR, "--only", "left"), "node 'left': switch 'hub' is not started here and has no address: give --switch"),
    ((PAIR, "--switch", "a:1,b:2"), "setting switches='a:1,b:2': expected 1 addresses, one for each of hub, and got 2"),
    ((PAIR, "--switch", "a"), "setting switches='a': expected addresses host:port or [IPv6]:port"),
    ((PAIR, "--certs", "docs"), "--certs docs: there is no hub.crt: edri-sim certs makes it"),
    ((PAIR, "--log", "loud"), "--log loud: expected one of debug, info, warning, error"),
    ((SPLIT,), SHARES_NONE),
    ((SPLIT, "--only", "left"), SHARES_NONE),
    ((SPLIT, "--show-config"), SHARES_NONE),
    (
        ("tests.realtime.pair:lasting",),
        "node 'left' is durable and has no place for files: give --data DIR or EDRI_DATA",
    ),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=lambda value: str(value)[:60])
def test_bad_input_is_refused(here: Here, arguments: tuple[str, ...], words: str) -> None:
    assert here.refusal("up", *arguments).startswith(words)


def test_a_port_that_is_taken_ends_it() -> None:
    address = free_address()
    with Program("switch", "--listen", address, "--status", "") as hub:
        hub.until("listens")
        with Program("up", PAIR, "--switch", address) as up:
            lines = ended_with(up, 1)
            assert any(f"switch 'hub' can't listen at {address}: the port is taken" in line for line in lines)
            assert "edri-sim | hub ended with exit code 2" in lines
