"""The command line: exit codes, messages, and what a program reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("PIL")
pytest.importorskip("matplotlib")
pytest.importorskip("networkx")

import typer
from PIL import Image

import edri_sim
from edri_sim import cli

ROOT = Path(__file__).parents[1]
MAIN = "from edri_sim.cli import main; main()"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two small pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("one.png", "#aa3300"), ("two.jpg", "#0033aa")):
        Image.new("RGB", (64, 48), colour).save(folder / name)
    return folder


def command(*arguments: object, code: str = MAIN) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}


def edri(folder: Path, *arguments: object, code: str = MAIN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, code=code), cwd=folder, env=environment(), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


# The demo


def test_the_demo_prints_both_parts_side_by_side_and_writes_its_report(photos: Path) -> None:
    done = edri(photos.parent, "demo", "--images", photos, "--rounds", 2, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "answered: 4 of 4 in real time and 4 of 4 in simulated time" in done.stdout
    for loop in ("real", "simulated"):
        assert f"outage in {loop} time: 800 of 800 photos filed, once each, in order; " in done.stdout
    assert "simulated / real" in done.stdout
    assert "report: edri-demo.html" in done.stdout
    assert "4/4" in done.stderr
    assert "1600/1600" in done.stderr
    report = (photos.parent / "edri-demo.html").read_text(encoding="utf-8")
    assert report.startswith("<!DOCTYPE html>")
    assert report.count("data:image/jpeg;base64,") == 2


def test_json_is_all_that_is_on_stdout(photos: Path) -> None:
    out = photos.parent / "report.html"
    done = edri(photos.parent, "demo", "--images", photos, "--rounds", 1, "--workers", 1, "--seed", 9, "--json",
                "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert (result["ok"], result["photos"], result["rounds"], result["seed"]) == (True, 2, 1, 9)
    assert result["report"] == str(out)
    for side in ("real", "simulated"):
        assert (result[side]["answered"], result[side]["failed"]) == (2, 0)
        assert result[side]["events"]["Prepare"]["ok"] == 2
        assert result[side]["events"]["Prepare"]["p50"] > 0
        assert len(result[side]["digest"]) == 32
    outage = result["outage"]
    assert (outage["ok"], outage["link"], outage["duration"], outage["photos"]) == (True, "camera-hub", 1.5, 800)
    for side in ("real", "simulated"):
        assert (outage[side]["ok"], outage[side]["filed"], outage[side]["pending"]) == (True, 800, 0)
        assert outage[side]["longest_wait"] > 1.4
    assert out.exists()


def test_a_broken_photo_is_named_and_the_exit_code_is_1(photos: Path) -> None:
    (photos / "words.png").write_text("no picture", encoding="utf-8")
    done = edri(photos.parent, "demo", "--images", photos, "--rounds", 1, "--workers", 1)
    assert done.returncode == 1
    assert "node photos runs" not in done.stderr  # It is there with --verbose: see the test of Ctrl-C.
    assert "error: words.png: no picture that Pillow knows" in done.stdout
    assert "answered: 2 of 3 in real time and 2 of 3 in simulated time" in done.stdout
    assert "Traceback" not in done.stderr
    assert (photos.parent / "edri-demo.html").exists()


def test_ctrl_c_drains_the_node_and_leaves_no_report(photos: Path) -> None:
    arguments = command("demo", "--images", photos, "--rounds", 100_000, "--workers", 1, "--verbose")
    with subprocess.Popen(
        arguments, cwd=photos.parent, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert any("node photos runs" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "node photos stopped" in stderr
    assert stderr.rstrip().endswith("edri-sim: interrupted; the node was drained, and no report was written")
    assert "Traceback" not in stdout + stderr
    assert not (photos.parent / "edri-demo.html").exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_ends_with_130_whatever_typer_makes_of_it(
    stop: type[BaseException], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> int:
        raise stop

    monkeypatch.setattr(cli, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("edri-sim: interrupted;")


# Bad input: one clear line, exit 2, and nothing has run


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong."""
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line.removeprefix("edri-sim: ")


def test_a_folder_that_is_none(photos: Path) -> None:
    assert refused(edri(photos, "demo", "--images", "nowhere")) == (
        "--images nowhere: does not exist; expected a folder of photos"
    )
    assert refused(edri(photos, "demo", "--images", "one.png")) == (
        "--images one.png: is a file; expected a folder of photos"
    )


def test_a_folder_without_photos(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("words")
    assert refused(edri(tmp_path, "demo", "--images", ".")).startswith("--images .: no photos in it; expected at least")


def test_a_folder_of_nothing_but_broken_photos(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("words")
    assert refused(edri(tmp_path, "demo", "--images", ".")) == (
        "--images .: none of its 1 files can be read as a photo; a.jpg: no picture that Pillow knows"
    )


def test_a_report_that_cannot_be_written(photos: Path) -> None:
    assert refused(edri(photos, "demo", "--out", ".")) == "--out .: is a folder; expected the name of a file to write"
    assert refused(edri(photos, "demo", "--out", "no/x.html")) == "--out no/x.html: the folder no does not exist"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing command"),
        (("dmo",), "No such command 'dmo'"),
        (("demo", "--frames", "3"), "No such option: --frames"),
        (("demo", "--rounds", "0"), "Invalid value for '--rounds'"),
        (("demo", "--rounds", "few"), "Invalid value for '--rounds'"),
        (("demo", "--workers", "65"), "Invalid value for '--workers'"),
        (("demo", "photos"), "Got unexpected extra argument"),
    ],
)
def test_bad_usage(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    line = refused(edri(tmp_path, *arguments))
    assert line.startswith(words)
    assert line.endswith("; see edri-sim --help")


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    done = edri(tmp_path, "demo", code=f"import sys; sys.modules['PIL'] = None; {MAIN}")
    assert refused(done) == "edri-sim demo needs the extra 'lab': pip install 'edri-sim[lab]'"


# Help


def test_help_lists_the_commands_and_options(tmp_path: Path) -> None:
    top, demo = edri(tmp_path, "--help"), edri(tmp_path, "demo", "--help")
    assert (top.returncode, demo.returncode) == (0, 0)
    assert "demo" in top.stdout
    assert "--version" in top.stdout
    for option in ("--images", "--out", "--seed", "--rounds", "--workers", "--json", "--verbose"):
        assert option in demo.stdout


def test_the_version_is_printed(tmp_path: Path) -> None:
    done = edri(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"edri-sim {edri_sim.__version__}\n")


def test_the_import_loads_no_pictures() -> None:
    code = "import sys, edri_sim.cli; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"PIL", "matplotlib", "networkx", "numpy", "pandas", "simpy"}
