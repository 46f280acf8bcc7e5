"""Two routers and a wire that does as it likes: Hypothesis finds the shortest history that breaks a rule."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import Delivered
from tests.links.exchanges import Pair, raw


class Wire(Pair):
    """Frames lie between the two until a step takes one up, in any order, more than once, or never."""

    def __init__(self) -> None:
        super().__init__(window=8)
        self.lying: list[tuple[str, bytes]] = []
        self.sent: list[int] = []
        self.came: list[tuple[int, int]] = []
        """Life of the receiver, and number of the event."""
        self.meet()

    def push_some(self, number: int) -> None:
        for _ in range(1 + number % 4):
            self.sent.append(self.push().item.number)
        self.collect()

    def collect(self) -> None:
        for exchange in (self.a, self.b):
            self.lying += exchange.frames(self.now)
            self.came += [
                (self.b.incarnation, news.data.event) for news in exchange.take_news() if isinstance(news, Delivered)
            ]

    def take_up(self, number: int, *, again: bool = False) -> None:
        if self.lying:
            place = number % len(self.lying)
            name, whole = self.lying[place] if again else self.lying.pop(place)
            (self.a if name == "a" else self.b).receive(raw(whole), self.now)
            self.collect()

    def take_up_again(self, number: int) -> None:
        self.take_up(number, again=True)

    def lose(self, number: int) -> None:
        if self.lying:
            del self.lying[number % len(self.lying) :]

    def wait(self, number: int) -> None:
        self.now += 0.005 * 2 ** (number % 12)
        for exchange in (self.a, self.b):
            exchange.tick(self.now)
        self.collect()

    def cut(self, _: int) -> None:
        self.a.down("b")
        self.b.down("a")
        self.lying.clear()

    def join(self, _: int) -> None:
        self.meet()
        self.collect()

    def restart_sender(self, _: int) -> None:
        self.a = Exchange("a", self.a.incarnation + 1, limits=self.limits)
        self.sent.clear()
        self.join(0)

    def restart_receiver(self, number: int) -> None:
        """Nobody is told of it, half of the time."""
        self.b = Exchange("b", self.b.incarnation + 1, limits=self.limits)
        self.b.up("a", self.a.incarnation, self.now)
        if number % 2:
            self.join(0)
        self.a.admit("b", lambda _: True)

    def come_to_rest(self) -> None:
        for turn in range(2_000):
            while self.lying:
                self.take_up(0)
            self.a.admit("b", lambda _: True)
            self.collect()
            if not self.lying and min(self.a.next_time(), self.b.next_time()) > self.now + 100.0:
                return
            self.wait(turn % 8)
        raise AssertionError("it does not come to rest")


STEPS = (
    Wire.push_some, Wire.push_some, Wire.take_up, Wire.take_up, Wire.take_up_again, Wire.lose, Wire.wait, Wire.cut,
    Wire.join, Wire.restart_sender, Wire.restart_receiver,
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 40)), max_size=60))
@settings(max_examples=1_000, deadline=None)
def test_whatever_the_wire_does_each_event_comes_once_in_order(steps: list[tuple[object, int]]) -> None:
    wire = Wire()
    for step, number in steps:
        step(wire, number)  # type: ignore[operator]
    wire.join(0)
    wire.come_to_rest()
    assert [each for each, count in Counter(wire.came).items() if count > 1] == [], "once to each life"
    for life in {life for life, _ in wire.came}:
        numbers = [number for each, number in wire.came if each == life]
        assert numbers == sorted(numbers)
    assert sorted(set(wire.sent) - {number for _, number in wire.came}) == [], "nothing is lost while the sender lives"
    assert wire.a.bytes == 0
