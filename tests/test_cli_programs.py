"""``edri-sim switch``, ``node`` and ``status``: what they print, and what they say of bad input."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from edri_sim.settings import Settings, SwitchSettings
from tests.realtime.programs import PAIR, ROOT, SHARES_NONE, SPLIT, Here, Program, edri, free_address, here, running

__all__ = ["here"]

# Bad usage: one clear line, exit 2

LASTING = "tests.realtime.pair:lasting"
TLS_HINT = (
    "there are no certificates: make some (edri-sim certs) and give --cert, --key and --ca (the settings tls_cert"
)

BAD_SWITCH = [
    (("--listen", "nowhere"), "setting listen='nowhere': expected an address host:port or [IPv6]:port"),
    (("--listen", "127.0.0.1:70000"), "setting listen='127.0.0.1:70000': expected an address"),
    (("--status", "nowhere"), "setting status='nowhere': expected an address host:port or [IPv6]:port, or nothing"),
    (("--name", "The Hub"), "setting name='The Hub': expected 1 to 64 of a-z"),
    (("--token", "a b"), "setting token=***: expected at most 256 visible ASCII characters"),
    (("--listen", "0.0.0.0:7400"), f"switch 'hub': address 0.0.0.0:7400 is not on this machine alone, and {TLS_HINT}"),
    (("--listen", "[::]:7400"), "switch 'hub': address [::]:7400 is not on this machine alone"),
    (("--listen", "example.org:7400"), "switch 'hub': address example.org:7400 is not on this machine alone"),
    (("--status", "0.0.0.0:7480"), "status address 0.0.0.0:7480 is not on this machine alone, and whoever connects"),
    (("--cert", "a.crt"), "setting tls_key='': expected a file, as tls_cert, tls_key, tls_ca go together"),
    (("--cert", "a", "--key", "b", "--ca", "c"), "setting tls_ca='c': cannot be read: No such file or directory"),
    (("--allow", "none.toml"), "setting allow='none.toml': [Errno 2] No such file or directory: 'none.toml'"),
    (("--allow", "README.md"), "setting allow='README.md': "),
    (("--allow", "pyproject.toml"), "setting allow='pyproject.toml': expected a table [allow.NODE] for each node"),
    (("--config", "none.toml"), "settings file none.toml: "),
    (("--log", "loud"), "--log loud: expected one of debug, info, warning, error"),
    (("--lifeline", "99"), "--lifeline 99: expected the descriptor of a socket"),
    (("--listen",), "Option '--listen' requires an argument"),
    (("hub",), "Got unexpected extra argument"),
]

BAD_NODE = [
    ((), "Missing argument 'MODULE:TOPOLOGY'"),
    ((PAIR,), "Missing argument 'NAME'"),
    (("nowhere:topology", "left"), "nowhere: there is no module 'nowhere'"),
    (("tests.realtime.pair:topologi", "left"), "tests.realtime.pair:topologi: module tests.realtime.pair has no"),
    (
        ("tests.realtime.pair:no_topology", "left"),
        "tests.realtime.pair:no_topology: expected a Topology, and this is of",
    ),
    ((PAIR, "lft"), "topology 'pair': node 'lft' is unknown: did you mean 'left'?"),
    ((PAIR, "hub"), "topology 'pair': node 'hub' is unknown: expected one of left, right"),
    ((PAIR, "left"), "node 'left': switch 'hub' has no address: give --switch HOST:PORT, set EDRI_SWITCHES, or say"),
    ((PAIR, "left", "--switch", "hub"), "setting switches='hub': expected addresses host:port or [IPv6]:port"),
    ((PAIR, "left", "--switch", "10.0.0.1:7400"), "node 'left': switch address 10.0.0.1:7400 is not on this machine"),
    (
        (LASTING, "left", "--switch", "127.0.0.1:1"),
        "node 'left' is durable and has no place for files: give --data DIR",
    ),
    ((PAIR, "left", "--switch", "127.0.0.1:1", "--ca", "c"), "setting tls_cert='': expected a file, as tls_cert"),
    ((SPLIT, "left"), SHARES_NONE),
    ((SPLIT, "left", "--switch", "127.0.0.1:1"), SHARES_NONE),
    ((SPLIT, "left", "--show-config"), SHARES_NONE),
    ((PAIR, "left", "--switch", "127.0.0.1:1", "--allow", "x"), "setting allow='x': [Errno 2] No such file"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_SWITCH, ids=lambda value: str(value)[:60])
def test_a_switch_refuses_bad_input(here: Here, arguments: tuple[str, ...], words: str) -> None:
    assert here.refusal("switch", *arguments).startswith(words)


@pytest.mark.parametrize(("arguments", "words"), BAD_NODE, ids=lambda value: str(value)[:60])
def test_a_node_refuses_bad_input(here: Here, arguments: tuple[str, ...], words: str) -> None:
    assert here.refusal("node", *arguments).startswith(words)


def test_an_allow_list_of_nothing_is_refused(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "allow.toml"
    path.write_text("[allow]\n")
    assert here.refusal("switch", "--allow", path).endswith("expected a table [allow.NODE] for each node")
    path.write_text("[allow.left]\npublsh = []\n")
    assert here.refusal("switch", "--allow", path) == (
        f"setting allow='{path}': permissions of 'left': 'publsh' is unknown: expected publish or subscribe"
    )


def test_ports_that_are_taken_are_named(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert here.refusal("switch", "--listen", address) == (
            f"switch 'hub' can't listen at {address}: the port is taken; choose another with --listen"
        )
        done = edri("switch", "--listen", free_address(), "--status", address)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"edri-sim: the status of switch 'hub' can't listen at {address}: the"
    )
    assert "can't listen at 192.0.2.1:7400: cannot assign requested address; " in here.refusal(
        "switch", "--insecure", "--listen", "192.0.2.1:7400"
    )
    assert "can't listen at no.such.invalid:7400: " in here.refusal(
        "switch", "--insecure", "--listen", "no.such.invalid:7400"
    )


# Help

COMMON = ("--token", "--allow", "--insecure", "--config", "--show-config", "--json", "--log")
OPTIONS = {
    "switch": ("--name", "--listen", "--status", "--cert", "--key", "--ca", *COMMON),
    "node": ("--switch", "--data", "--cert", "--key", "--ca", *COMMON),
    "up": ("--only", "--keep-going", "--switch", "--data", "--certs", *COMMON),
    "status": ("--json",),
    "certs": ("--name", "--force", "--json"),
}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_lists_the_options(here: Here, command: str) -> None:
    words = here.words(command, "--help")
    assert [option for option in OPTIONS[command] if option not in words] == []
    assert "--lifeline" not in words
    assert command in here.words("--help")


def test_the_docs_use_options_that_there_are(here: Here) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"```(?:sh|ini)\n(.*?)```", page, re.DOTALL))
    lines = [line.partition("edri-sim ")[2].partition("#")[0].split() for line in blocks.splitlines()]
    used = [(words[0], word) for words in lines if words for word in words if word.startswith("--")]
    assert len(used) > 10
    assert [(command, option) for command, option in used if option not in OPTIONS[command]] == []


def test_each_setting_in_the_environment_is_one_that_there_is() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    known = {f"EDRI_{name.upper()}" for kind in (Settings, SwitchSettings) for name in kind().shown()}
    named = set(re.findall(r"EDRI_[A-Z_]+", page))
    assert len(named) >= 10
    assert named <= known


# What it would do


def test_a_switch_shows_its_settings_and_where_they_came_from(tmp_path: Path) -> None:
    config = tmp_path / "edri.toml"
    config.write_text('[switch]\nname = "north"\nlisten = "127.0.0.1:1"\n')
    arguments = ("switch", "--show-config", "--config", config, "--status", "127.0.0.1:9")
    done = edri(*arguments, EDRI_TOKEN="one-secret", EDRI_LISTEN="127.0.0.1:2")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines()}
    assert rows["name"] == f"north in {config}"
    assert rows["listen"] == "127.0.0.1:2 environment EDRI_LISTEN"
    assert rows["status"] == "127.0.0.1:9 argument"
    assert rows["token"] == "*** environment EDRI_TOKEN"
    assert rows["insecure"] == "no default"
    assert rows["tls_key"] == "- default"
    as_json = edri(*arguments, "--json", EDRI_TOKEN="one-secret", EDRI_LISTEN="127.0.0.1:2")
    assert json.loads(as_json.stdout)["listen"] == {"value": "127.0.0.1:2", "from": "environment EDRI_LISTEN"}
    assert "one-secret" not in done.stdout + as_json.stdout


def test_a_node_shows_where_its_switches_come_from() -> None:
    shop = "examples/three_routers/system.py:topology"

    def shown(*arguments: str, **environment: str) -> dict[str, str]:
        done = edri("node", shop, "web", "--show-config", "--json", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        switches: dict[str, str] = json.loads(done.stdout)["switches"]
        return switches

    assert shown() == {"value": "127.0.0.1:7400", "from": "topology shop"}
    assert shown(EDRI_SWITCHES="a:1,b:2") == {"value": "a:1,b:2", "from": "environment EDRI_SWITCHES"}
    assert shown("--switch", "c:3", "--switch", "d:4", EDRI_SWITCHES="a:1") == {"value": "c:3,d:4", "from": "argument"}


# What it does


def test_a_node_without_switches_runs_alone() -> None:
    with Program("node", "tests.realtime.pair:alone", "left") as left:
        left.until("node left runs")
        left.send(signal.SIGTERM)
        assert left.code() == 143


def test_the_log_is_json_for_programs() -> None:
    address = free_address()
    hub, left = (
        Program("switch", "--listen", address, "--status", "", "--json"),
        Program("node", PAIR, "left", "--switch", address, "--json"),
    )
    with running(hub, left):
        line = json.loads(left.until("joined switch hub"))
        assert (line["level"], line["logger"], line["node"]) == ("info", "edri_sim.connector", "left")
        assert line["message"] == f"joined switch hub at {address}"
        assert line["time"].endswith("Z")
        assert json.loads(hub.until("is present"))["message"] == "node left is present"


def test_the_status_of_a_switch_is_printed_and_is_json() -> None:
    address, status = free_address(), free_address()
    hub = Program("switch", "--name", "north", "--listen", address, "--status", status)
    left, right = (Program("node", PAIR, name, "--switch", address) for name in ("left", "right"))
    with running(hub, left, right):
        hub.until(f"switch north shows its status at {status}")
        for program in (left, right):
            program.until("joined switch north")
        with urlopen(f"http://{status}/status", timeout=10) as answer:
            report = json.load(answer)
        assert (report["switch"], sorted(report["nodes"])) == ("north", ["left", "right"])
        assert set(report["nodes"]["left"]) == {"incarnation", "address", "seconds", "relayed", "queue", "dropped"}
        right.send(signal.SIGTERM)
        right.code()
        hub.until("node right is gone")
        as_json = json.loads(edri("status", status, "--json").stdout)
        assert as_json["absent"] == {"right": report["nodes"]["right"]["incarnation"]}
        done = edri("status", EDRI_STATUS=status)
        assert (done.returncode, done.stderr) == (0, "")
        head, columns, here, away = done.stdout.splitlines()[:4]
        assert head.startswith(f"switch north at {address}: up for ")
        assert columns.split()[:3] == ["node", "incarnation", "address"]
        assert here.split()[:2] == ["left", report["nodes"]["left"]["incarnation"]]
        assert away.split() == ["right", report["nodes"]["right"]["incarnation"], "absent"]


def test_a_status_that_is_not_there_is_told(here: Here) -> None:
    address = free_address()
    done = edri("status", address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"edri-sim: no switch shows its status at {address}: [Errno 111] Connection refused\n"
    assert here.refusal("status", "nowhere").startswith("setting status='nowhere': expected an address")
    with Program("switch", "--listen", address, "--status", "") as hub:
        hub.until("listens at")
        done = edri("status", address)
        assert done.returncode == 1
        assert done.stderr.startswith(f"edri-sim: no switch shows its status at {address}: ")


def test_addresses_of_other_machines_take_a_word() -> None:
    port = free_address().rpartition(":")[2]
    with Program("switch", "--listen", f"0.0.0.0:{port}", "--status", "", "--insecure") as hub:
        hub.until(f"switch hub listens at 0.0.0.0:{port}")
