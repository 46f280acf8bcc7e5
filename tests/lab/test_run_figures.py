"""What a run says in figures, beside another run, and to other tools."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Run, faults, load, service
from edri_sim.errors import DeclarationError, MissingExtra
from edri_sim.run.intervals import Interval, interval, t_quantile
from edri_sim.scenario import Scenario
from edri_sim.service import Service
from edri_sim.simulation.scenarios import simulate
from tests.lab import shop


def street(rate: float = 20, **given: Any) -> Scenario:
    orders = load.Poisson(shop.order, rate=rate, node="door")
    sales = load.Constant(shop.sold, rate=1, node="shop")
    options = {"duration": 10.0, "load": [orders, sales], "service": {shop.Order: Service(cpu=0.02)}}
    return Scenario(shop.street(), **{**options, **given})


@pytest.fixture(scope="module")
def run() -> Run:
    outage = faults.Outage("shop", "hub", at=3, duration=1)
    return simulate(street(faults=[outage]))


def test_cores_are_busy_for_what_was_computed() -> None:
    run = simulate(street(warm_up=2))
    work = sum(2 <= at < 10 for at in run.arrivals("lab.Order")) * 0.02
    assert run.cores["shop"] == pytest.approx(work / (2 * 8), rel=0.03)
    assert run.cores["door"] == run.cores["hub"] == 0
    assert "cores of shop" in run.summary()


def test_cores_keep_their_count_across_lives() -> None:
    run = simulate(street(faults=[faults.Kill("shop", at=5, restart_after=0.01)]))
    served = sum(visit.finished is not None for span in run.spans for visit in span.visits if "Shop" in visit.component)
    assert run.cores["shop"] == pytest.approx(served * 0.02 / 20, rel=0.05)


def test_limited_links_are_busy_for_the_bytes_that_cross() -> None:
    scenario = street()
    scenario.topology.link("door", "hub", bandwidth=20_000)
    run = simulate(scenario)
    assert set(run.links) == {"door>hub", "hub>door"}
    assert 0.05 < run.links["door>hub"] < 0.5
    twice = street(rate=40)
    twice.topology.link("door", "hub", bandwidth=20_000)
    assert simulate(twice).links["door>hub"] == pytest.approx(2 * run.links["door>hub"], rel=0.3)


def test_figures_are_those_of_the_methods(run: Run) -> None:
    figures = run.figures()
    assert figures["lab.Order count"] == figures["lab.Order ok"] == len(run.latencies("lab.Order"))
    assert figures["lab.Order p95"] == run.percentiles("lab.Order")[95]
    parts = [figures[f"lab.Order {name}"] for name in ("queue", "network", "recovery", "service")]
    assert sum(parts) == pytest.approx(figures["lab.Order mean"])
    assert figures["busy shop/Shop.sellers"] == run.utilisation()["shop/Shop.sellers"]
    assert figures["busy cores of shop"] == run.cores["shop"]


def test_two_runs_side_by_side(run: Run) -> None:
    comparison = run.compare(simulate(street(), seed=8))
    line = comparison["lab.Order p95"]
    assert line.ratio == line.second / line.first < 1
    assert math.isnan(comparison["lab.Order failed"].ratio)
    head, *lines = str(comparison).splitlines()
    assert head.split() == ["figure", "seed", "7", "seed", "8", "ratio"]
    assert len(lines) == len(comparison.table()) == len(run.figures())


def test_figures_that_one_of_two_runs_lacks_have_no_ratio(run: Run) -> None:
    quiet = simulate(street(load=[]))
    assert math.isnan(run.compare(quiet)["lab.Order p95"].second)
    assert math.isnan(quiet.compare(run)["lab.Order p95"].ratio)


# Intervals


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    # Tables of Student's t, such as NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.995, 19, 2.861), (0.95, 10, 1.812)],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(probability: float, degrees: int, value: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(value, abs=6e-4)


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    import random

    stream = random.Random(1)
    samples = [[stream.gauss(5, 2) for _ in range(5)] for _ in range(2_000)]
    held = sum(interval(sample, 0.9).holds(5) for sample in samples)
    assert held / 2_000 == pytest.approx(0.9, abs=0.02)


def test_intervals_in_words_and_shares() -> None:
    found = Interval(2.0, 0.1, 10, 0.95)
    assert str(found) == "2 ± 0.1"
    assert found.relative == 0.05
    assert found.holds(2.09)
    assert not found.holds(2.2)


@pytest.mark.parametrize(("values", "level"), [([1.0], 0.95), ([1.0, 2.0], 1), ([1.0, 2.0], 0)])
def test_what_has_no_interval(values: list[float], level: float) -> None:
    with pytest.raises(DeclarationError, match="interval"):
        interval(values, level)


# Other tools


def test_csv_has_a_line_an_event(run: Run, tmp_path: Path) -> None:
    run.to_csv(tmp_path / "run.csv")
    lines = list(csv.DictReader((tmp_path / "run.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["event_id"] for line in lines] == [span.event_id for span in run.spans]
    assert float(lines[0]["latency"]) == run.spans[0].latency


def test_parquet_is_the_table_of_events(run: Run, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    run.to_parquet(tmp_path / "run.parquet")
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "run.parquet"), run.events())


def test_without_pyarrow_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("edri_sim.run.export.find_spec", lambda name: None if name == "pyarrow" else find(name))
    with pytest.raises(MissingExtra, match=r"run.to_parquet needs the extra 'parquet'"):
        run.to_parquet(tmp_path / "run.parquet")


def test_perfetto_gets_pairs(run: Run, tmp_path: Path) -> None:
    run.to_perfetto(tmp_path / "trace.json")
    records = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    named = {record["pid"]: record["args"]["name"] for record in records if record["name"] == "process_name"}
    assert sorted(named.values()) == ["door", "faults", "office", "shop"]
    open_: Counter[tuple[Any, ...]] = Counter()
    for record in records:
        if record["ph"] == "M":
            continue
        key = tuple(record[name] for name in ("cat", "id", "name", "pid", "tid"))
        open_[key] += 1 if record["ph"] == "b" else -1
        assert open_[key] in (0, 1)
        assert record["ts"] >= 0
    assert set(open_.values()) == {0}
    (outage,) = [record for record in records if record.get("cat") == "fault" and record["ph"] == "b"]
    assert outage["ts"] == pytest.approx(3e6)


def test_opentelemetry_gets_a_trace_an_event(run: Run, tmp_path: Path) -> None:
    run.to_otlp(tmp_path / "spans.json", epoch=datetime(2026, 5, 1, tzinfo=UTC))
    resources = json.loads((tmp_path / "spans.json").read_text(encoding="utf-8"))["resourceSpans"]
    names = {each["resource"]["attributes"][0]["value"]["stringValue"] for each in resources}
    assert names == {"door", "shop", "office"}
    spans = [span for each in resources for span in each["scopeSpans"][0]["spans"]]
    assert len(spans) == len(run.spans) + sum(len(span.visits) for span in run.spans)
    assert len({span["spanId"] for span in spans}) == len(spans)
    roots = {span["spanId"]: span for span in spans if "parentSpanId" not in span}
    for span in spans:
        assert len(span["traceId"]) == 32
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        if "parentSpanId" in span:
            assert roots[span["parentSpanId"]]["traceId"] == span["traceId"]
    first = min(int(span["startTimeUnixNano"]) for span in spans)
    assert 0 <= first - datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1e9 < 1e9


def test_what_has_not_ended_ends_with_the_trace(tmp_path: Path) -> None:
    flood = load.Constant(shop.order, rate=5, node="door", timeout=100)
    run = simulate(street(load=[flood], drain=0, service={shop.Order: Service(wait=service.Constant(3))}))
    assert run.tallies[0].open > 0
    run.to_perfetto(tmp_path / "trace.json")
    run.to_otlp(tmp_path / "spans.json")
    records = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    assert sum(record["ph"] == "b" for record in records) == sum(record["ph"] == "e" for record in records)
