"""What an edit has changed, and what it has left as it was."""

from __future__ import annotations

import pytest

from edri_sim.realtime.definitions import Source, changed

BASE = """
from __future__ import annotations
import shop.goods
from .prices import LIMIT as MOST

SIZE = 3

def helper():
    return SIZE

class Thumb:
    path: str

class Buy:
    many: int = MOST

class Show:
    thumb: Thumb
    later: "Other"

class Other:
    def run(self):
        return helper()

if SIZE > 2:
    EXTRA, MORE = 1, 2
"""


def source(text: str = BASE) -> Source:
    return Source(text, "shop/main.py")


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("", "", []),
        ("class Thumb:\n", "# a word\n\n\nclass Thumb:\n", []),
        ("path: str", "path: bytes", ["Show", "Thumb"]),
        ("SIZE = 3", "SIZE = 4", ["EXTRA", "MORE", "Other", "SIZE", "Show", "helper"]),
        ("LIMIT as MOST", "LOW as MOST", ["Buy", "MOST"]),
        ("class Thumb:\n    path: str\n", "", ["Show", "Thumb"]),
        ("EXTRA, MORE = 1, 2", "EXTRA, MORE = 1, 3", ["EXTRA", "MORE"]),
        ("return helper()", "return helper() + 1", ["Other", "Show"]),
    ],
)
def test_a_name_has_changed_if_its_statement_or_what_it_uses_has(old: str, new: str, names: list[str]) -> None:
    after = source(BASE.replace(old, new, 1) if old else BASE)
    assert sorted(changed(source(), after)) == names
    assert (source().meaning == after.meaning) is (not names)


def test_what_has_changed_elsewhere_changes_what_uses_it() -> None:
    assert sorted(changed(source(), source(), ["MOST"])) == ["Buy", "MOST"]


def test_imports_are_named_as_they_are_found() -> None:
    assert list(source().imports("shop")) == [
        ("__future__", "annotations", "annotations"),
        ("shop.goods", "", "shop"),
        ("shop.prices", "LIMIT", "MOST"),
    ]


def test_names_reach_what_they_use() -> None:
    assert sorted(source().reached(["Show", "unknown"])) == ["Other", "SIZE", "Show", "Thumb", "helper"]


def test_a_class_in_a_condition_or_defined_twice_is_not_one_that_can_stay() -> None:
    text = "class A: ...\nif True:\n    class B: ...\nclass C: ...\nclass C: ...\n"
    assert list(source(text).classes()) == ["A"]


def test_the_module_without_some_classes_keeps_its_lines() -> None:
    tree = source("x = 1\nclass A: ...\ny = 2\n").without(["A"])
    assert [statement.lineno for statement in tree.body] == [1, 3]
