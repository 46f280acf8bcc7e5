"""A switch tells each node of those that it has to do with, and of nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from edri_sim.links import introductions
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import Presence, Seek, Sought, Watch
from edri_sim.links.introductions import Guest, Introductions


class Visitor:
    """A node of a switch without a connection: it keeps what it is told."""

    def __init__(self, switch: Switch, node: str, incarnation: int) -> None:
        self.node = node
        self.incarnation = incarnation
        self.guest = Guest()
        self.stream: Any = self
        self._switch = switch
        self._told: list[Any] = []

    def send(self, data: bytes) -> None:
        self._told += [raw.open() for raw in FrameReader().feed(data)]

    def told(self) -> list[str]:
        """What it was told since the last call, in short."""
        told, self._told = self._told, []
        return [_short(frame) for frame in told]

    def seek(self, *, sends: str = "", wants: str = "") -> None:
        self._switch.introductions.seek(self, Seek(sends.split(), wants.split()))

    def watch(self, *names: str) -> None:
        self._switch.introductions.watch(self, Watch(list(names)))

    def leave(self, *, left: bool = False) -> None:
        del self._switch.present[self.node]
        self._switch.introductions.went(self, left=left)


def _short(frame: Any) -> str:
    if isinstance(frame, Sought):
        return f"sought {frame.sends}"
    assert isinstance(frame, Presence)
    return f"{frame.node} {'up' if frame.up else 'left' if frame.left else 'down'}"


class Switch:
    """Introductions, and who is present."""

    def __init__(self) -> None:
        self.present: dict[str, Any] = {}
        self.introductions = Introductions(self.present)

    def node(self, name: str, incarnation: int = 1) -> Visitor:
        visitor = self.present[name] = Visitor(self, name, incarnation)
        self.introductions.came(visitor)
        return visitor

    def holds(self) -> int:
        """Entries of all tables."""
        tables = self.introductions
        indexes = (tables._watchers, tables._senders, tables._wanters)
        return sum(len(entry) for index in indexes for entry in index.values())


@pytest.fixture
def switch() -> Switch:
    return Switch()


def test_who_wants_what_another_sends_is_introduced_whoever_comes_first(switch: Switch) -> None:
    a, b, c = switch.node("a"), switch.node("b"), switch.node("c")
    a.seek(sends="X Y", wants="Z")
    b.seek(wants="X Y")
    c.seek(sends="W Z")
    assert (a.told(), b.told(), c.told()) == (["sought 2", "b up", "c up"], ["a up", "sought 0"], ["a up", "sought 2"])


def test_nobody_is_told_of_those_that_it_has_nothing_to_do_with(switch: Switch) -> None:
    a, b = switch.node("a"), switch.node("b")
    a.seek(sends="X")
    b.seek(sends="X", wants="Y")
    b.leave()
    assert (a.told(), b.told()) == (["sought 1"], ["sought 1"])


def test_what_is_sought_no_more_introduces_nobody(switch: Switch) -> None:
    a, b = switch.node("a"), switch.node("b")
    a.seek(wants="X")
    a.seek()
    b.seek(sends="X")
    assert b.told() == ["sought 1"]


def test_acquaintances_are_told_of_each_other_as_they_come_and_go(switch: Switch) -> None:
    a, b = switch.node("a"), switch.node("b")
    switch.introductions.acquaint(a, b)
    b.leave()
    again = switch.node("b", 2)
    assert a.told() == ["b up", "b down", "b up"]
    assert again.told() == []  # It knows of nobody yet: it hears of a with the first frame from there.
    switch.introductions.acquaint(a, again)
    assert (a.told(), again.told()) == ([], ["a up"])


def test_a_node_that_comes_anew_is_told_of_those_that_it_names_now_and_when_they_come(switch: Switch) -> None:
    switch.node("b")
    a = switch.node("a")
    a.watch("b", "c")
    switch.node("c")
    assert a.told() == ["b up", "c up"]


def test_of_those_that_left_for_good_nothing_is_kept(switch: Switch) -> None:
    a = switch.node("a")
    for number in range(10):
        guest = switch.node(f"guest{number}")
        guest.seek(sends="X", wants="Y")
        switch.introductions.acquaint(a, guest)
        guest.leave(left=True)
    assert (a.told()[-1], switch.holds(), a.guest.watches) == ("guest9 left", 0, {})


def test_of_too_many_the_first_are_forgotten(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introductions, "MOST_WATCHED", 3)
    a = switch.node("a")
    a.watch("b", "c", "d", "e")
    assert (list(a.guest.watches), switch.holds()) == (["c", "d", "e"], 3)
