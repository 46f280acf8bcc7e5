"""A node whose files are edited while it runs: real files, a real loop."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Node, Settings
from edri_sim.errors import MissingExtra
from edri_sim.events import registry
from edri_sim.realtime import reloading
from edri_sim.realtime.loading import load_topology
from edri_sim.realtime.reloading import Reloader
from tests.worlds import World, quick, records, until

REAL = World("real")

SYSTEM = '''
"""A system in one file, as beginners write it."""
from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edri_sim import Manager, Notification, Pool, Request, Topology, Worker, event, handles, part

WORD = "old"


@dataclass(frozen=True)
class Answer:
    word: str


@event(name="reloading.Say")
class Say(Request[Answer]):
    text: str = ""


@event(name="reloading.Count")
class Count(Request[int]):
    pass


class Speaker(Worker):
    @handles
    async def say(self, event: Say) -> Answer:
        await asyncio.sleep(0.01)
        return Answer(f"{WORD} {event.text}")


class Speech(Manager):
    pool = Pool(Speaker, mode="MODE", queue=5)

    def __init__(self, first: int = 0) -> None:
        self.first = first

    @handles
    async def count(self, event: Count) -> int:
        self.first += 1
        return self.first


topology = Topology("reloading")
topology.node("solo", part(Speech, 10))
'''


COUNTER = "annotation: name 'Counter' is not defined"


class System:
    """A system's file, which the test edits."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "reloading_system.py"
        self.target = f"{self.path}:topology"
        self.write(SYSTEM.replace("MODE", "method"))

    @property
    def module(self) -> Any:
        return sys.modules["reloading_system"]

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new))

    def run(self, main: Callable[[Node, Reloader], Coroutine[Any, Any, None]]) -> None:
        spec = load_topology(self.target).nodes["solo"]

        async def live() -> None:
            async with Node("solo", *spec.parts, settings=Settings(**quick())) as node:
                await main(node, Reloader(node, self.target))

        REAL.run(live)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """What the test imports and declares is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))
    before = set(sys.modules)
    yield System(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def words(answers: list[Any]) -> list[str]:
    return [answer.word for answer in answers]


@pytest.mark.parametrize("mode", ["method", "thread", "process"])
def test_queued_requests_are_all_answered_some_by_the_old_and_some_by_the_new_code(system: System, mode: str) -> None:
    system.write(SYSTEM.replace("MODE", mode))

    async def main(node: Node, reloader: Reloader) -> None:
        say = system.module.Say
        asked = [asyncio.ensure_future(node.request(say(str(n)), timeout=20)) for n in range(30)]
        await until(lambda: sum(one.done() for one in asked) >= 3)
        system.edit('WORD = "old"', 'WORD = "quite new"')
        with records("edri_sim.reload") as kept:
            await reloader.reload([system.path])
        answers = words(await asyncio.gather(*asked))
        assert [answer.rpartition(" ")[2] for answer in answers] == [str(n) for n in range(30)]
        kinds = [answer.rpartition(" ")[0] for answer in answers]
        assert kinds == sorted(kinds)
        assert set(kinds) == {"old", "quite new"}
        assert [record.getMessage() for record in kept.list] == ["node solo: part part(Speech, 10) is made anew"]
        assert words([await node.request(system.module.Say("x"), timeout=20)]) == ["quite new x"]

    system.run(main)


def test_the_events_and_what_they_carry_stay_the_same_classes(system: System) -> None:
    async def main(node: Node, reloader: Reloader) -> None:
        old = system.module
        system.edit("first += 1", "first += 2")
        await reloader.reload([system.path])
        new = system.module
        assert new is not old
        assert (new.Say, new.Count, new.Answer) == (old.Say, old.Count, old.Answer)
        assert new.Speech is not old.Speech
        assert await node.request(old.Count(), timeout=20) == 12
        reply = await node.request(new.Say("x"), timeout=20)
        assert type(reply) is old.Answer

    system.run(main)


def test_a_changed_event_is_an_error_that_says_restart_and_the_old_code_goes_on(system: System) -> None:
    async def main(node: Node, reloader: Reloader) -> None:
        before = system.module
        for old, new in (
            ('text: str = ""', 'text: str = ""\n    more: int = 0'),
            ("    word: str", "    word: str\n    more: int = 0"),
        ):
            system.edit(old, new)
            with records("edri_sim.reload") as kept:
                await reloader.reload([system.path])
            (said,) = [record.getMessage() for record in kept.list]
            assert said == (
                "node solo goes on as it was: the event reloading.Say has changed"
                f" ({system.path}): a running node keeps the events that it started with: restart it"
            )
            assert system.module is before
            assert words([await node.request(before.Say("x"), timeout=20)]) == ["old x"]
            system.edit(new, old)

    system.run(main)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("class Speech(Manager):", "class Speech(Manager:", "SyntaxError: "),
        ('WORD = "old"', "WORD = 1 / 0", "reloading_system.py:10: ZeroDivisionError: division by zero"),
        ("event: Count) -> int:", "event: Counter) -> int:", COUNTER),
        ("event: Count) -> int:", "event: int) -> int:", "<class 'int'> is no Notification, Request or Tunnel"),
        ("part(Speech, 10)", "part(Speech, 10), Speech", "the topology of node solo has changed: restart it"),
        ('Topology("reloading")', "int(5)", "'int' object has no attribute 'node'"),
        ("self.first = first", "raise LookupError('no first')", "LookupError: no first"),
    ],
)
def test_what_cannot_run_leaves_the_old_code_at_work_and_is_mended_by_the_next_edit(
    system: System, old: str, new: str, said: str
) -> None:
    async def main(node: Node, reloader: Reloader) -> None:
        before = system.module
        system.edit(old, new)
        with records("edri_sim.reload") as kept:
            await reloader.reload([system.path])
        (line,) = [record.getMessage() for record in kept.list]
        assert line.startswith("node solo goes on as it was: ")
        # What fails only when the manager is made has been run all the same.
        assert (system.module is before) is (said not in ("LookupError: no first", COUNTER))
        assert said in line
        assert await node.request(system.module.Count(), timeout=20) == 11
        system.edit(new, old)
        system.edit('WORD = "old"', 'WORD = "mended"')
        await reloader.reload([system.path])
        assert words([await node.request(system.module.Say("x"), timeout=20)]) == ["mended x"]

    system.run(main)


def test_a_new_event_and_its_handler_work(system: System) -> None:
    addition = """

