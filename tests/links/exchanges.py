"""Two exchanges and the frames between them, moved by hand."""

from __future__ import annotations

from typing import Any, TypeVar

from edri_sim.links.flow.exchange import Exchange
from edri_sim.links.flow.items import EVENTS, Delivered, Item, Limits, Payload
from edri_sim.links.flow.send import Row
from edri_sim.links.frame_reader import FrameReader
from edri_sim.links.frames import NOTIFY, Data, Frame, RawFrame

N = TypeVar("N")


def raw(whole: bytes) -> RawFrame:
    (found,) = FrameReader().feed(whole)
    return found


def opened(frames: list[tuple[str, bytes]]) -> list[Any]:
    return [raw(whole).open() for _, whole in frames]


def only(cls: type[Frame], frames: list[tuple[str, bytes]]) -> list[Any]:
    return [frame for frame in opened(frames) if type(frame) is cls]


class Pair:
    """Routers ``a`` and ``b``. ``news`` keeps what each has reported, by name."""

    def __init__(self, *, outbox: int | None = None, **limits: Any) -> None:
        self.now = 0.0
        self.limits = Limits(**limits)
        self.a = Exchange("a", 1, outbox=outbox, limits=self.limits)
        self.b = Exchange("b", 1, limits=self.limits)
        self.news: dict[str, list[Any]] = {"a": [], "b": []}
        self._number = 0

    def meet(self) -> Pair:
        """Both are told of each other."""
        self.a.up("b", self.b.incarnation, self.now)
        self.b.up("a", self.a.incarnation, self.now)
        return self

    def push(self, payload: Payload | None = None, *, kind: int = NOTIFY, type_: str = "Note", **options: Any) -> Row:
        self._number += 1
        options.setdefault("created", self.now)
        origin = options.pop("origin", self.a.incarnation)
        item = Item(kind, type_, payload or Payload(b"x"), origin, self._number, **options)
        return self.a.push("b", EVENTS, item, self.now)

    def move(self, source: Exchange, target: Exchange) -> list[tuple[str, bytes]]:
        """What one has to send reaches the other."""
        frames = source.frames(self.now)
        for _, whole in frames:
            target.receive(raw(whole), self.now)
        self.hear()
        return frames

    def hear(self) -> None:
        for exchange in (self.a, self.b):
            self.news[exchange.node] += exchange.take_news()

    def settle(self, seconds: float = 0.1) -> None:
        """Let frames go to and fro, a millisecond each way, for so long."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.001
            for exchange in (self.a, self.b):
                exchange.tick(self.now)
            self.commit()
            self.move(self.a, self.b)
            self.move(self.b, self.a)

    def commit(self) -> None:
        for change in self.a.take_changes():
            if hasattr(change, "next"):
                self.a.committed(change)

    def heard(self, name: str, cls: type[N]) -> list[N]:
        """What one has reported, of one kind."""
        return [news for news in self.news[name] if type(news) is cls]

    def delivered(self) -> list[int]:
        """Numbers of the events that came to ``b``, in order."""
        return [news.data.event for news in self.heard("b", Delivered) if isinstance(news.data, Data)]
