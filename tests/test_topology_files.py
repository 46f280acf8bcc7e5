"""Topologies as files and as graphs, and replicas of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from edri_sim import Topology, part
from edri_sim.errors import DeclarationError
from edri_sim.service import Costs
from edri_sim.topology import LinkSpec
from tests.lab import shop

WHOLE = """\
[topology]
name = "street"

[switches.hub]
address = "127.0.0.1:7400"

[switches.spare]
cores = 2

[nodes.door]
parts = []
switch = ["hub", "spare"]
durable = true

[nodes.shop]
parts = ["tests.lab.shop:Shop"]
switch = "hub"
cores = 4
costs = {event = 1e-05}

[nodes.office]
parts = [{make = "tests.lab.shop:Books", args = [5], kwargs = {title = "sales"}}]
switch = "hub"
link = false

[[links]]
a = "shop"
b = "office"
latency = 0.002
jitter = 0.001
bandwidth = 1000000.0
queue = 65536
"""


def read(tmp_path: Path, text: str) -> Topology:
    path = tmp_path / "street.toml"
    path.write_text(text, encoding="utf-8")
    return Topology.from_toml(path)


def test_a_file_says_all_that_a_topology_has(tmp_path: Path) -> None:
    topology = read(tmp_path, WHOLE)
    assert topology.name == "street"
    assert [(each.name, each.address, each.cores) for each in topology.switches.values()] == [
        ("hub", "127.0.0.1:7400", 1),
        ("spare", "", 2),
    ]
    door, sells, office = topology.nodes.values()
    assert (door.parts, door.switches, door.durable) == ((), ("hub", "spare"), True)
    assert (sells.parts, sells.cores, sells.costs) == ((shop.Shop,), 4, Costs(event=1e-5))
    books: Any = office.parts[0]()
    assert (type(books), books.limit, books.title) == (shop.Books, 5, "sales")
    assert sorted(topology.links) == [("door", "hub"), ("door", "spare"), ("hub", "shop"), ("office", "shop")]
    link = topology.links["office", "shop"]
    assert (link.latency, link.jitter, link.bandwidth, link.queue) == (0.002, 0.001, 1e6, 65_536)


def test_what_is_written_is_the_same_topology(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).to_toml() == WHOLE
    street = shop.street()
    again = read(tmp_path, street.to_toml())
    assert again.to_toml() == street.to_toml()
    assert again.links == street.links


def test_replicas_are_nodes_with_numbers(tmp_path: Path) -> None:
    text = '[topology]\nname = "t"\n[switches.hub]\n[nodes.shop]\nreplicas = 3\nswitch = "hub"\ndurable = true\n'
    topology = read(tmp_path, text)
    assert list(topology.nodes) == ["shop-1", "shop-2", "shop-3"]
    assert all(spec.durable and spec.switches == ("hub",) for spec in topology.nodes.values())
    assert len(topology.links) == 3


def test_replicas_are_added_together_or_not_at_all() -> None:
    topology = Topology("t")
    topology.node("shop-2")
    with pytest.raises(DeclarationError, match="has a node 'shop-2' already"):
        topology.replicas("shop", 3)
    with pytest.raises(DeclarationError, match=r"replicas\('shop', count=0\): expected a whole number, 1 or more"):
        topology.replicas("shop", 0)
    assert list(topology.nodes) == ["shop-2"]


HEAD = '[topology]\nname = "t"\n[switches.hub]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[nodes.a]\n", "street.toml: there is no table [topology]"),
        ("[topology]\n", "street.toml:1: topology: 'name' is missing: expected a string"),
        ('[topology]\nnam = "t"\n', "street.toml:2: topology: 'nam' is unknown: did you mean 'name'?"),
        ('[topologie]\nname = "t"\n', "street.toml:1: 'topologie' is unknown: did you mean 'topology'?"),
        ('[topology]\nname = "T T"\n', "street.toml:2: topology name 'T T': expected 1 to 64 of"),
        (HEAD + "[nodes.a]\nswich = 'hub'\n", "street.toml:5: nodes.a: 'swich' is unknown: did you mean 'switch'?"),
        (HEAD + "[nodes.a]\nswitch = 'hob'\n", "street.toml:4: node('a', switch='hob'): switch 'hob' is unknown: did"),
        (HEAD + "[nodes.a]\nswitch = [1]\n", "street.toml:5: nodes.a: switch: expected the name of a switch, or an"),
        (HEAD + "[nodes.a]\ncores = 0\n", "street.toml:4: node('a', cores=0): expected a whole number, 1 or more"),
        (HEAD + "[nodes.a]\n\ncores = 2.5\n", "street.toml:6: nodes.a: cores = 2.5: expected a whole number"),
        (HEAD + "[nodes.a]\nparts = [7]\n", "street.toml:5: nodes.a: parts: expected 'module:name', such as"),
        (
            HEAD + "[nodes.a]\nparts = ['tests.lab.shop:Shopp']\n",
            "street.toml:5: 'tests.lab.shop:Shopp': tests.lab.shop has no 'Shopp': did you mean 'Shop'?",
        ),
        (
            HEAD + "[nodes.a]\nparts = ['tests.lab.shop:NO_PART']\n",
            "street.toml:5: 'tests.lab.shop:NO_PART' is no factory of parts, but of type int",
        ),
        (HEAD + "[nodes.a.costs]\nevnt = 1\n", "street.toml:5: nodes.a.costs: 'evnt' is unknown: did you mean 'event'"),
        (HEAD + "[nodes.a.costs]\nevent = -1\n", "street.toml:4: Costs(event=-1.0): expected a number, 0 or more"),
        (HEAD + "[nodes]\na = 7\n", "street.toml:5: nodes: a = 7: expected a table"),
        (HEAD + "[[links]]\na = 'hub'\n", "street.toml:4: links[1]: 'b' is missing: expected a string"),
        (HEAD + "[[links]]\na = 'hub'\nb = 'hub'\n", "street.toml:4: link('hub', 'hub'): a link joins two machines"),
        (
            HEAD + "[nodes.a]\n[[links]]\na = 'hub'\nb = 'a'\nlatency = nan\n",
            "street.toml:5: link('hub', 'a', latency=nan): expected a number, 0 or more",
        ),
        (HEAD + "[switches.'S']\n", "street.toml:4: switch name 'S': expected 1 to 64 of"),
        (HEAD + "[nodes.hub]\n", "street.toml:4: topology 't' has a switch 'hub' already"),
    ],
)  # fmt: skip
def test_each_error_has_its_line_and_the_nearest_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        read(tmp_path, text)
    assert words in str(refused.value)


def test_what_no_module_has_is_not_written() -> None:
    topology = Topology("t")
    topology.node("a", lambda: shop.Shop())
    with pytest.raises(DeclarationError, match=r"node 'a': part <function .*<lambda>.* can't be written to a file"):
        topology.to_toml()


def test_the_lines_of_a_long_file_are_found_soon(tmp_path: Path) -> None:
    text = HEAD + "".join(f"[nodes.n{number}]\nswitch = 'hub'\n" for number in range(2_000)) + "[nodes.z]\ncorse = 1\n"
    with pytest.raises(DeclarationError, match=r"street.toml:4005: nodes.z: 'corse' is unknown"):
        read(tmp_path, text)


# Graphs


def test_a_graph_leads_back_to_the_topology(tmp_path: Path) -> None:
    for topology in (shop.street(), read(tmp_path, WHOLE)):
        again = Topology.from_graph(topology.graph())
        assert again.name == topology.name
        assert again.nodes == topology.nodes
        assert again.switches == topology.switches
        assert {pair: figures(link) for pair, link in again.links.items()} == {
            pair: figures(link) for pair, link in topology.links.items()
        }


def figures(link: LinkSpec) -> tuple[float | None, ...]:
    """All but the order of its ends, which a graph does not keep."""
    return link.latency, link.jitter, link.bandwidth, link.queue


def test_graphs_of_others_need_names_alone() -> None:
    graph = nx.Graph([("oslo", "rome"), ("rome", "bonn")], name="cities")
    nx.set_edge_attributes(graph, {("oslo", "rome"): {"latency": 0.01, "dist": 2_000}})
    graph.add_node("hub", kind="switch", colour="red")
    graph.add_edge("hub", "bonn")
    for city in ("oslo", "rome", "bonn"):
        graph.nodes[city].update(switch="hub", parts=[shop.Shop], pos=(1.0, 2.0))
    topology = Topology.from_graph(graph)
    topology.check()
    assert topology.name == "cities"
    assert sorted(topology.links) == [("bonn", "hub"), ("bonn", "rome"), ("oslo", "rome")]
    assert topology.links["oslo", "rome"].latency == 0.01
    assert topology.nodes["oslo"].parts == (shop.Shop,)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (nx.DiGraph([("a", "b")]), "graph '' is directed, and links are the same both ways"),
        (nx.Graph([(1, 2)]), r"graph node 1: expected a name: networkx.relabel_nodes\(graph, names\)"),
        (nx.Graph([("a", "New York")]), "node name 'New York': expected 1 to 64 of"),
        (nx.Graph([("a", "a")]), r"link\('a', 'a'\): a link joins two machines"),
        (nx.MultiGraph([("a", "b"), ("a", "b")]), "has a link between 'a' and 'b' already"),
        (nx.Graph([("a", "b", {"latency": -1})]), r"link\('a', 'b', latency=-1\): expected a number"),
    ],
)
def test_what_graphs_cannot_say(graph: nx.Graph, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        Topology.from_graph(graph, "g")


def test_a_kind_that_is_none() -> None:
    graph = nx.Graph(name="g")
    graph.add_node("a", kind="router")
    with pytest.raises(DeclarationError, match=r"graph node 'a': kind='router': expected 'node' or 'switch'"):
        Topology.from_graph(graph)


def test_parts_that_are_calls_survive_a_graph() -> None:
    topology = Topology("t")
    topology.node("a", part(shop.Books, 3))
    made: Any = Topology.from_graph(topology.graph()).nodes["a"].parts[0]()
    assert made.limit == 3