@event(name="reloading.Shout")
class Shout(Request[str]):
    text: str


class Speech(Manager):"""

    async def main(node: Node, reloader: Reloader) -> None:
        system.edit("\n\nclass Speech(Manager):", addition)
        system.edit(
            "    @handles\n    async def count",
            "    @handles\n    async def shout(self, event: Shout) -> str:\n        return event.text.upper()\n\n"
            "    @handles\n    async def count",
        )
        await reloader.reload([system.path])
        assert await node.request(system.module.Shout("ahoy"), timeout=20) == "AHOY"
        assert node.types.named("reloading.Shout").cls is system.module.Shout

    system.run(main)


def test_a_file_that_says_the_same_changes_nothing(system: System) -> None:
    async def main(node: Node, reloader: Reloader) -> None:
        before = system.module
        system.edit("WORD =", "# a comment\nWORD  =")
        await reloader.reload([system.path, system.path.with_name("unknown.py")])
        assert system.module is before

    system.run(main)


def test_modules_that_import_what_has_changed_are_run_again_too(system: System) -> None:
    package = system.path.parent / "reloading_shop"
    package.mkdir()
    files = {
        "__init__.py": "",
        "words.py": "WORD = 'old'\n",
        "events.py": SYSTEM[SYSTEM.index('"""') : SYSTEM.index("class Speaker")],
        "idle.py": "from edri_sim import Manager\nclass Idle(Manager): ...\n",
        "workers.py": "from edri_sim import Manager, handles\nfrom reloading_shop import words\n"
        "from .events import Say, Answer\n"
        "class Speech(Manager):\n    @handles\n    async def say(self, event: Say) -> Answer:\n"
        "        return Answer(f'{words.WORD} {event.text}')\n",
        "main.py": "from edri_sim import Topology\nfrom reloading_shop.workers import Speech\n"
        "from reloading_shop.idle import Idle\n"
        "topology = Topology('shop')\ntopology.node('solo', Speech, Idle)\n",
    }
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    system.target = f"{package}/main.py:topology"

    async def main(node: Node, reloader: Reloader) -> None:
        events, idle = (importlib.import_module(f"reloading_shop.{name}") for name in ("events", "idle"))
        (package / "words.py").write_text("WORD = 'new'\n", encoding="utf-8")
        with records("edri_sim.reload") as kept:
            await reloader.reload([package / "words.py"])
        assert [record.getMessage().rpartition(".")[2] for record in kept.list] == ["Speech'> is made anew"]
        assert sys.modules["reloading_shop.events"] is events
        assert sys.modules["reloading_shop.idle"] is idle
        assert words([await node.request(events.Say("x"), timeout=20)]) == ["new x"]
        # A word that nobody of this node uses, in a file that nobody's parts are in.
        (package / "main.py").write_text(files["main.py"] + "UNUSED = 1\n", encoding="utf-8")
        with records("edri_sim.reload") as kept:
            await reloader.reload([package / "main.py"])
        assert [record.getMessage() for record in kept.list] == [
            "reloading_shop.main: nothing of node solo has changed"
        ]

    system.run(main)


def test_files_are_watched_while_the_node_runs(system: System) -> None:
    async def main(node: Node, reloader: Reloader) -> None:
        watching = asyncio.ensure_future(reloader.watch())
        with records("edri_sim.reload") as kept:
            for word in ("first", "second"):
                system.write(SYSTEM.replace("MODE", "method").replace('"old"', f'"{word}"'))
                await until(lambda: kept.list, "the reload")
                kept.list.clear()
                assert words([await node.request(system.module.Say("x"), timeout=20)]) == [f"{word} x"]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    pytest.importorskip("watchfiles")
    system.run(main)


def test_without_watchfiles_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloading, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"--reload needs the extra 'reload': pip install 'edri-sim\[reload\]'"):
        reloading.check_installed()
