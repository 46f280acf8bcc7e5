"""``edri-sim up --reload``: files are edited while two processes work, and no request is lost."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edri_sim.realtime import reloading
from tests.realtime.programs import Here, Program, edri, free_address, gone, here

__all__ = ["here"]

SYSTEM = '''
from __future__ import annotations

import asyncio

from edri_sim import Manager, Request, event


@event(name="cli_reload.Say")
class Say(Request[str]):
    number: int


class Asker(Manager):
    """On the node ``left``: asks without end, and says what has changed."""

    async def start(self) -> None:
        self.asking = asyncio.get_running_loop().create_task(self.ask())

    async def stop(self) -> None:
        self.asking.cancel()

    async def ask(self) -> None:
        last, number = "", 0
        while True:
            number += 1
            try:
                word = await self.request(Say(number), timeout=20)
            except Exception as error:
                word = f"lost {error}"
            if word != last:
                self.log.warning("request %d was answered with: %s", number, word)
            last = word
            await asyncio.sleep(0.005)
'''
SPEAKER = """
from __future__ import annotations

from edri_sim import Manager, handles
from words_asking import Say


class Speaker(Manager):
    concurrency = 1

    @handles
    async def say(self, event: Say) -> str:
        return "old"
"""
LAST = """
from edri_sim import Topology
from words_asking import Asker
from words_speaking import Speaker

topology = Topology("words")
topology.switch("hub")
topology.node("left", Asker, switch="hub")
topology.node("right", Speaker, switch="hub")
"""


def test_a_system_is_edited_while_it_runs_and_loses_nothing(tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    for name, text in {"words_asking": SYSTEM, "words_speaking": SPEAKER, "words": LAST}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    speaking = tmp_path / "words_speaking.py"
    with Program("up", f"{tmp_path}/words.py:topology", "--reload", "--switch", free_address(), cwd=tmp_path) as up:
        up.until("was answered with: old")
        began = len(up.lines)  # Before that, the other node may not have been there yet.
        speaking.write_text(SPEAKER.replace('return "old"', 'return "brand new"'), encoding="utf-8")
        up.until("was answered with: brand new")
        speaking.write_text(SPEAKER.replace('return "old"', 'return "wrong'), encoding="utf-8")
        up.until("right", "goes on as it was: SyntaxError: ", "words_speaking.py, line ")
        speaking.write_text(SPEAKER.replace('return "old"', 'return "mended"'), encoding="utf-8")
        up.until("was answered with: mended")
        assert not [line for line in up.lines[began:] if "lost" in line]
        children = up.children()
        up.send(signal.SIGINT)
        assert up.code() == 130
        lines = up.rest()
        assert gone(children)
    assert not [line for line in lines if "Traceback" in line]


@pytest.mark.parametrize("command", [("up", "words:topology"), ("node", "words:topology", "left")])
def test_without_watchfiles_it_says_which_extra_to_install(
    here: Here, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(reloading, "find_spec", lambda name: None)
    refusal = here.refusal(*command, "--reload")
    assert refusal == "--reload needs the extra 'reload': pip install 'edri-sim[reload]'"


def test_help_says_what_it_is_for() -> None:
    assert "--reload" in edri("up", "--help").stdout
