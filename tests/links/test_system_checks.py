"""Each rule of the whole-system model is broken once, on purpose, and the model sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edri_sim.links.connector import RunningConnector
from edri_sim.links.flow.items import Delivered
from edri_sim.links.frames import NOTIFY, REPLY, REQUEST
from edri_sim.links.inlet import Inlet
from edri_sim.links.interest import InterestBook
from tests.links.system_checks import Violation
from tests.links.system_model import Model

Take = Callable[[Inlet, Delivered], None]
take: Take = Inlet.take


def each(nth: int, kind: int, what: Callable[[Inlet, Delivered], None]) -> Take:
    """``what`` is done with each ``nth`` item of a kind, in place of what should be."""
    seen = 0

    def planted(inlet: Inlet, news: Delivered) -> None:
        nonlocal seen
        seen += news.data.kind == kind
        hit = news.data.kind == kind and seen % nth == 0
        (what if hit else take)(inlet, news)

    return planted


def twice(inlet: Inlet, news: Delivered) -> None:
    take(inlet, news)
    take(inlet, news)


def late(inlet: Inlet, news: Delivered) -> None:
    inlet._router._loop.call_later(0.3, take, inlet, news)


def never(inlet: Inlet, news: Delivered) -> None:
    """Nobody hears of it."""


PLANTS = {
    "a note twice": (each(50, NOTIFY, twice), "twice, or out of order"),
    "a note late": (each(50, NOTIFY, late), "twice, or out of order"),
    "a note lost": (each(50, NOTIFY, never), "still owed when all was quiet"),
    "a request twice": (each(20, REQUEST, twice), "was handled 2 times"),
    "a false reply": (
        each(20, REPLY, lambda inlet, news: inlet._requests.replied(news.peer, news.data.ref, b"\x00")),
        "the answer to another question",
    ),
}


def run(seeds: range) -> None:
    for seed in seeds:
        Model(seed).run()


def caught(words: str, seeds: range = range(3)) -> None:
    with pytest.raises(Violation, match=words):
        run(seeds)


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_planted_at_the_receiver_is_caught(plant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted, words = PLANTS[plant]
    monkeypatch.setattr(Inlet, "take", planted)
    caught(words)


def test_notes_to_those_who_do_not_want_them_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_of_them(book: Any, _: str) -> tuple[str, ...]:
        return tuple(book.others)

    monkeypatch.setattr(InterestBook, "subscribers", all_of_them)
    caught("sent to a router that never subscribed")


def test_a_subscriber_that_is_left_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    all_of_them = InterestBook.subscribers

    def but_the_last(book: InterestBook, type_: str) -> tuple[str, ...]:
        found = all_of_them(book, type_)
        return found[:-1] if book.revision > 1 else found

    monkeypatch.setattr(InterestBook, "subscribers", but_the_last)
    caught("did not get notes", range(10))


def test_what_a_former_life_left_and_nobody_is_asked_about_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningConnector, "_ask_for", lambda connector, type_: None)
    caught("still owed when all was quiet", range(100))
