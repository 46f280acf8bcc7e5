"""The demo: the photo service in both loops, what it measures, and its report."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")
pytest.importorskip("networkx")

from PIL import Image

from edri_sim import Simulation, Topology
from edri_sim.demo import inputs, machine, outage, pictures
from edri_sim.demo.drive import Answers, Load
from edri_sim.demo.figures import compare
from edri_sim.demo.machine import Machine, time_slice
from edri_sim.demo.neighbours import add_neighbours
from edri_sim.demo.outage import OutageShow
from edri_sim.demo.photos import Description, Thumbnail
from edri_sim.demo.recording import Recording
from edri_sim.demo.report import Result, page
from edri_sim.demo.show import Show
from edri_sim.errors import NoRoute, SettingsError
from edri_sim.managers.manager import Manager
from edri_sim.viz import theme
from tests.test_demo_outage import PLAN

ROOT = Path(__file__).parents[1]
COLOURS = {"red.png": "#c81e1e", "green.jpg": "#1ec81e", "blue.png": "#1e1ec8"}


@pytest.fixture(scope="module", autouse=True)
def fonts() -> None:
    """Have matplotlib open its font files, which it keeps open from then on, before a test is watched for leaks."""
    ax = theme.axes(None, 2, 2)
    theme.title(ax, "bold")
    theme.svg(theme.figure_of(ax))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three small pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (90, 60), colour).save(folder / name)
    return folder


def show(folder: Path, *, rounds: int = 2, seed: int = 1) -> Show:
    load = Load(inputs.find_photos(folder), rounds, clients=2, width=32)
    clocks = Machine(2, time.perf_counter, time.thread_time, machine.busy_seconds)
    return Show(load, clocks, workers=1, seed=seed, advance=lambda: None)


def recorded(paths: list[str], errors: dict[str, str] | None = None) -> Recording:
    """A recording that nobody had to make: 20 or 40 ms to resize, 5 ms to describe, 1 ms of the loop."""
    thumbnail = Thumbnail(b"jpeg", 3, 2, 0.02)
    description = Description(["#000000"], 0.0, "0" * 16, 0.005, 0.001)
    good = [path for path in paths if path not in (errors or {})]
    return Recording(
        resize=(0.02, 0.04), describe=(0.005,), gil=0.2, loop=0.001, cpu=1.0, others=None,
        thumbnails=dict.fromkeys(good, thumbnail), descriptions=dict.fromkeys(good, description), errors=errors or {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def crossed() -> OutageShow:
    return outage.perform(PLAN, seed=1, advance=lambda: None)


def perform(one: Show, crossed: OutageShow) -> Result:
    real, recording = asyncio.run(one.real())
    return Result(one, real, one.simulated(recording), recording, crossed, "1.2.3", "3.x")


# Both parts


def test_every_photo_is_answered_in_both_parts_and_reported(photos: Path, crossed: OutageShow) -> None:
    result = perform(show(photos), crossed)
    assert result.complete
    assert result.errors == []
    for side in (result.real, result.simulated):
        assert len(side.answers.cards) == 6
        assert sorted(Path(path).name for path in side.answers.catalogue) == sorted(COLOURS)
        assert side.run.count("Prepare", "replied") == 6
        assert side.run.count("Thumbnailed", "handled") == 6
    replied = {card.path: card.thumbnail for card in result.real.answers.cards}
    assert {card.path: card.thumbnail for card in result.simulated.answers.cards} == replied
    check_page(page(result), thumbnails=3, pictures=6)


def check_page(text: str, *, thumbnails: int, pictures: int) -> None:
    assert text.count("data:image/jpeg;base64,") == thumbnails
    assert text.count("data:image/svg+xml;base64,") == pictures
    assert text.count("<figcaption>") == pictures
    assert len(re.findall(r"<pre>(?:real time|simulated, seed 1): [0-9]", text)) == 2
    assert not re.search(r"""(?:src|href)=["'](?!data:)|url\(|@import|<script""", text), "the page needs the network"


def test_a_broken_photo_among_good_ones_is_answered_with_an_error_in_both_parts(
    photos: Path, crossed: OutageShow
) -> None:
    (photos / "torn.jpg").write_bytes((photos / "green.jpg").read_bytes()[:300])
    result = perform(show(photos), crossed)
    assert not result.complete
    assert len(result.errors) == 1
    assert result.errors[0].startswith("torn.jpg: ")
    for side in (result.real, result.simulated):
        assert (len(side.answers.cards), side.answers.failed) == (6, 2)
        assert side.run.count("Prepare", "failed") == 2
        assert side.run.count("Unreadable", "handled") == 2
    text = page(result)
    check_page(text, thumbnails=3, pictures=6)
    assert "6 of 8 in real time, 6 of 8 in simulated time" in text


def test_where_no_photo_can_be_read_the_report_is_still_written(photos: Path, crossed: OutageShow) -> None:
    paths = inputs.find_photos(photos)
    one = show(photos)
    nothing = replace(recorded(paths, dict.fromkeys(paths, "torn: <torn>")), resize=(), describe=())
    side = one.simulated(nothing)
    assert (len(side.answers.cards), side.answers.failed) == (0, 6)
    text = page(Result(one, side, side, nothing, crossed, "1.2.3", "3.x"))
    assert "torn: &lt;torn&gt;" in text
    assert text.count("data:image/svg+xml;base64,") == 5


