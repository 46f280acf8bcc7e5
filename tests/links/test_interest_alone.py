"""Who wants what, under faults: 300 seeds, and the faults that are planted to see that they would be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from edri_sim.links import interest
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import MAX_FRAME
from edri_sim.links.interest import InterestBook, Own
from tests.links.interest_model import FAULTS, Disagreement, Model

SEEDS, EACH_FAULT = 300, 20


def run_all(seeds: int) -> Counter[str]:
    effects: Counter[str] = Counter()
    for seed in range(seeds):
        effects.update(Model(seed).run())
    return effects


def test_all_agree_within_seconds_of_the_last_fault(capsys: pytest.CaptureFixture[str]) -> None:
    effects = run_all(SEEDS)
    counts = ", ".join(f"{effects[fault]} {fault}" for fault in FAULTS)
    with capsys.disabled():
        print(f"\ninterest alone: {SEEDS} seeds; took effect: {counts}")
    assert {fault: effects[fault] for fault in FAULTS if effects[fault] < EACH_FAULT} == {}


def no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interest, "DIGEST_EVERY", 1e9)


def no_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InterestBook, "_expect", lambda *_: None)


def no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    no_digest(monkeypatch)
    learn = InterestBook._on_say

    def heedless(book: InterestBook, say: interest.InterestSay, now: float) -> None:
        other = book.others.get(say.src)
        if other is not None and not say.full:
            say.counter = other.counter + 1
        learn(book, say, now)

    monkeypatch.setattr(InterestBook, "_on_say", heedless)


def former_lives_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_of(book: InterestBook, name: str, incarnation: int) -> interest.Other:
        return book.others.setdefault(name, interest.Other(name, incarnation))

    monkeypatch.setattr(InterestBook, "_other", other_of)


@pytest.mark.parametrize("plant", [no_digest, no_repeat, no_counter, former_lives_are_heard])
def test_a_planted_fault_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(Disagreement):
        run_all(100)


def test_many_versions_that_differ_fit_into_frames() -> None:
    """Two routers that know 3,000 types, each in a version of its own, with schemas of a kilobyte."""
    types = [f"{'Type' * 20}{number}" for number in range(3_000)]
    books = {}
    for name in "ab":

        def own(_: str, name: str = name) -> Own:
            return Own(name, {"node": name, "text": "x" * 1_000})

        books[name] = InterestBook(name, 1, own=own, wanted=lambda _: True, fits=lambda *_: "y" * 1_000)
        books[name].ready(0.0)
    for type_ in types:
        books["a"].wish(type_, "a", 0.0)
    books["a"].take_frames()
    books["a"].up("b", 1, 0.0)
    books["b"].up("a", 1, 0.0)
    sizes = []
    for _ in range(4):
        for name, other in (("a", "b"), ("b", "a")):
            for dst, frame in books[name].take_frames():
                sizes.append(len(frame))
                for raw in FrameReader().feed(frame):
                    books[other].receive(raw, 0.0) if dst in (other, "") else None
    assert max(sizes) < MAX_FRAME
    assert len(books["a"].others["b"].wants) == len(types)
    assert 0 < len(books["a"].others["b"].unfit) < len(types)
