"""Topologies as data: nodes, switches and links, and each message about one that cannot be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from edri_sim import Simulation, Topology
from edri_sim.errors import DeclarationError
from edri_sim.topology import LATENCY, LinkSpec, pair_of


def photos() -> Topology:
    topology = Topology("photos")
    topology.switch("hub", address="127.0.0.1:4000")
    topology.switch("spare")
    topology.node("web", switch="hub")
    topology.node("images", switch=["hub", "spare"], cores=4, durable=True)
    return topology


def test_what_is_declared_can_be_read() -> None:
    topology = photos()
    assert (topology.switches["hub"].address, topology.switches["spare"].address) == ("127.0.0.1:4000", "")
    assert topology.nodes["web"].switches == ("hub",)
    images = topology.nodes["images"]
    assert (images.switches, images.cores, images.durable) == (("hub", "spare"), 4, True)
    assert list(topology.links) == [("hub", "web"), ("hub", "images"), ("images", "spare")]
    assert topology.links["hub", "web"] == LinkSpec("web", "hub", LATENCY, 0.0, None, None)
    assert (
        repr(topology) == "<Topology photos: web, images; switches hub, spare; links web-hub, images-hub, images-spare>"
    )


def test_a_node_needs_no_switch() -> None:
    topology = Topology("solo")
    assert topology.node("solo").switches == ()
    assert (topology.links, repr(topology)) == ({}, "<Topology solo: solo>")


def test_a_link_of_ones_own_takes_the_place_of_the_default() -> None:
    topology = photos()
    spec = topology.link("hub", "images", latency=0.005, jitter=0.001, bandwidth=12.5e6, queue=64_000)
    assert topology.links[pair_of("images", "hub")] is spec is topology.links[pair_of("hub", "images")]
    assert (spec.latency, spec.jitter, spec.bandwidth, spec.queue) == (0.005, 0.001, 12.5e6, 64_000)
    assert str(spec) == "hub-images"
    assert len(topology.links) == 3


def test_any_two_machines_can_be_linked() -> None:
    topology = photos()
    topology.link("web", "images")
    topology.link("spare", "hub")
    assert len(topology.links) == 5


@pytest.mark.parametrize("address", ["127.0.0.1:4000", "hub.example.org:1", "[::1]:65535", "localhost:80"])
def test_addresses_of_switches(address: str) -> None:
    assert Topology("photos").switch("hub", address=address).address == address


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda t: t.switch("The Hub"), r"switch name 'The Hub': expected 1 to 64 of"),
        (lambda t: t.switch("hub"), r"topology 'photos' has a switch 'hub' already"),
        (lambda t: t.switch("web"), r"topology 'photos' has a node 'web' already"),
        (lambda t: t.node("hub"), r"topology 'photos' has a switch 'hub' already"),
        (lambda t: t.switch("new", cores=0), r"switch\('new', cores=0\): expected a whole number, 1 or more"),
        (lambda t: t.node("new", switch="hob"), r"node\('new', switch='hob'\): switch 'hob' is unknown: did you mean"),
        (lambda t: t.node("new", switch="web"), r"switch 'web' is unknown: expected one of hub, spare"),
        (lambda t: t.node("new", switch=("hub", "hub")), r"node\('new', switch=\('hub', 'hub'\)\): a switch is given"),
        (lambda t: t.node("new", durable=1), r"node\('new', durable=1\): expected True or False"),
        (lambda t: t.node("new", "part"), r"node 'new': part 'part' is no factory; pass the class or part\(...\)"),
        (lambda t: t.link("web", "imags"), r"node or switch 'imags' is unknown: did you mean 'images'\?"),
        (lambda t: t.link("zzz", "web"), r"node or switch 'zzz' is unknown: expected one of web, images, hub, spare"),
        (lambda t: t.link("web", "web"), r"link\('web', 'web'\): a link joins two machines, and these are one"),
        (lambda t: (t.link("web", "hub"), t.link("hub", "web")), r"has a link between 'hub' and 'web' already"),
        (lambda t: t.link("web", "hub", latency=-1), r"link\('web', 'hub', latency=-1\): expected a number, 0 or more"),
        (lambda t: t.link("web", "hub", latency=math.nan), r"link\('web', 'hub', latency=nan\): expected a number"),
        (lambda t: t.link("web", "hub", jitter=math.inf), r"link\('web', 'hub', jitter=inf\): expected a number"),
        (lambda t: t.link("web", "hub", bandwidth=0), r"link\('web', 'hub', bandwidth=0\): expected a number above 0"),
        (lambda t: t.link("web", "hub", queue=0), r"link\('web', 'hub', queue=0\): expected a whole number, 1 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_leaves_nothing(declare: Callable[[Topology], Any], message: str) -> None:
    topology = photos()
    with pytest.raises(DeclarationError, match=message):
        declare(topology)
    assert list(topology.nodes) == ["web", "images"]
    assert list(topology.switches) == ["hub", "spare"]
    assert len(topology.links) == 3


def test_a_switch_is_declared_before_its_nodes() -> None:
    topology = Topology("photos")
    with pytest.raises(DeclarationError, match="switch 'hub' is unknown: none is declared"):
        topology.node("web", switch="hub")


@pytest.mark.parametrize(
    "address", ["hub", "hub:", ":80", "hub:0", "hub:65536", "hub:x", "::1:80", "http://hub:80", 80]
)
def test_malformed_addresses_are_refused(address: Any) -> None:
    with pytest.raises(DeclarationError, match=r"switch\('hub', address=.*\): expected 'host:port' with a port from 1"):
        Topology("photos").switch("hub", address=address)


# As a whole


def joined(**nodes: str) -> Topology:
    """Nodes by name, each with its switches, of which "x y z" are there."""
    topology = Topology("shop")
    for name in "xyz":
        topology.switch(name)
    for name, switches in nodes.items():
        topology.node(name, switch=switches.split())
    return topology


@pytest.mark.parametrize(
    "nodes",
    [
        {},
        {"web": "x"},
        {"web": "x", "mail": "x", "stock": "x"},
        {"web": "x y", "mail": "y z", "stock": "z x"},
        {"web": "x", "mail": "x y z", "stock": "x z"},
        {"web": "x", "alone": "", "solitary": ""},
    ],
    ids=str,
)
def test_nodes_that_share_a_switch_two_by_two_or_have_none_are_a_whole(nodes: dict[str, str]) -> None:
    topology = joined(**nodes)
    topology.check()
    with Simulation(topology) as simulation:
        assert list(simulation.nodes) == list(nodes)


@pytest.mark.parametrize(
    ("nodes", "who", "remedy"),
    [
        ({"web": "x", "mail": "y"}, "'web' (at x) and 'mail' (at y)", "node('web', switch=['x', 'y'])"),
        ({"web": "x y", "mail": "z"}, "'web' (at x, y) and 'mail' (at z)", "node('web', switch=['x', 'y', 'z'])"),
        ({"web": "x", "hall": "x y", "mail": "y z"}, "'web' (at x) and 'mail' (at y, z)", "switch=['x', 'y'])"),
        ({"alone": "", "web": "x", "also": "x", "mail": "y"}, "'web' (at x) and 'mail' (at y)", "switch=['x', 'y'])"),
    ],
    ids=str,
)  # fmt: skip
def test_two_nodes_without_a_common_switch_are_refused_and_named(nodes: dict[str, str], who: str, remedy: str) -> None:
    topology = joined(**nodes)
    topology.link("x", "y")  # A cable between switches does not help: they do not forward.
    message = f"topology 'shop': nodes {who} share no switch, and switches do not forward to one another: join one of"
    for use in (topology.check, lambda: Simulation(topology)):
        with pytest.raises(DeclarationError, match=re.escape(message)) as refused:
            use()
        assert str(refused.value).endswith(remedy)


def test_the_last_of_many_nodes_is_seen() -> None:
    topology = joined(**{f"n{number}": ("x y", "y z", "z x")[number % 3] for number in range(3_000)})
    topology.check()
    topology.node("last", switch="x")
    with pytest.raises(DeclarationError, match=r"nodes 'n1' \(at y, z\) and 'last' \(at x\) share no switch"):
        topology.check()