def test_the_service_counts_each_photo_once_in_each_part(photos: Path) -> None:
    counted: list[None] = []
    load = Load(inputs.find_photos(photos), 3, clients=2, width=32)
    clocks = Machine(2, time.perf_counter, time.thread_time, machine.busy_seconds)
    one = Show(load, clocks, workers=1, seed=1, advance=lambda: counted.append(None))
    one.simulated(recorded(list(load.photos)))
    assert len(counted) == load.requests == 9


# The simulated part


def test_equal_recordings_and_seeds_give_equal_digests(photos: Path) -> None:
    one = show(photos, rounds=20)
    recording = recorded(inputs.find_photos(photos))
    first = one.simulated(recording).run.digest
    assert one.simulated(recording).run.digest == first
    assert show(photos, rounds=20, seed=2).simulated(recording).run.digest != first
    assert one.simulated(replace(recording, loop=0.002)).run.digest != first


DIGEST = """
from tests.test_demo import recorded, Load, Machine, Show
paths = ["a.png", "b.png", "c.png"]
show = Show(Load(paths, 20, 4, 32), Machine(2, lambda: 0.0, lambda: 0.0, lambda: 0.0), workers=2, seed=5,
            advance=lambda: None)
print(show.simulated(recorded(paths)).run.digest)
"""


def test_the_digest_does_not_depend_on_the_process() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 32


def test_service_times_are_those_of_the_recording(photos: Path) -> None:
    run = show(photos, rounds=20).simulated(recorded(inputs.find_photos(photos))).run
    assert sorted(dict.fromkeys(round(seconds, 6) for seconds in run.service_times("Resize")))[0] == 0.02
    assert min(run.service_times("Describe")) == pytest.approx(0.005)
    assert run.duration == pytest.approx(60 * 0.03, rel=0.2)  # One worker resizes 60 photos, 30 ms each in the mean.


@pytest.mark.parametrize(("cores", "milliseconds"), [(1, 0.75), (2, 1.5), (4, 2.25), (8, 3), (64, 3)])
def test_the_turns_are_those_of_linux(cores: int, milliseconds: float) -> None:
    assert 1000 * time_slice(cores) == pytest.approx(milliseconds)


@pytest.mark.parametrize(("taken", "stretch"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0)])
def test_neighbours_take_their_share_of_the_cores(taken: float, stretch: float) -> None:
    with Simulation(Topology("t"), seed=3) as simulation:
        host = simulation.host("h", cores=1)
        add_neighbours(host, taken, 0.004)
        ended: list[float] = []

        def work() -> None:
            ended.append(simulation.now)
            if len(ended) < 2000:
                host.processor.compute(0.004, 0.0, host.processor.gil, 0.0, work)

        host.processor.compute(0.004, 0.0, host.processor.gil, 0.0, work)
        simulation.run(until=100)
    assert len(ended) == 2000
    assert ended[-1] == pytest.approx(8.0 * stretch, rel=0.1)


# The outage: see test_demo_outage too


@pytest.mark.parametrize("filed", [[], [0, 1, 1, *range(2, 120)], [1, 0, *range(2, 120)], list(range(119))])
def test_a_photo_that_is_lost_doubled_or_late_fails_the_demo(
    photos: Path, crossed: OutageShow, filed: list[int]
) -> None:
    one, recording = show(photos), recorded(inputs.find_photos(photos))
    side = one.simulated(recording)
    bad = replace(crossed, simulated=replace(crossed.simulated, filed=filed))
    result = Result(one, side, side, recording, bad, "1.2.3", "3.x")
    assert result.answered
    assert not result.complete
    assert not outage.as_json(bad)["ok"]
    (_, good), (words, text) = ((words, text) for words, text, _ in bad.verdicts)
    assert "120 of 120 photos filed, once each, in order; " in good
    assert words == "simulated time"
    assert text.startswith(f"{len(filed)} photos filed of 120, and not each of them once and in order; ")
    assert text in page(result)


# What is measured


def test_a_recording_adds_up_what_was_measured(photos: Path, crossed: OutageShow) -> None:
    result = perform(show(photos), crossed)
    cards = result.real.answers.cards
    recording = Recording.of(result.real.answers, loop=0.6, busy=3.0, wall=1.0, cores=2)
    assert recording.resize == tuple(card.thumbnail.cpu for card in cards)
    assert all(seconds > 0 for seconds in recording.resize + recording.describe)
    assert 0 < recording.gil < 1
    assert recording.loop == pytest.approx(0.1)
    assert recording.cpu == pytest.approx(sum(recording.resize) + sum(recording.describe) + 0.6)
    assert recording.others == pytest.approx(min(3.0 - recording.cpu, 1.9))


