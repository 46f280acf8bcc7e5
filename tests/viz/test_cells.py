"""What a notebook's cell shows of an object: words that are the same every time, and HTML that needs no script."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from edri_sim import Manager, Node, Pool, Run, Topology, Tunnel, Worker, event, handles, part
from edri_sim.shown import Shown
from edri_sim.viz import cells
from tests.viz.towns import Clerk, Letter, Office, Question, Reader, towns


@event(name="cells.Watch")
class Watch(Tunnel[int, str]):
    place: str


@event(name="cells.Long")
class Long(Letter):
    text: str = ""


class Guard(Manager):
    clerks = Pool(Clerk, mode="thread", size=3)

    def __init__(self, name: str = "<b>") -> None:
        self.name = name

    @handles
    async def letter(self, event: Letter) -> None:
        """It is enough that it came."""


def shown(thing: Shown) -> dict[str, str]:
    data = thing._repr_mimebundle_()
    assert data["text/plain"] == repr(thing)
    assert "0x" not in data["text/plain"]
    assert "<script" not in data["text/html"]
    assert "<svg" not in data["text/html"]
    return data


def text(html: str) -> str:
    """The words of a piece of HTML, without its tags, and with a space between cells."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def test_a_topology_is_a_picture() -> None:
    data = shown(towns(3))
    assert re.fullmatch(
        r'<img src="data:image/svg\+xml;base64,[^"]+" alt="the machines and links of towns-3">', data["text/html"]
    )
    assert shown(towns(3)) == data


def test_an_empty_topology_has_its_words_alone() -> None:
    assert shown(Topology("empty"))["text/html"] == "<pre>&lt;Topology empty: no nodes&gt;</pre>"


def test_a_run_is_a_table_and_a_picture(run: Run) -> None:
    html = shown(run)["text/html"]
    assert f"simulated, seed 1: {run.duration:.6g} s, 80 events, digest {run.digest[:12]}" in html
    assert f"towns.Letter 40 {len(run.latencies('towns.Letter'))} " in text(html)
    assert 'alt="the machines and links of the run at its end"' in html


def test_a_long_run_is_a_table_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "PICTURED", 10)
    assert "<img" not in shown(run)["text/html"]


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (Letter(7), "towns.Letter notification field value number 7"),
        (Question(7), "towns.Question request field value number 7"),
        (Watch("<gate>"), "cells.Watch tunnel field value place &#x27;&lt;gate&gt;&#x27;"),
    ],
)
def test_an_event_is_a_table_of_its_fields(thing: Shown, words: str) -> None:
    assert text(shown(thing)["text/html"]) == words


def test_a_long_value_is_shortened_in_its_middle() -> None:
    html = shown(Long(1, "a" * 100 + "b" * 100))["text/html"]
    assert f"{'a' * 39}\N{HORIZONTAL ELLIPSIS}{'b' * 39}" in html


def test_a_manager_tells_what_handles_what_and_where() -> None:
    words = text(shown(Guard())["text/html"])
    assert words == (
        "Guard manager event handler in towns.Letter Guard.letter itself "
        "towns.Question Clerk.question pool clerks: 3 \N{MULTIPLICATION SIGN} thread"
    )
    assert text(shown(Clerk())["text/html"]).startswith("Clerk worker ")


def test_a_manager_whose_events_are_not_defined_yet_says_so() -> None:
    class Early(Manager):
        @handles
        async def later(self, event: Later) -> None:  # type: ignore[name-defined]  # noqa: F821
            """It comes in another cell."""

    assert "name 'Later' is not defined" in shown(Early())["text/html"].replace("&#x27;", "'")


def test_a_node_tells_its_parts_whether_it_runs_and_how_events_ended() -> None:
    async def main() -> tuple[str, str, str]:
        node = Node("web", Reader, part(Guard, "<x>"))
        before = shown(node)["text/html"]
        async with node:
            await node.notify(Letter(1))
            await asyncio.sleep(0)
            during = shown(node)["text/html"]
        return before, during, shown(node)["text/html"]

    before, during, after = asyncio.run(main())
    assert text(before) == "Node web stopped part Reader part(Guard, &#x27;&lt;x&gt;&#x27;)"
    assert text(during).startswith("Node web running part Reader")
    assert "towns.Letter handled 2" in text(after)


def test_without_the_extra_the_words_are_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("edri_sim.viz")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for thing in (run, towns(3), Letter(1), Office(), Node("web", Reader)):
        assert thing._repr_mimebundle_() == {"text/plain": repr(thing)}
    assert Path(cells.__file__).exists()


def test_what_has_nothing_of_its_own_has_its_words() -> None:
    class Plain(Shown):
        def __repr__(self) -> str:
            return "<plain>"

    assert shown(Plain())["text/html"] == "<pre>&lt;plain&gt;</pre>"
    assert not issubclass(Worker, Plain)
