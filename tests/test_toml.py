"""Reading TOML with the place of each error, and writing it."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edri_sim.errors import DeclarationError
from edri_sim.references import reference_to, resolve
from edri_sim.toml import Document, dump
from tests.lab import shop

TEXT = """\
# a comment

title = "x"
numbers = [
    1,
    2,
]
text = '''
[nodes.web]
cores = 9
'''

[nodes.web]
cores = 4

[[links]]
a = "web"

[[links]]

b = "hub"  # the second link
[nodes]
mail.cores = 2
"""


@pytest.fixture
def document(tmp_path: Path) -> Document:
    path = tmp_path / "system.toml"
    path.write_text(TEXT, encoding="utf-8")
    return Document(path)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 3),
        (("numbers",), 4),
        (("text",), 8),
        (("nodes",), 13),
        (("nodes", "web"), 13),
        (("nodes", "web", "cores"), 14),
        (("links",), 16),
        (("links", 0, "a"), 17),
        (("links", 1), 19),
        (("links", 1, "b"), 21),
        (("nodes", "mail", "cores"), 23),
    ],
)
def test_the_line_of_anything(document: Document, path: tuple[str | int, ...], line: int) -> None:
    # Keys of [nodes] after [nodes.web] are what TOML allows and nobody writes; nor does it confuse the text of line 9.
    assert document.line(path) == line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"system.toml: the file is empty"),
        (b"# nothing but a comment\n", r"system.toml: the file is empty"),
        (b"a = 1\nb = \n", r"system.toml:2: no TOML: Invalid value"),
        (b"a = 1\na = 2\n", r"system.toml:2: no TOML: Cannot overwrite a value"),
        (b"a = [1\n\n", r"system.toml:3: no TOML: Unclosed array"),
        (b"a = '\xff'\n", r"system.toml: expected text in UTF-8"),
    ],
)
def test_what_is_no_file_of_ours(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "system.toml"
    path.write_bytes(content)
    with pytest.raises(DeclarationError, match=words):
        Document(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"nowhere.toml: cannot be read: No such file or directory"):
        Document(tmp_path / "nowhere.toml")


def test_keys_are_checked(document: Document) -> None:
    root = document.root()
    assert root.take("title", str) == "x"
    with pytest.raises(DeclarationError, match=r"system.toml:3: title = \"x\": expected a whole number"):
        root.take("title", int)
    with pytest.raises(DeclarationError, match=r"system.toml:3: title = \"x\": expected a table"):
        root.table("title")
    root.take("numbers", list)
    with pytest.raises(DeclarationError, match=r"system.toml:8: 'text' is unknown: expected one of title"):
        root.done()
    second = root.tables("links")[1]
    with pytest.raises(DeclarationError, match=r"system.toml:19: links\[2\]: 'a' is missing: expected a string"):
        second.need("a", str)


KEYS = st.text(max_size=8)
PLAIN = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text())
VALUES = st.recursive(PLAIN, lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(KEYS, deeper, max_size=3))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_written_is_read(value: dict[str, Any]) -> None:
    assert tomllib.loads(dump(value)) == value


def test_what_has_no_form_is_refused() -> None:
    assert math.isnan(tomllib.loads(dump({"a": math.nan}))["a"])
    with pytest.raises(DeclarationError, match=r"b'x' can't be written to a file"):
        dump({"a": [b"x"]})


# References


@pytest.mark.parametrize("thing", [shop.Shop, shop.order, shop.Seller.order])
def test_a_reference_leads_back(thing: Any) -> None:
    assert resolve(reference_to(thing)) is thing


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("shop", "'shop': expected 'module:name', such as"),
        ("a b:c", "expected 'module:name'"),
        ("tests.lab.shopp:Shop", "there is no module 'tests.lab.shopp'"),
        ("tests.lab.shop:Shopp", "tests.lab.shop has no 'Shopp': did you mean 'Shop'?"),
        ("tests.lab.shop:qqqqq", "tests.lab.shop has no 'qqqqq'$"),
    ],
)
def test_a_bad_reference_says_what_is_wrong(reference: str, words: str) -> None:
    with pytest.raises(DeclarationError, match=words.replace("?", r"\?")):
        resolve(reference)


@pytest.mark.parametrize("thing", [lambda: None, shop.Books(), 7])
def test_what_no_module_has_is_refused(thing: Any) -> None:
    with pytest.raises(DeclarationError, match="can't be written to a file: expected a class or function of a module"):
        reference_to(thing)
