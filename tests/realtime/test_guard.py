"""Which addresses are this machine's own, what a file of allow-lists allows, and that nobody made by hand is exempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edri_sim import Manager, Node, Notification, Settings, Simulation, Switch, Topology, event, handles, part
from edri_sim.errors import SettingsError
from edri_sim.links import line
from edri_sim.links.guard import read_permissions
from edri_sim.links.switch import SwitchConfig
from edri_sim.realtime.host import LocalHost
from edri_sim.settings import SwitchSettings
from tests.realtime.programs import free_address
from tests.runtime.cast import Letters
from tests.worlds import records, until

FILE = """
[allow.web]
publish = ["Buy", "Sold*"]
subscribe = ["Report"]

[allow.guest]

[allow."*"]
subscribe = ["Report"]
"""


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
        ("::", False), ("10.0.0.1", False), ("localhost.example.org", False), ("", False), ("fe80::1%lo", False),
    ],
)  # fmt: skip
def test_an_address_of_this_machine_alone(host: str, own: bool) -> None:
    assert LocalHost().is_private(host) is own


@pytest.mark.parametrize(
    ("node", "verb", "type_", "allowed"),
    [
        ("web", "publish", "Buy", True),
        ("web", "publish", "SoldOut", True),
        ("web", "publish", "Report", False),
        ("web", "subscribe", "Buy", False),
        ("stock", "subscribe", "Report", True),
        ("stock", "publish", "Report", False),
        ("guest", "subscribe", "Report", False),
    ],
)
def test_a_file_says_who_may_do_what(tmp_path: Path, node: str, verb: str, type_: str, allowed: bool) -> None:
    path = tmp_path / "edri.toml"
    path.write_text(FILE)
    assert read_permissions(Settings(allow=str(path))).allows(node, verb, type_) is allowed


def test_without_a_file_everything_is_allowed() -> None:
    assert read_permissions(Settings()).allows("web", "publish", "Buy")


# Nodes and switches that are made by hand

ELSEWHERE = "10.255.255.1:7400"
REFUSED = "is not on this machine alone, and there are no certificates: make some"


@event(name="guard.Note")
class Note(Notification):
    text: str


class Reader(Manager):
    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    @handles
    async def note(self, event: Note) -> None:
        self.heard.append(event.text)


def files(folder: Path, name: str) -> dict[str, Any]:
    """The settings of one whose certificate is in the folder."""
    return {
        "tls_cert": str(folder / f"{name}.crt"),
        "tls_key": str(folder / f"{name}.key"),
        "tls_ca": str(folder / "ca.crt"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("cryptography")
    from edri_sim.realtime.certificates import make_certificates

    make_certificates(tmp_path, ["hub", "here", "there"])
    return tmp_path


async def test_a_node_refuses_to_talk_to_other_machines_in_the_clear() -> None:
    node = Node("here", switches=["127.0.0.1:1", ELSEWHERE])
    with pytest.raises(SettingsError, match=f"node 'here': switch address {ELSEWHERE} {REFUSED}"):
        await node.start()
    async with Node("here", switches=[ELSEWHERE], insecure=True):
        """It tries, and nobody answers."""


async def test_a_switch_refuses_to_listen_to_other_machines_in_the_clear() -> None:
    with pytest.raises(SettingsError, match=f"switch 'hub': address 0.0.0.0:0 {REFUSED}"):
        await Switch("hub", "0.0.0.0:0").start()
    async with Switch("hub", "0.0.0.0:0", config=SwitchConfig(insecure=True)) as switch:
        assert switch.address.port


async def test_a_node_shows_the_certificate_of_its_settings(folder: Path) -> None:
    config = SwitchConfig.of(SwitchSettings(**files(folder, "hub")))
    heard: list[str] = []
    async with Switch("hub", free_address(), config=config) as hub:
        lines, here = [str(hub.address)], Settings(**files(folder, "here"))
        async with (
            Node("there", part(Reader, heard), switches=lines, settings=Settings(**files(folder, "there"))),
            Node("here", switches=lines, settings=here) as node,
            Node("impostor", switches=lines, settings=here),
        ):
            await node.subscribed(Note)
            await node.notify(Note("in private"))
            await until(lambda: heard == ["in private"] and hub.counts.get("refused, UNAUTHORISED"))
            assert list(hub.ports) == ["there", "here"]


async def test_a_plain_node_at_a_switch_with_certificates_is_told_what_it_may_lack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "GREETING_WITHIN", 0.2)
    config = SwitchConfig.of(SwitchSettings(**files(folder, "hub")))
    with records("edri_sim.connector") as kept:
        async with Switch("hub", "127.0.0.1:0", config=config) as hub, Node("a", switches=[str(hub.address)]):
            await until(lambda: kept.at("WARNING"), "a word of the line")
    assert "this node has no certificates (tls_cert, tls_key, tls_ca)" in kept.at("WARNING")[0].getMessage()


async def test_a_node_with_certificates_may_talk_to_other_machines(folder: Path) -> None:
    async with Node("here", switches=[ELSEWHERE], settings=Settings(**files(folder, "here"))):
        """It tries, and nobody answers."""


async def test_a_node_names_the_file_that_will_not_do(tmp_path: Path) -> None:
    node = Node("here", switches=["127.0.0.1:1"], settings=Settings(**files(tmp_path, "here")))
    with pytest.raises(SettingsError, match=r"setting tls_ca='.*ca.crt': cannot be read"):
        await node.start()


async def test_a_node_takes_no_more_than_its_allow_list_has(tmp_path: Path) -> None:
    path = tmp_path / "edri.toml"
    path.write_text('[allow.here]\npublish = ["guard.Other"]\n')
    async with Switch("hub", free_address()) as hub:
        heard: list[str] = []
        letters = Letters()
        there = Node("there", part(Reader, heard), switches=[str(hub.address)], allow=str(path))
        async with there, Node("here", lambda: letters, switches=[str(hub.address)]) as node:
            await node.subscribed(Note)
            await node.notify(Note("for nobody"))
            await until(lambda: letters.list)
        assert heard == []


def test_simulated_lines_need_no_certificate_whatever_the_settings_say(folder: Path) -> None:
    topology = Topology("guarded")
    topology.switch("hub")
    heard: list[str] = []
    topology.node("here", switch="hub")
    topology.node("there", part(Reader, heard), switch="hub")
    settings = Settings(token="secret", **files(folder, "here"))
    with Simulation(topology, seed=7, settings=settings) as simulation:
        here = simulation.node("here")

        async def main() -> None:
            await here.subscribed(Note)
            await here.notify(Note("in the clear"))

        simulation.run(main())
        simulation.run(until=simulation.now + 1)
    assert heard == ["in the clear"]


def test_a_simulated_address_is_nobody_elses() -> None:
    async def main() -> None:
        async with Node("here", switches=["hub:7400"]):
            """It tries, and nobody answers."""

    with Simulation(seed=7) as simulation:
        simulation.run(main())
