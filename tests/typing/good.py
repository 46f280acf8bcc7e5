"""What a type checker has to accept; the expected types are checked with ``assert_type``."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, assert_type

from edri_sim.codec import Codec, NanFloat, codec_for
from edri_sim.events import EventType, Notification, Request, Tunnel, event, event_type

R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Thumbnail:
    path: str


@event
class Resize(Request[Thumbnail]):
    image: str
    width: int = 128
    tags: tuple[str, ...] = dataclasses.field(default_factory=tuple)


@event(name="typing.Resized", delivery="latest", ack="handled")
class Resized(Notification):
    image: str
    share: NanFloat = 0.0


@event
class Chat(Tunnel[str, bytes]):
    room: str


async def request(asked: Request[R]) -> R:
    raise NotImplementedError


async def wide(asked: Request[Thumbnail | None]) -> Thumbnail | None:
    return await request(asked)


async def use() -> None:
    resize = Resize("cat.jpg", width=3)
    assert_type(resize.image, str)
    assert_type(resize.width, int)
    assert_type(await request(resize), Thumbnail)
    assert_type(await wide(resize), Thumbnail | None)
    assert_type(Resized("cat.jpg", 0.5).share, float)
    assert_type(event_type(resize), EventType)
    codec: Codec[Any] = codec_for(Resize)
    assert_type(codec.encode(resize), bytes)
    assert_type(Chat("a").room, str)
