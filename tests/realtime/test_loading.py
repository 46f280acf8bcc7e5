"""MODULE:TOPOLOGY: what is found, and what is said of what is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edri_sim.errors import SettingsError
from edri_sim.realtime.loading import load_topology

SHOP = "from edri_sim import Topology\nshop = Topology('{}')\nother = 5\n"


@pytest.fixture(autouse=True)
def _imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test imports is forgotten after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(name: str, text: str = SHOP) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("{}", path.stem))
    return path


def test_a_module_of_the_current_folder() -> None:
    write("corner.py")
    assert load_topology("corner:shop").name == "corner"


def test_a_module_in_a_package() -> None:
    write("street/__init__.py", "")
    write("street/corner.py")
    assert load_topology("street.corner:shop").name == "corner"


@pytest.mark.parametrize("target", ["street/corner.py:shop", "./street/../street/corner.py:shop"])
def test_a_file_is_imported_under_its_own_name(target: str) -> None:
    path = write("street/corner.py")
    assert load_topology(target).name == "corner"
    assert sys.modules["corner"].__file__ == str(path.resolve())


def test_a_file_of_a_package_is_imported_as_such() -> None:
    write("city/__init__.py", "")
    write("city/street/__init__.py", "")
    write("city/street/corner.py", SHOP + "from city.street import __name__ as street\n")
    load_topology("city/street/corner.py:shop")
    assert "city.street.corner" in sys.modules
    assert "corner" not in sys.modules


FORM = "expected MODULE:TOPOLOGY or FILE.py:TOPOLOGY, such as shop.system:topology"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("corner", f"'corner': {FORM}"),
        ("corner:", f"'corner:': {FORM}"),
        (":shop", f"':shop': {FORM}"),
        ("corner:shop-1", f"'corner:shop-1': {FORM}"),
        ("nowhere:shop", "nowhere: there is no module 'nowhere'"),
        ("nowhere.at.all:shop", "nowhere.at.all: there is no module 'nowhere'"),
        ("corner.at:shop", "corner.at: there is no module 'corner.at'"),
        ("nowhere.py:shop", "nowhere.py: no such file"),
        ("corner:shp", "corner:shp: module corner has no 'shp': did you mean 'shop'?"),
        ("corner:xyzzy", "corner:xyzzy: module corner has no 'xyzzy': did you mean 'shop'?"),
        ("corner:other", "corner:other: expected a Topology, and this is of type int"),
        ("empty.py:shop", "empty.py:shop: module empty has no 'shop', nor any topology"),
        ("colour.py:shop", "colour.py can't be imported: {}/colour.py:2: ZeroDivisionError: division by zero"),
        ("needs.py:shop", "needs.py can't be imported: {}/needs.py:1: ModuleNotFoundError: No module named 'paint'"),
        ("broken.py:shop", "broken.py can't be imported: {}/broken.py:1: SyntaxError: invalid syntax"),
        ("json.py:shop", "json.py: the name json belongs to another module, {json}: rename it"),
        ("..:shop", f"'..:shop': {FORM}"),
        ("street/corner:shop", f"'street/corner:shop': {FORM}"),
    ],
)
def test_what_is_not_there_is_named(target: str, message: str, tmp_path: Path) -> None:
    import json

    write("corner.py")
    write("empty.py", "")
    write("colour.py", "shade = 0\n1 / shade\n")
    write("needs.py", "import paint\n")
    write("broken.py", "shop = = 5\n")
    write("json.py")
    with pytest.raises(SettingsError) as caught:
        load_topology(target)
    assert str(caught.value) == message.replace("{json}", str(json.__file__)).replace("{}", str(tmp_path))