@pytest.mark.parametrize(("busy", "others"), [(0.5, 0.0), (9.0, 1.9), (1.75, 0.75), (math.nan, None)])
def test_what_others_took_is_within_the_machine(busy: float, others: float | None) -> None:
    assert Recording.of(Answers(), loop=1.0, busy=busy, wall=1.0, cores=2).others == others


def test_busy_seconds_are_those_of_our_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: (0, 2))
    stat = tmp_path / "stat"
    monkeypatch.setattr(machine, "STAT", stat)
    stat.write_text("cpu 9 9 9 9 9 9 9 9\ncpu0 100 1 20 500 70 3 4 5 0 0\ncpu1 999 9 9 9 9 9 9 9\ncpu2 7 0 0 1 1 0 0 0")
    assert machine.busy_seconds() == pytest.approx((100 + 1 + 20 + 3 + 4 + 5 + 7) / os.sysconf("SC_CLK_TCK"))
    stat.write_text("cpu0 one two\n")
    assert math.isnan(machine.busy_seconds())
    stat.unlink()
    assert math.isnan(machine.busy_seconds())


def test_the_table_divides_simulated_by_real(photos: Path) -> None:
    one, recording = show(photos, rounds=10), recorded(inputs.find_photos(photos))
    side = one.simulated(recording)
    slower = one.simulated(replace(recording, resize=(0.04, 0.08)))
    lines = {(group.heading, line.name): line for group in compare(side, slower, recording) for line in group.lines}
    assert lines["photos", "answered"][1:3] == ("30", "30")
    assert float(lines["photos", "seconds"].ratio) == pytest.approx(slower.run.duration / side.run.duration, abs=0.01)
    assert lines["photos", "cores that others took"].real == "unknown"
    assert float(lines["latency of Prepare, ms", "p50"].real) == pytest.approx(
        1000 * side.run.percentiles("Prepare")[50], rel=0.01
    )


def test_a_service_that_cannot_answer_ends_the_demo_with_a_typed_error(photos: Path) -> None:
    one = show(photos)
    one.topology.nodes["photos"] = Topology("empty").node("photos", Manager)
    with pytest.raises(NoRoute, match=r"Catalogue .* nobody provides it"):
        one.simulated(recorded(inputs.find_photos(photos)))


# Pictures and inputs


def test_a_thumbnail_is_upright_and_no_larger_than_asked(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by 90 degrees.
    Image.new("RGB", (400, 200), "#123456").save(tmp_path / "turned.jpg", exif=exif)
    small = pictures.shrink(tmp_path / "turned.jpg", 100)
    assert (small.width, small.height) == (50, 100)
    assert small.jpeg.startswith(b"\xff\xd8")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_a_thumbnail(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.tiff"
    Image.new(mode, (40, 30)).save(path)
    assert pictures.shrink(path, 16).width == 16


def test_close_pictures_have_close_fingerprints(tmp_path: Path) -> None:
    ramp = Image.linear_gradient("L").rotate(90)
    for name, picture in (("a", ramp), ("b", ramp.resize((100, 100))), ("c", ramp.rotate(180))):
        picture.convert("RGB").save(tmp_path / f"{name}.png")
    prints = [
        int(pictures.fingerprint(pictures.survey(pictures.shrink(tmp_path / f"{name}.png", 64).jpeg)), 16)
        for name in "abc"
    ]
    assert (prints[0] ^ prints[1]).bit_count() < 8
    assert (prints[0] ^ prints[2]).bit_count() > 40


def test_the_palette_finds_the_colour(photos: Path) -> None:
    raster = pictures.survey(pictures.shrink(photos / "red.png", 32).jpeg)
    found = [tuple(base64.b16decode(colour[1:].upper())) for colour in pictures.palette(raster)]
    assert any(red > 180 and green < 60 and blue < 60 for red, green, blue in found)


def test_photos_are_found_by_suffix_in_order(photos: Path) -> None:
    (photos / "SOURCES.md").write_text("words")
    (photos / "Z.PNG").write_bytes((photos / "red.png").read_bytes())
    assert [Path(path).name for path in inputs.find_photos(photos)] == ["Z.PNG", "blue.png", "green.jpg", "red.png"]


def test_our_own_photos_are_there_and_enough() -> None:
    found = inputs.find_photos(inputs.own_photos())
    assert len(found) >= 12
    assert inputs.default_rounds(found) * len(found) > 200


def test_our_own_photos_are_credited_and_no_others(photos: Path) -> None:
    assert "danielbuechele, CC BY 2.0" in inputs.credit(inputs.find_photos(inputs.own_photos()))
    assert inputs.credit(inputs.find_photos(photos)) == ""


def test_without_our_own_photos_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_HOMES", (Path("nowhere"),))
    with pytest.raises(SettingsError, match="name a folder of photos with --images DIR"):
        inputs.own_photos()


def test_large_photos_are_asked_for_once(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(inputs._BYTES)
    assert inputs.default_rounds([str(tmp_path / "huge.png")] * 3) == 1


def test_a_folder_that_must_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(inputs.os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(SettingsError, match=r"--out .*x\.html: no permission to write there"):
        inputs.check_out(tmp_path / "x.html")
    assert asked == [(tmp_path, os.W_OK)]
