"""Interest alone, under faults: routers that tell each other what they send and want, over lines that lose and reorder.

No asyncio: a heap of what happens next, and one generator of random numbers for all of it. A seed is a run; to see one
again::

    .venv/bin/python -m tests.links.interest_model 123
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.interest import InterestBook, Own

TYPES = [f"T{number}" for number in range(8)]
FAULTY = 30.0
"""Seconds in which things go wrong."""
PATIENCE = 12.0
"""Seconds within which all must agree once nothing is broken: a digest, a repeated question, and their way."""
FAULTS = ("lost", "doubled", "late", "cut", "restart", "late presence")


class Disagreement(AssertionError):
    """Two routers do not agree on what one wants of the other."""


class Member:
    """One router: what it sends and wants, in all of its lives."""

    def __init__(self, model: Model, name: str) -> None:
        self.name = name
        self.life = 0
        self.wanted: dict[str, None] = {}
        self.sent: dict[str, None] = {}
        self.versions: dict[str, int] = {}
        self.book: InterestBook
        self._model = model
        self._reader = FrameReader()
        self.alarm = 0
        self.restart()

    def restart(self) -> None:
        """A new life, which knows nothing."""
        self.life += 1
        self.sent.clear()
        self.book = InterestBook(
            self.name, self.life, own=self._own, wanted=lambda type_: type_ in self.wanted, fits=_fits
        )
        self.book.ready(self._model.now)

    def _own(self, type_: str) -> Own:
        version = self.versions.get(type_, 0)
        return Own(f"v{version}", {"version": version})

    def change(self, random: Random) -> None:
        """Send or want something else."""
        type_ = random.choice(TYPES)
        if random.random() < 0.4:
            self.sent[type_] = None
            self.book.wish(type_, self._own(type_).fingerprint, self._model.now)
        elif type_ in self.wanted:
            del self.wanted[type_]
        else:
            self.wanted[type_] = None
        self.book.own_changed(self._model.now)
        self.turn()

    def hear(self, frame: bytes, life: int) -> None:
        if life == self.life:
            for raw in self._reader.feed(frame):
                self.book.receive(raw, self._model.now)
            self.turn()

    def turn(self) -> None:
        """Send what is to be sent, and plan the next look at the clock."""
        model = self._model
        for dst, frame in self.book.take_frames():
            for other in model.members:
                if other is not self and dst in ("", other.name):
                    model.carry(self, other, frame)
        self.book.take_news()
        when = self.book.next_time()
        self.alarm += 1
        if when < float("inf"):
            model.at(max(when, model.now), self._ring, self.alarm, self.life)

    def _ring(self, alarm: int, life: int) -> None:
        if (alarm, life) == (self.alarm, self.life):
            self.book.tick(self._model.now)
            self.turn()

    def sees(self, other: Member, life: int, *, up: bool) -> None:
        """Word of another router's presence."""
        if not up:
            self.book.down(other.name)
        elif life == other.life:
            self.book.up(other.name, life, self._model.now)
        self.turn()


def _fits(_: str, schema: Any) -> str:
    return "" if schema["version"] < 2 else f"version {schema['version']} is too new"


