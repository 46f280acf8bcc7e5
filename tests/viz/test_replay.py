"""The replay as a widget and as files: what is in them, that it is the same every time, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edri_sim import Run, trace
from edri_sim.errors import ReplayError, SettingsError
from edri_sim.trace import Recorder
from edri_sim.viz.replay import still, widget
from edri_sim.viz.replay.film import Film
from edri_sim.viz.replay.log import packed
from edri_sim.viz.replay.widget import Replay
from tests.viz.towns import simulate, towns

SVG = "{http://www.w3.org/2000/svg}"


def unpacked(log: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the browser reads, read in Python."""
    data = gzip.decompress(log)
    size, _ = struct.unpack_from("<II", data)
    head = json.loads(data[8 : 8 + size])
    at = 8 + size + -size % 8
    columns = {}
    for name, kind, length in head["columns"]:
        columns[name] = np.frombuffer(data, np.dtype(f"<{kind}"), length, at)
        at += columns[name].nbytes + -columns[name].nbytes % 8
    assert at == len(data)
    return head, columns


# The log


def test_the_log_has_every_row_of_the_trace(run: Run, replay: Replay) -> None:
    head, columns = unpacked(replay.log)
    rows = list(run.recorder.rows())
    assert len(rows) == len(columns["row_time"]) > 500
    assert columns["row_time"].tolist() == pytest.approx([row[0] / 1e9 for row in rows])
    assert columns["row_stage"].tolist() == [row[1] for row in rows]
    assert [head["names"][number] for number in columns["row_type"]] == [
        run.recorder.names.list()[row[6]] for row in rows
    ]
    assert (head["duration"], head["seed"]) == (run.duration, "1")


def test_running_totals_begin_at_nothing_at_each_vertex(replay: Replay) -> None:
    _, columns = unpacked(replay.log)
    film = replay.film
    for vertex, _ in enumerate(film.scene.vertices):
        low, high = columns["load_from"][vertex], columns["load_from"][vertex + 1]
        ours = [change for change in film.changes if change.vertex == vertex]
        assert high - low == len(ours)
        for what, name in enumerate(("load_outbox", "load_queued", "load_busy")):
            expected = np.cumsum([change.by * (change.what == what) for change in ours])
            assert columns[name][low:high].tolist() == expected.tolist()


def test_a_parent_is_named_by_its_place_in_the_log() -> None:
    recorder = Recorder()
    name = recorder.names.number
    name("a")  # Number 0 is the name of a node, and of no origin.
    recorder.slots["a/router"] = 0
    for stage, origin, number, parent in (
        (trace.CREATED, "a/1", 1, 0),
        (trace.STARTED, "b/1", 2, 0),
        (trace.CREATED, "a/1", 2, name("b/1") << 40 | 2),
        (trace.CREATED, "a/1", 3, 99),
    ):
        component = name("a/router" if stage == trace.CREATED else "a/M")
        recorder.open.extend((0, stage, name("a"), component, name(origin), number, name("T"), parent))
    head, columns = unpacked(packed(Film(Run(recorder, simulated=True))))
    events = [head["names"][number] for number in columns["event_origin"]]
    assert events == ["b/1", "a/1", "a/1", "a/1"]
    assert columns["row_detail"].tolist() == [-1, 0, 0, -1]  # The first 0 is a slot; 99 is not in the trace.


def test_equal_runs_give_equal_logs_and_pictures(replay: Replay) -> None:
    again = simulate(towns(3)).plot.replay(towns(3))
    assert again.log == replay.log
    assert still.svg(again.film) == still.svg(replay.film)


# In a notebook


def test_a_cell_gets_the_widget_a_player_without_a_kernel_and_words(replay: Replay) -> None:
    shown = replay._repr_mimebundle_()
    assert shown is not None
    data = shown[0]
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == replay.model_id
    assert data["text/plain"] == repr(replay)
    assert re.fullmatch(r"<Replay of <Run simulated, .*>: 4 machines, \d+ on their way>", repr(replay))
    picture = re.search('<img src="data:image/svg\\+xml;base64,[^"]+" alt="a replay of &lt;Run', data["text/html"])
    assert picture is not None
    assert picture.start() < data["text/html"].index("<script>")


