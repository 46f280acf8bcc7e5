"""The project as a project: its public face, its sizes, its files and its two commands."""

from __future__ import annotations

import ast
import os
import re
import shutil
import stat
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import edri_sim

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "edri_sim").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
PHOTOS = sorted(path for path in (ROOT / "examples" / "photos").iterdir() if path.suffix in {".jpg", ".png"})
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURATION["project"]

MANY_LINES = 400
LONG_FUNCTION = 30


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions() -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


# The public face


@pytest.mark.parametrize("name", edri_sim.__all__)
def test_each_public_name_loads_and_is_kept(name: str) -> None:
    value = getattr(edri_sim, name)
    assert getattr(edri_sim, name) is value
    assert vars(edri_sim)[name] is value


def test_the_public_names_are_few_and_listed() -> None:
    assert len(set(edri_sim.__all__)) == len(edri_sim.__all__) <= 40
    assert set(edri_sim.__all__) <= set(dir(edri_sim))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'edri_sim' has no attribute 'Nod'"):
        edri_sim.Nod  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded() -> None:
    source = (ROOT / "edri_sim" / "__init__.py").read_text(encoding="utf-8")
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {node.names[0].name: node.module for node in block.body if isinstance(node, ast.ImportFrom)}
    assert seen == edri_sim._HOME | dict.fromkeys(edri_sim._MODULES, "edri_sim")


def test_the_import_is_light() -> None:
    code = "import sys; before = set(sys.modules); import edri_sim; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "edri_sim" in loaded
    assert loaded - {"edri_sim"} <= sys.stdlib_module_names
    assert "asyncio" not in loaded


# Sizes


def test_no_file_is_long_and_most_are_short() -> None:
    assert {path.name: lines(path) for path in SOURCES if lines(path) > MANY_LINES} == {}
    assert statistics.median(map(lines, SOURCES)) <= 200


def test_nine_functions_in_ten_are_short() -> None:
    long = [node.name for node in functions() if node.end_lineno - node.lineno + 1 >= LONG_FUNCTION]
    assert len(long) <= 0.1 * len(list(functions())), long


# Files


def test_the_version_is_said_once_and_has_a_changelog_entry() -> None:
    assert "version" in PROJECT["dynamic"]
    assert f"## {edri_sim.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_extra_all_is_every_extra_but_dev() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"edri-sim[{','.join(sorted(set(extras) - {'all', 'dev'}))}]"


def test_each_dependency_is_pinned_for_ci() -> None:
    declared = [
        *PROJECT["dependencies"],
        *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[^A-Za-z0-9-]", one)[0] for one in declared} - {"edri-sim"}
    pinned = re.findall(r"^([a-z0-9-]+)==\S+", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert names <= set(pinned)


def test_links_between_pages_lead_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))]
    local = [(page, link) for page, link in links if "://" not in link]
    assert local
    assert [(page.name, link) for page, link in local if not (page.parent / link).exists()] == []


def test_the_floors_in_the_docs_are_those_of_the_contract() -> None:
    contracts = CONFIGURATION["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if "layers" in contract]
    rows = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").partition("| floor |")[2].splitlines()
    modules = [name for row in rows if row.startswith("| ") for name in re.findall("`(.+?)`", row.split("|")[2])]
    assert modules == [name for layer in layers for name in re.findall(r"\w+", layer)]


# Photographs


def test_the_photos_are_many_small_and_have_their_sources() -> None:
    sources = (PHOTOS[0].parent / "SOURCES.md").read_text(encoding="utf-8")
    assert len(PHOTOS) >= 12
    assert sum(path.stat().st_size for path in PHOTOS) < 5_000_000
    assert re.findall(r"^\| `(\S+)` \|", sources, re.MULTILINE) != []
    assert sorted(re.findall(r"^\| `(\S+)` \|", sources, re.MULTILINE)) == [path.name for path in PHOTOS]


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_each_photo_opens(path: Path) -> None:
    with Image.open(path) as photo:
        photo.load()
        assert min(photo.size) >= 300


# The two commands, where something is missing


OLD = """#!/bin/sh
case "$2" in *version_info*) exit 1;; esac
"""
WITHOUT_VENV = """#!/bin/sh
case "$2" in *venv*) exit 1;; esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make needs of a fresh clone."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(clone: Path, *args: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    """Run make as a user does: none of the settings of a make that runs these tests reach it."""
    command = [shutil.which("make") or "make", *args]
    return subprocess.run(
        command, cwd=clone, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refusal prints."""
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_missing_python_is_one_line(clone: Path, target: str) -> None:
    line = refusal(make(clone, target, path=str(clone)))
    assert "'python3' was not found: install Python 3.11 or newer" in line
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [(OLD, "Python 3.11 or newer is needed"), (WITHOUT_VENV, "has no venv module: install it")],
    ids=["too old", "no venv"],
)
def test_a_python_that_will_not_do_is_one_line(clone: Path, script: str, message: str) -> None:
    python = clone / "some-python"
    python.write_text(script, encoding="utf-8")
    python.chmod(stat.S_IRWXU)
    assert message in refusal(make(clone, "test", f"PYTHON={python}"))
    assert not (clone / ".venv").exists()


def test_help_lists_the_targets(clone: Path) -> None:
    done = make(clone)
    assert done.returncode == 0
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert listed == [
        "help",
        "demo",
        "test",
        "swarm",
        "theory",
        "lint",
        "lab",
        "notebooks",
        "bench",
        "fidelity",
        "clean",
    ]


@pytest.mark.parametrize(("user", "told"), [("0", True), ("1000", False)])
def test_the_lab_opens_for_root_too(clone: Path, user: str, told: bool) -> None:
    tool = clone / "id"
    tool.write_text(f"#!/bin/sh\necho {user}\n", encoding="utf-8")
    tool.chmod(stat.S_IRWXU)
    done = make(clone, "-n", "lab", path=f"{clone}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("--allow-root") is told