class Model:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.now = 0.0
        self.effects: Counter[str] = Counter()
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._ticket = 0
        self._cut: dict[frozenset[str], None] = {}
        self._loss = random.choice([0.0, 0.1, 0.4])
        self._doubles = random.choice([0.0, 0.2])
        self._jitter = random.choice([0.0, 0.01, 1.0])
        self._late_presence = random.choice([0.0, 2.0])
        self.members: list[Member] = []
        self.members += [Member(self, f"r{number}") for number in range(random.choice([2, 3, 4]))]

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        self._ticket += 1
        heappush(self._heap, (when, self._ticket, act, args))

    @property
    def healed(self) -> bool:
        return self.now >= FAULTY

    # The lines

    def carry(self, source: Member, target: Member, frame: bytes) -> None:
        if frozenset((source.name, target.name)) in self._cut or self._fails("lost", self._loss):
            return
        for _ in range(2 if self._fails("doubled", self._doubles) else 1):
            jitter = 0.0 if self.healed else self.random.random() * self._jitter
            if jitter > 0.5:
                self.effects["late"] += 1
            self.at(self.now + 0.001 + jitter, target.hear, frame, target.life)

    def _fails(self, fault: str, chance: float) -> bool:
        failed = not self.healed and self.random.random() < chance
        self.effects[fault] += failed
        return failed

    def presence(self, one: Member, other: Member, *, up: bool) -> None:
        """Both hear that the other came, or went; each in its time."""
        for member, about in ((one, other), (other, one)):
            late = 0.0 if self.healed else self.random.random() * self._late_presence
            self.effects["late presence"] += late > 0.5
            self.at(self.now + 0.001 + late, self._tell, member, member.life, about, about.life, up)

    def _tell(self, member: Member, its_life: int, about: Member, life: int, up: bool) -> None:
        if member.life == its_life and up == (frozenset((member.name, about.name)) not in self._cut):
            member.sees(about, life, up=up)

    # What goes wrong

    def _trouble(self) -> None:
        if self.healed:
            return
        member, other = self.random.sample(self.members, 2)
        self.random.choice([self._cut_line, self._restart, *[self._change] * 6])(member, other)
        self.at(self.now + self.random.expovariate(4), self._trouble)

    def _change(self, member: Member, _: Member) -> None:
        member.change(self.random)

    def _cut_line(self, member: Member, other: Member) -> None:
        pair = frozenset((member.name, other.name))
        if pair not in self._cut:
            self.effects["cut"] += 1
            self._cut[pair] = None
            self.presence(member, other, up=False)
            self.at(min(self.now + self.random.random() * 5, FAULTY), self._mend, member, other)

    def _mend(self, member: Member, other: Member) -> None:
        self._cut.pop(frozenset((member.name, other.name)), None)
        self.presence(member, other, up=True)

    def _restart(self, member: Member, _: Member) -> None:
        self.effects["restart"] += 1
        if self.random.random() < 0.3:
            member.versions[self.random.choice(TYPES)] = self.random.choice([0, 1, 2])
        member.restart()
        for other in self.members:
            if other is not member and frozenset((member.name, other.name)) not in self._cut:
                self.presence(member, other, up=True)

    # The run

    def run(self) -> Counter[str]:
        """Raises Disagreement."""
        for number, member in enumerate(self.members):
            for other in self.members[number + 1 :]:
                self.presence(member, other, up=True)
        self.at(0.1, self._trouble)
        self._run_until(FAULTY)
        self.now = FAULTY
        for number, member in enumerate(self.members):
            for other in self.members[number + 1 :]:
                self.presence(member, other, up=True)
        self._run_until(FAULTY + PATIENCE)
        self._check()
        return self.effects

    def _run_until(self, when: float) -> None:
        while self._heap and self._heap[0][0] <= when:
            self.now, _, act, args = heappop(self._heap)
            act(*args)

    def _check(self) -> None:
        for sender in self.members:
            for type_ in sender.sent:
                right = {
                    other.name for other in self.members
                    if other is not sender and type_ in other.wanted and other.versions.get(type_, 0) in _FIT[
                        sender.versions.get(type_, 0)]
                }  # fmt: skip
                believed = set(sender.book.subscribers(type_))
                if believed != right:
                    raise Disagreement(
                        f"seed {self.seed}: {sender.name} believes that {sorted(believed)} want {type_}: "
                        f"{sorted(right)} do, {PATIENCE:g} s after the last fault"
                    )


_FIT = {0: (0, 1), 1: (0, 1), 2: (0, 1, 2)}
"""The versions of a subscriber that fit each version of a sender: no schema is sent where both are the same."""


def main() -> None:
    for seed in map(int, sys.argv[1:]):
        print(f"seed {seed}: {dict(Model(seed).run())}")


if __name__ == "__main__":
    main()
