"""Scenarios that could not happen: each is a clear error before anything runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Topology, faults, load, service
from edri_sim.errors import DeclarationError
from edri_sim.scenario import Scenario
from edri_sim.service import Service
from tests.lab import shop

Make = Callable[[], Any]


def orders(**given: Any) -> load.Constant:
    return load.Constant(shop.order, **{"rate": 1.0, "node": "door", **given})


def street(**given: Any) -> Scenario:
    return Scenario(shop.street(), **{"duration": 10.0, **given})


def apart() -> Topology:
    topology = Topology("apart")
    for name in ("a", "b"):
        topology.switch(f"hub-{name}")
        topology.node(name, switch=f"hub-{name}")
    return topology


def many() -> Topology:
    topology = Topology("many")
    topology.replicas("node", 1_000_000)
    return topology


BAD: list[tuple[Make, str]] = [
    (lambda: Scenario("street", duration=1), r"Scenario\('street'\): expected a Topology"),  # type: ignore[arg-type]
    (lambda: Scenario(apart(), duration=1), r"nodes 'a' \(at hub-a\) and 'b' \(at hub-b\) share no switch"),
    (many, r"replicas\('node', count=1000000\): topology 'many' would have more than 20,000 nodes"),
    (lambda: shop.street().link("shop", "shop"), r"a link joins two machines, and these are one"),
    (lambda: street(duration=0), r"Scenario\(duration=0\): expected a number above 0"),
    (lambda: street(duration=-1), r"Scenario\(duration=-1\): expected a number above 0"),
    (lambda: street(duration=math.nan), r"Scenario\(duration=nan\): expected a number above 0"),
    (lambda: street(duration="10"), r"Scenario\(duration='10'\): expected a number above 0"),
    (lambda: street(warm_up=-1), r"Scenario\(warm_up=-1\): expected a number, 0 or more"),
    (lambda: street(warm_up=10), r"Scenario\(warm_up=10\): expected less than duration=10.0"),
    (lambda: street(drain=math.inf), r"Scenario\(drain=inf\): expected a number, 0 or more"),
    (lambda: street(load=orders()), r"Scenario\(load=Constant\(.*\): expected a list"),
    (lambda: street(load=["Poisson"]), r"load: expected loads such as Poisson\(...\), got 'Poisson'"),
    (lambda: street(load=[service.Constant(1)]), r"expected loads such as Poisson\(...\) \(of edri_sim.load, not of"),
    (lambda: street(load=[orders(node="dor")]), r"constant load on dor: node 'dor' is unknown: did you mean 'door'\?"),
    (lambda: street(load=[orders(node="hub")]), r"constant load on hub: node 'hub' is unknown: expected one of door,"),
    (lambda: street(load=[orders(start=10)]), r"start=10 is after the end of the scenario, at 10 s"),
    (lambda: street(load=[orders(until=11)]), r"until=11 is after the end of the scenario, at 10 s"),
    (lambda: street(faults=[orders()]), r"faults: expected faults such as Outage\(...\), got Constant"),
    (lambda: street(faults=[faults.Kill("hub", 10)]), r"kill hub at 10 s is after the end of the scenario, at 10 s"),
    (lambda: street(faults=[faults.Kill("hob", 1)]), r"node or switch 'hob' is unknown: did you mean 'hub'\?"),
    (
        lambda: street(faults=[faults.Crash("hub", 1), faults.Crash("hub", 2)]),
        r"crash hub at 2 s: 'hub' is down then, from 1 s for good",
    ),
    (lambda: street(service={"Order": 1}), r"service for 'Order': expected an event type, a handler or a worker clas"),
    (lambda: street(service={shop.Order: -1}), r"\(cpu=-1\): expected a number, 0 or more"),
    (lambda: street(service={shop.Order: Service(gil=1.01)}), r"Service\(gil=1.01\): expected a share from 0 to 1"),
    (
        lambda: street(load=[load.Poisson(lambda i: shop.Order(i), rate=1, node="door")]).to_toml(),
        r"Poisson load on door: <function .*<lambda>.* can't be written to a file: expected a class or function of a",
    ),
]


@pytest.mark.parametrize(("make", "words"), BAD)
def test_what_could_not_happen_is_refused(make: Make, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        make()


def test_a_topology_that_grew_wrong_is_refused_when_it_is_run() -> None:
    from edri_sim.simulation.scenarios import simulate

    scenario = street()
    scenario.topology.switch("spare")
    scenario.topology.node("far", switch="spare")
    with pytest.raises(DeclarationError, match="share no switch"):
        simulate(scenario)


HEAD = '[topology]\nname = "t"\n[switches.hub]\n[nodes.door]\nswitch = "hub"\n'
GOOD = HEAD + "[scenario]\nduration = 10\n"
LOAD = GOOD + '[[load]]\nkind = "Constant"\nmake = "tests.lab.shop:order"\nnode = "door"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "s.toml: the file is empty"),
        (HEAD, "s.toml: there is no table [scenario]"),
        (HEAD + "[scenari]\nduration = 1\n", "s.toml:6: 'scenari' is unknown: did you mean 'scenario'?"),
        ("[scenario]\nduration = 1\n", "s.toml: there is no table [topology]"),
        (HEAD + "[scenario]\n", "s.toml:6: scenario: 'duration' is missing: expected a number"),
        (HEAD + "[scenario]\nduraton = 1\n", "s.toml:7: scenario: 'duraton' is unknown: did you mean 'duration'?"),
        (HEAD + "[scenario]\nduration = -1\n", "s.toml:6: Scenario(duration=-1.0): expected a number above 0"),
        (HEAD + "[scenario]\nduration = 1\ntopology = 'no.toml'\n", "no.toml: cannot be read: No such file"),
        (GOOD + "[[loads]]\n", "s.toml:8: 'loads' is unknown: did you mean 'load'?"),
        (GOOD + "[[load]]\n", "s.toml:8: load[1]: 'kind' is missing: expected a string"),
        (GOOD + "[[load]]\nkind = 'Poison'\n", "s.toml:9: load[1]: kind 'Poison' is unknown: did you mean 'Poisson'?"),
        (LOAD, "s.toml:8: load[1]: 'rate' is missing: expected a number"),
        (LOAD + "rate = 'x'\n", "s.toml:12: load[1]: rate = \"x\": expected a number"),
        (LOAD + "rate = 1\nstrat = 2\n", "s.toml:13: load[1]: 'strat' is unknown: did you mean 'start'?"),
        (LOAD + "rate = 0\n", "s.toml:8: Constant(rate=0.0): expected a number above 0"),
        (LOAD.replace("order", "ordr") + "rate = 1\n", "s.toml:6: 'tests.lab.shop:ordr': tests.lab.shop has no 'ordr'"),
        (GOOD + "[[faults]]\nkind = 'Outage'\na = 'door'\nb = 'hub'\n", "s.toml:8: faults[1]: 'at' is missing"),
        (
            GOOD + "[[faults]]\nkind = 'Crash'\nname = 'door'\nat = 11\n",
            "s.toml:6: crash door at 11 s is after the end of the scenario, at 10 s",
        ),
        (GOOD + "[[service]]\nfor = 'tests.lab.shop:Order'\ngil = 2\n", "s.toml:8: Service(gil=2.0): expected a share"),
        (
            GOOD + "[[service]]\nfor = 'tests.lab.shop:Order'\ncpu = 'x'\n",
            "s.toml:10: service[1]: cpu: expected seconds, or a table such as",
        ),
        (
            GOOD + "[[service]]\nfor = 'tests.lab.shop:Order'\ncpu = {kind = 'LogNormal', mean = 1}\n",
            "s.toml:10: service[1].cpu: 'cv' is missing: expected a number",
        ),
    ],
)  # fmt: skip
def test_each_error_of_a_file_has_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeclarationError) as refused:
        Scenario.from_toml(path)
    assert words in str(refused.value)
