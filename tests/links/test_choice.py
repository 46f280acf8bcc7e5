"""Which of several lines is taken to a router."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edri_sim.links.choice import Choice


@dataclass
class Line:
    switch: str
    present: dict[str, int] = field(default_factory=lambda: {"b": 1})
    heard: dict[str, float] = field(default_factory=dict)
    up: bool = True
    leaving: bool = False
    mute: bool = False
    full: bool = False
    doubted: int = 0

    def doubt(self) -> None:
        self.doubted += 1


class Lines:
    """Two lines, and the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.left, self.right = Line("left", heard={"b": 99.9}), Line("right", heard={"b": 99.9})
        lines: Any = [self.right, self.left]
        self.choice = Choice(lines, lambda: self.now)

    def best(self) -> str:
        self.choice.forget()
        line = self.choice.best("b")
        return "nobody" if line is None else line.switch


def test_where_all_is_well_both_ends_choose_alike_whatever_the_order_in_which_they_list_them() -> None:
    assert Lines().best() == "left"


def test_a_line_that_is_down_or_where_the_router_is_not_is_no_choice() -> None:
    lines = Lines()
    lines.left.up = False
    assert lines.best() == "right"
    lines.right.present = {}
    assert lines.best() == "nobody"


def test_each_of_these_is_worse_than_the_ones_after_it() -> None:
    lines = Lines()
    lines.left.full = True
    assert lines.best() == "right"
    lines.right.mute = True
    assert lines.best() == "left"
    lines.left.leaving = True
    assert lines.best() == "right"
    lines.left.present["b"] = 2  # At the other switch, a former life is half-open.
    assert lines.best() == "left"


def test_a_router_is_answered_the_way_that_it_was_heard_last() -> None:
    lines = Lines()
    lines.left.heard["b"] = 98.0
    for lines.now in (100.0, 100.5, 100.8):
        assert lines.best() == "right"
    lines.left.heard["b"] = 100.8
    assert lines.best() == "left"


def test_while_a_router_is_not_heard_each_way_is_tried_in_turn() -> None:
    lines = Lines()
    assert [lines.best() for lines.now in (110.0, 110.9, 111.0, 111.9, 112.0)] == [
        "left", "left", "right", "right", "left",
    ]  # fmt: skip
    lines.left.mute = True
    assert {lines.best() for lines.now in (120.0, 121.0, 122.0)} == {"right"}


def test_a_line_is_doubted_where_there_is_another_and_once_for_all_that_leaves_together() -> None:
    lines = Lines()
    lines.best()
    for _ in range(100):
        lines.choice.best("b")
    assert (lines.left.doubted, lines.right.doubted) == (1, 0)
    lines.right.up = False
    lines.best()
    assert lines.left.doubted == 1