def test_a_log_too_long_for_a_notebook_leaves_the_picture_and_says_so(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widget, "EMBEDDED", 100)
    shown = replay._repr_mimebundle_()
    assert shown is not None
    assert "<script" not in shown[0]["text/html"]
    assert "The log is 0.0 MB: run the cell, or see replay.save_html(path), to play it." in shown[0]["text/html"]


def test_the_picture_is_an_svg_that_needs_nothing_and_moves(replay: Replay) -> None:
    root = ElementTree.fromstring(still.svg(replay.film))
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"town0", "town1", "town2", "hub"} <= set(words)
    assert "\N{MULTIPLICATION X} outage town1-hub" in words
    moving = list(root.iter(f"{SVG}animateMotion"))
    assert len(moving) == len(replay.film.flights[:: -(-len(replay.film.flights) // 150)]) > 70
    for each in root.iter(f"{SVG}animate"):
        shares = [float(share) for share in each.get("keyTimes", "0").split(";")]
        assert shares == sorted(shares)
        assert shares[0] == 0
        assert shares[-1] <= 1


def test_an_empty_run_can_be_replayed(tmp_path: Path) -> None:
    empty = Run(Recorder(), simulated=True).plot.replay()
    empty.save_html(tmp_path / "empty.html")
    empty.save_gif(tmp_path / "empty.gif", seconds=1, fps=2)
    assert empty._repr_mimebundle_() is not None


# As files


def test_the_page_is_one_file_that_asks_for_nothing(replay: Replay, tmp_path: Path) -> None:
    replay.save_html(tmp_path / "replay.html")
    page = (tmp_path / "replay.html").read_text(encoding="utf-8")
    assert "<title>simulated, seed 1: 2.20" in page
    assert re.findall(r"(?:src|href)=\"(?!data:)", page) == []
    assert "http" not in re.sub(r"[\w+/=]{200,}", "", page)


def test_a_gif_moves_and_has_its_size_and_its_time(replay: Replay, tmp_path: Path) -> None:
    replay.save_gif(tmp_path / "replay.gif", seconds=2, fps=5, width=400)
    with Image.open(tmp_path / "replay.gif") as picture:
        assert (picture.size, picture.info["duration"], picture.info["loop"]) == ((400, 248), 200, 0)
        frames = []
        for place in range(picture.n_frames):  # type: ignore[attr-defined]
            picture.seek(place)
            frames.append(picture.convert("RGB").tobytes())
    assert len(frames) == 10
    assert len(dict.fromkeys(frames)) == 10
    corners = {frame[-3:] for frame in frames[:-1]} | {frame[:3] for frame in frames[:1]}
    assert all(min(pixel) > 200 for pixel in corners)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"seconds": 0}, "seconds=0"), ({"fps": 100}, "fps=100"), ({"width": 10}, "width=10: expected 200 to 4000")],
)
def test_a_film_that_nobody_could_watch_is_refused(
    replay: Replay, tmp_path: Path, wrong: dict[str, Any], named: str
) -> None:
    for save in (replay.save_gif, replay.save_mp4):
        with pytest.raises(SettingsError, match=f"a film's {named}"):
            save(tmp_path / "film", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_without_ffmpeg_the_error_names_it_and_what_needs_none(
    replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReplayError, match=r"needs ffmpeg, which is not installed: save_gif and save_html do not"):
        replay.save_mp4(tmp_path / "film.mp4")


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program in ffmpeg's place: it notes its arguments and how much it read, or fails if told so."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "if os.environ.get('FAIL'): sys.exit('no such codec')\n"
        "size = len(sys.stdin.buffer.read())\n"
        "open(sys.argv[-1], 'w').write(' '.join(sys.argv[1:]) + f' read {size}')\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    return program


@pytest.mark.usefixtures("ffmpeg")
def test_ffmpeg_gets_every_frame(replay: Replay, tmp_path: Path) -> None:
    replay.save_mp4(tmp_path / "film.mp4", seconds=1, fps=4, width=301)
    said = (tmp_path / "film.mp4").read_text()
    assert "-f rawvideo -pix_fmt rgb24 -s 300x186 -r 4 -i -" in said
    assert said.endswith(f" read {4 * 300 * 186 * 3}")


@pytest.mark.usefixtures("ffmpeg")
def test_what_ffmpeg_says_when_it_fails_is_said(
    replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(ReplayError, match=r"ffmpeg could not write '.*film\.mp4': no such codec"):
        replay.save_mp4(tmp_path / "film.mp4", seconds=1, fps=2, width=800)
